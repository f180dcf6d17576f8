/** Faults, each made for real and unmade, or left for the product to deal with. */
import type { StoredPodTermination } from '../../src/kube/apply.ts'
import { KubeError } from '../../src/kube/errors.ts'
import { eventually } from '../apiserver/waiting.ts'
import { listRecords } from './audit.ts'
import type { Fault, Scene } from './round.ts'
import { PATIENCE_MS, type Replica } from './world.ts'

/** Every replica for itself, until it has come about for all of them. */
const forEach = async (replicas: readonly Replica[], come: (replica: Replica) => boolean, what: string) => {
  for (const replica of replicas) await eventually(() => come(replica) || undefined, PATIENCE_MS, `${replica.name}: ${what}`)
}

/** Nobody has renewed the Lease for as long as it lasts: what is written from now on is written by another term. */
const lapsed = ({ world }: Scene) => {
  const past = async () => {
    const { renewTime = '', leaseDurationSeconds = 0 } = (await world.lease())?.spec ?? {}
    return Date.parse(renewTime) + leaseDurationSeconds * 1000 < Date.now() || undefined
  }
  return eventually(past, PATIENCE_MS, 'the Lease run out')
}

const none: Fault = {
  name: 'no fault',
  happens: 'Nothing. What the records say without a fault is what they are measured by.',
  inject: async () => async () => {},
}

const leaderKilled: Fault = {
  name: 'the leader is killed',
  happens: 'The standby takes over when the Lease has run out and completes everything from what it saw itself.',
  async inject({ world }) {
    const { leader } = await world.roles()
    await leader.controller.kill()
    return async () => {
      await world.start()
    }
  },
}

const standbyKilled: Fault = {
  name: 'the standby is killed',
  happens: 'Nothing.',
  async inject({ world }) {
    const { standby } = await world.roles()
    await standby.controller.kill()
    return async () => {
      await world.start()
    }
  },
}

const bothKilled: Fault = {
  name: 'both replicas are killed',
  unseen: true,
  happens:
    'What ended meanwhile is recorded when one is back, as far as the API still tells of it, and says what is missing; a pod that went ' +
    'without a Killing event (deleted by force, or never started) left no trace.',
  async inject({ world }) {
    await world.killAll()
    return () => world.startAgain()
  },
}

const leaderPaused: Fault = {
  name: 'the leader is stopped past its lease, and goes on',
  happens: 'The standby takes over; the old leader finds that its lease has run out and writes nothing.',
  async inject({ world }) {
    const { leader, standby } = await world.roles()
    leader.signal('SIGSTOP')
    await eventually(() => standby.leads || undefined, PATIENCE_MS, 'the standby leads')
    return async () => leader.signal('SIGCONT')
  },
}

const held: Fault = {
  name: 'the network of both stands still past the lease, and goes on',
  happens: 'Records come late: nobody leads meanwhile. Nothing is missing from them, since every watch goes on where it was.',
  async inject(scene) {
    const { world } = scene
    for (const { wire } of world.replicas) wire.hold()
    await lapsed(scene)
    return async () => {
      for (const { wire } of world.replicas) wire.mend()
    }
  },
}

const lost: Fault = {
  name: 'every packet of the leader is dropped, and its connections stay dead',
  happens: 'The standby takes over. The old leader finds its dead watches after 90 s and resumes them.',
  async inject(scene) {
    const { world } = scene
    const { leader, standby } = await world.roles()
    leader.wire.lose()
    await eventually(() => standby.leads || undefined, PATIENCE_MS, 'the standby leads')
    return async () => leader.wire.mend()
  },
}

const leaderHalfOpen: Fault = {
  name: 'half-open: the leader is heard and hears nothing, and its connections stay dead',
  happens: 'The standby takes over. What the leader still says on the wire changes nothing that is Complete.',
  async inject(scene) {
    const { world } = scene
    const { leader, standby } = await world.roles()
    leader.wire.loseAnswers()
    await eventually(() => standby.leads || undefined, PATIENCE_MS, 'the standby leads')
    return async () => leader.wire.mend()
  },
}

const halfOpen: Fault = {
  name: 'half-open: both are heard, neither hears, and the connections stay dead',
  slow: true,
  happens: 'Records come up to 90 s late, when the silence of the watches is noticed. Nothing is missing from them.',
  async inject(scene) {
    const { world } = scene
    for (const { wire } of world.replicas) wire.loseAnswers()
    await lapsed(scene)
    return async () => {
      for (const { wire } of world.replicas) wire.mend()
    }
  },
}

const delayed: Fault = {
  name: 'every packet comes 300 ms late',
  happens: 'Records come later, and bounds that rest on an arrival are wider.',
  async inject({ world }) {
    for (const { wire } of world.replicas) wire.delay(300)
    return async () => {
      for (const { wire } of world.replicas) wire.mend()
    }
  },
}

