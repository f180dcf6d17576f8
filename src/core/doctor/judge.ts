/** What the facts about an installation mean: what works, what does not, and what would be missed. */
import { API_VERSION } from '../../api/group.ts'
import { type Micros, SECOND } from '../time.ts'
import { keyOf, NEEDS } from './rights.ts'
import type { Check, DoctorFacts, NodeClock, OwnPod } from './types.ts'

const RESOURCES = ['podterminations', 'podreadinessgates', 'podcleanups'] as const
/** A leader renews every few seconds; the Lease runs out after 15 by default. */
const STALE: Micros = 30 * SECOND
/** Beyond this a node's clock is wrong, and not only imprecise. */
const APART: Micros = SECOND
const MOST_NAMES = 3

export function judge(facts: DoctorFacts): Check[] {
  return [
    { about: 'API server', health: 'Ok', text: `Kubernetes ${facts.kubernetes}` },
    resources(facts),
    ...controller(facts),
    agent(facts),
    ...clocks(facts),
    ...rights(facts),
  ]
}

function resources({ resources: reading }: DoctorFacts): Check {
  const about = 'custom resources'
  if ('unknown' in reading) return { about, health: 'Unknown', text: reading.unknown }
  const there = RESOURCES.filter((name) => reading.found.includes(name))
  const absent = RESOURCES.filter((name) => !reading.found.includes(name))
  if (!reading.found.includes('podterminations'))
    return {
      about,
      health: 'Failed',
      text: `${API_VERSION} has no podterminations`,
      missed: 'Nothing is recorded: install Gracewatch, or use gracewatch trace, which needs nothing installed.',
    }
  if (absent.length === 0) return { about, health: 'Ok', text: there.join(', ') }
  return { about, health: 'Note', text: `${there.join(', ')}; not installed: ${absent.join(', ')}` }
}

function controller({ controllers, lease, now }: DoctorFacts): Check[] {
  const about = 'controller'
  if ('unknown' in controllers) return [{ about, health: 'Unknown', text: controllers.unknown }]
  const pods = controllers.found
  const where = [...new Set(pods.map(({ namespace }) => namespace))].join(', ')
  const ready = pods.filter((pod) => pod.ready)
  if (pods.length === 0)
    return [{ about, health: 'Failed', text: 'no pod of it runs', missed: 'Nothing is recorded while it does not run.' }]
  if (ready.length === 0)
    return [
      {
        about,
        health: 'Failed',
        text: `none of ${pods.length} is Ready in ${where}`,
        missed: `Nothing is recorded now. What ends meanwhile is caught up later with wide bounds: kubectl logs -n ${where} ${pods[0]?.name}`,
      },
    ]
  const whole: Check = {
    about,
    health: ready.length === pods.length ? 'Ok' : 'Warning',
    text: `${ready.length} of ${pods.length} Ready in ${where}`,
    ...(ready.length === pods.length
      ? {}
      : { missed: 'With a replica less there may be nobody to take over: terminations would be caught up with wide bounds.' }),
  }
  return [whole, leader(lease, now)]
}

function leader(lease: DoctorFacts['lease'], now: Micros): Check {
  const about = 'leader'
  if ('unknown' in lease) return { about, health: 'Unknown', text: lease.unknown }
  const { found } = lease
  const missed = 'Nothing is recorded until a replica leads; what ends meanwhile is caught up with wide bounds.'
  if (found === undefined || found.holder === '') return { about, health: 'Failed', text: 'nobody holds the Lease', missed }
  const [holder = ''] = found.holder.split('_')
  if (found.renewedAt === undefined) return { about, health: 'Unknown', text: `${holder}, and the Lease does not say since when` }
  const age = Math.max(0, now - found.renewedAt)
  const text = `${holder}, renewed ${(age / SECOND).toFixed(0)} s ago`
  return age > STALE ? { about, health: 'Failed', text, missed } : { about, health: 'Ok', text }
}