const resets: Fault = {
  name: 'connections are reset again and again',
  happens: 'Nothing, or records come a little later: watches are resumed, writes are tried again.',
  async inject({ world }) {
    const timer = setInterval(() => {
      for (const { wire } of world.replicas) wire.reset()
    }, 250)
    // One that another fault has killed or stopped connects no more.
    const awake = world.replicas.filter((replica) => replica.awake)
    await forEach(awake, ({ wire }) => wire.resets >= 5, 'connections reset').catch((error: unknown) => {
      clearInterval(timer)
      throw error
    })
    return async () => clearInterval(timer)
  },
}

const restarted: Fault = {
  name: 'the API server is killed and comes back',
  silent: true,
  happens: 'Nothing can end meanwhile. Watches are resumed; the leader keeps its lease or takes it anew.',
  async inject({ world }) {
    await world.stage.bed.cluster.killPart('kube-apiserver')
    return () => world.stage.bed.cluster.startPart('kube-apiserver')
  },
}

const compacted: Fault = {
  name: 'both are cut off while etcd is compacted and the API server restarted: every resume gets 410',
  losesChanges: true,
  happens:
    'Everything is listed again. Pods that vanished meanwhile are recorded as Lost, with what is missing; one that came and went without ' +
    'a Killing event left no trace.',
  async inject({ world }) {
    for (const { front } of world.replicas) front.cut()
    return async () => {
      const { cluster } = world.stage.bed
      await cluster.compactEtcd()
      await cluster.killPart('kube-apiserver')
      await cluster.startPart('kube-apiserver')
      for (const { front } of world.replicas) front.mend()
    }
  },
}

const STORM = [429, 429, 500, 502, 503, 504] as const

const storm: Fault = {
  name: 'a storm of 429 and 5xx: four of five requests of both are refused',
  happens: 'Records come later, at the pace that Retry-After asks for; the lease may be lost and taken again.',
  async inject({ world, random }) {
    let answered = 0
    const act = () => {
      if (random() < 0.2) return undefined
      answered++
      const code = STORM[Math.floor(random() * STORM.length)] ?? 500
      const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'a storm', reason: 'InternalError', code }
      return { status: code, ...(code === 429 ? { headers: { 'retry-after': '1' } } : {}), body }
    }
    const ends = world.replicas.flatMap(({ front }) =>
      ['GET', 'PATCH', 'PUT', 'POST', 'DELETE'].map((method) => front.before(method, /./, act)),
    )
    for (const { wire } of world.replicas) wire.reset()
    await eventually(() => answered >= 10 || undefined, PATIENCE_MS, 'ten requests refused')
    return async () => {
      for (const end of ends) end()
    }
  },
}