function agent({ agents, nodes }: DoctorFacts): Check {
  const about = 'agent'
  if ('unknown' in agents) return { about, health: 'Unknown', text: agents.unknown }
  const without = 'signals are inferred from what the API says, with their bounds, and who sent a SIGKILL is not seen'
  if (agents.found.length === 0)
    return { about, health: 'Note', text: 'not installed', missed: `Without the agent ${without}: --set agent.enabled=true.` }
  const ready = new Set(agents.found.filter((pod) => pod.ready).flatMap(({ node }) => node ?? []))
  const known = 'found' in nodes ? nodes.found : nodesOf(agents.found)
  const blind = known.filter((node) => !ready.has(node))
  if (blind.length === 0) return { about, health: 'Ok', text: `Ready on ${counted(ready.size, 'node')}` }
  return {
    about,
    health: 'Warning',
    text: `Ready on ${ready.size} of ${counted(known.length, 'node')}`,
    missed: `On ${named(blind)} ${without}.`,
  }
}

const nodesOf = (pods: readonly OwnPod[]) => [...new Set(pods.flatMap(({ node }) => node ?? []))]

function clocks({ clocks: reading, skew }: DoctorFacts): Check[] {
  const here: Check =
    skew === 0
      ? { about: 'this clock', health: 'Ok', text: "as the API server's, as near as its answers tell" }
      : {
          about: 'this clock',
          health: 'Note',
          text: `${seconds(Math.abs(skew))} ${skew > 0 ? 'behind' : 'ahead of'} the API server's`,
          missed: 'Ages are told by the clock of the API server. A trace allows for the difference.',
        }
  if ('unknown' in reading) return [here, { about: 'node clocks', health: 'Unknown', text: reading.unknown }]
  const latest = new Map<string, NodeClock>()
  for (const clock of reading.found)
    if ((latest.get(clock.node)?.measuredAt ?? Number.NEGATIVE_INFINITY) < clock.measuredAt) latest.set(clock.node, clock)
  if (latest.size === 0) return [here]
  const apart = [...latest.values()].filter(({ earliest, latest: most }) => earliest > APART || most < -APART)
  if (apart.length === 0)
    return [here, { about: 'node clocks', health: 'Ok', text: `${counted(latest.size, 'node')} within 1 s` }]
  const worst = apart.map(({ node, earliest, latest: most }) => {
    const middle = (earliest + most) / 2
    return `${node} ${seconds(Math.abs(middle))} ${middle > 0 ? 'behind' : 'ahead'}`
  })
  return [
    here,
    {
      about: 'node clocks',
      health: 'Warning',
      text: named(worst),
      missed:
        'Times of these nodes are compared with others only through the difference, which widens bounds: set their clocks (NTP).',
    },
  ]
}

function rights({ denied, namespace }: DoctorFacts): Check[] {
  const about = 'your rights'
  if ('unknown' in denied) return [{ about, health: 'Unknown', text: denied.unknown }]
  const lacking = new Set(denied.found.map(keyOf))
  const checks = [...NEEDS].map(([command, needs]) => ({ command, lacks: needs.filter((need) => lacking.has(keyOf(need))) }))
  const whole = checks.filter(({ lacks }) => lacks.length === 0).map(({ command }) => command)
  return [
    ...(whole.length === 0 ? [] : [{ about, health: 'Ok' as const, text: `in ${namespace}: ${whole.join('; ')}` }]),
    ...checks
      .filter(({ lacks }) => lacks.length > 0)
      .map(({ command, lacks }) => ({
        about,
        health: 'Warning' as const,
        text: `in ${namespace}: ${command} may not ${lacks.map(keyOf).join(', ')}`,
        missed: `${[...new Set(lacks.map(({ missed }) => missed))].map(capitalised).join('. ')}.`,
      })),
  ]
}

const capitalised = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
const seconds = (micros: Micros) => `${(micros / SECOND).toFixed(1)} s`
const named = (names: readonly string[]) =>
  `${names.slice(0, MOST_NAMES).join(', ')}${names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''}`