const tokenless: Fault = {
  name: 'the token of both is refused, and a new one comes',
  happens:
    'Nothing is recorded until the file has a token that is good; then everything is, from where the watches were if the API server has still ' +
    'kept what came since (about 75 s).',
  async inject({ world }) {
    const since = performance.now()
    // Whoever held the Lease last goes on to write it, the other one to read it.
    const refused = ({ front }: Replica) =>
      ['GET', 'PUT'].some((method) => front.calls(method, /\/leases\//).some(({ status, at }) => status === 401 && at > since))
    await world.revokeToken()
    for (const { wire } of world.replicas) wire.reset()
    await forEach(world.replicas, refused, 'answered with 401')
    return async () => {
      const token = await world.issueToken()
      for (const replica of world.replicas) replica.renew(token)
    }
  },
}

/** Open records of those of the round's pods that are still there, so that they are written again; once there are some. */
async function openRecords({ world, namespace }: Scene): Promise<StoredPodTermination[]> {
  const find = async () => {
    const records = await listRecords(world.http, world.group)
    const open = records.filter(
      ({ pod, state }) => pod.namespace === namespace && state !== 'Complete' && world.ledger.get(pod.uid)?.removed === false,
    )
    return open.length >= 2 ? open : undefined
  }
  return await eventually(find, PATIENCE_MS, 'two open records')
}

const overwritten: Fault = {
  name: 'another writer puts nonsense into every open record',
  happens: "The controller's next write puts its own fields right; what others added beside them stays theirs.",
  async inject(scene) {
    const { http, group } = scene.world
    for (const { metadata } of await openRecords(scene)) {
      const at = '2001-01-01T00:00:00.000000Z'
      const mark = { mark: 'Removed', at, earliest: at, latest: at, source: 'Kernel', clock: 'Node', confidence: 'Measured' }
      const cause = { type: 'Preempted' }
      const nonsense = { state: 'Overdue', outcome: 'OOMKilled', summary: 'by hand', cause, startedAt: at, finishedAt: at }
      await http.request({
        method: 'PATCH',
        path: `/apis/${group}/v1alpha1/namespaces/${metadata.namespace}/podterminations/${metadata.name}`,
        contentType: 'application/merge-patch+json',
        query: { fieldManager: 'somebody' },
        body: {
          metadata: { labels: null },
          ...nonsense,
          tookMilliseconds: 1,
          findings: null,
          containers: null,
          timeline: [mark],
        },
      })
    }
    return async () => {}
  },
}

const deletedByHand: Fault = {
  name: 'every open record is deleted by hand',
  happens: "The controller's next write makes it again.",
  async inject(scene) {
    const { http, group } = scene.world
    for (const { metadata } of await openRecords(scene)) {
      const path = `/apis/${group}/v1alpha1/namespaces/${metadata.namespace}/podterminations/${metadata.name}`
      await http.request({ method: 'DELETE', path })
    }
    return async () => {}
  },
}

const quota: Fault = {
  name: 'a quota of records is full, and lifted',
  happens: 'Told once for the namespace. What was refused is tried again after 5 minutes, and at once by the next leader.',
  async inject({ world, namespace }) {
    const path = `/api/v1/namespaces/${namespace}/resourcequotas`
    const resource = `count/podterminations.${world.group}`
    const spec = { hard: { [resource]: '1' } }
    const body = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'records' }, spec }
    await world.http.request({ method: 'POST', path, body })
    const inForce = async () => {
      const found = await world.http.request({ method: 'GET', path: `${path}/records` })
      return found.json<{ status?: { hard?: Record<string, string> } }>().status?.hard?.[resource] !== undefined || undefined
    }
    await eventually(inForce, PATIENCE_MS, 'the quota in force')
    return async () => {
      const told = () => world.replicas.some(({ controller }) => refusedBy(controller, namespace)) || undefined
      await eventually(told, PATIENCE_MS, 'a refusal told')
      await world.http.request({ method: 'DELETE', path: `${path}/records` })
      const records = `/apis/${world.group}/v1alpha1/namespaces/${namespace}/podterminations`
      const pod = { namespace, name: 'probe', uid: 'probe' }
      const apiVersion = `${world.group}/v1alpha1`
      const probe = { apiVersion, kind: 'PodTermination', metadata: { name: 'probe', namespace }, pod }
      const lifted = () =>
        world.http.request({ method: 'POST', path: records, query: { dryRun: 'All' }, body: probe }).catch((error: unknown) => {
          if (error instanceof KubeError && error.code === 'Forbidden') return undefined
          throw error
        })
      await eventually(lifted, PATIENCE_MS, 'the quota lifted')
      const { leader } = await world.roles()
      await leader.controller.kill()
      await world.start()
    }
  },
}

const refusedBy = (controller: Replica['controller'], namespace: string): boolean =>
  controller.said('records refused').some((line) => line.namespace === namespace && line.reason === 'QuotaExceeded')

const FIRST_OF_NODE =
  "The kubelet's times are as its clock has them, marked `clock: Node`; bounds hold all the same, and ClockSkew says how far the clocks are " +
  'apart where that is known.'

const ahead: Fault = {
  name: "the node's clock is 90 s ahead",
  happens: FIRST_OF_NODE,
  aheadMs: 90_000,
  finding: 'ClockSkew',
  inject: async () => async () => {},
}

const behind: Fault = {
  name: "the node's clock is 40 s behind, and the leader is killed",
  happens: 'The same: the next leader compares the clocks anew.',
  aheadMs: -40_000,
  finding: 'ClockSkew',
  inject: leaderKilled.inject,
}

export const FAULTS: readonly Fault[] = [
  none,
  leaderKilled,
  standbyKilled,
  bothKilled,
  leaderPaused,
  held,
  lost,
  leaderHalfOpen,
  halfOpen,
  delayed,
  resets,
  restarted,
  compacted,
  storm,
  tokenless,
  overwritten,
  deletedByHand,
  quota,
  ahead,
  behind,
]

/** Those of the short form. */
export const QUICK: readonly Fault[] = FAULTS.filter(({ slow }) => slow !== true)

/** Those that come at random two at a time: one of a process, one of the network. */
const OF_PROCESSES: readonly Fault[] = [leaderKilled, standbyKilled, leaderPaused]
const OF_NETWORK: readonly Fault[] = [held, delayed, resets, storm]

/** @param faults those that may come alone */
export function atRandom(random: () => number, faults: readonly Fault[] = FAULTS): Fault {
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T // of lists that are not empty
  if (random() < 0.6) return one(faults)
  const [first, second] = [one(OF_PROCESSES), one(OF_NETWORK)]
  return {
    name: `${first.name}; ${second.name}`,
    happens: `${first.happens} ${second.happens}`,
    async inject(scene) {
      const mendFirst = await first.inject(scene)
      const mendSecond = await second.inject(scene).catch(async (error: unknown) => {
        await mendFirst()
        throw error
      })
      return async () => {
        await mendFirst()
        await mendSecond()
      }
    },
  }
}
