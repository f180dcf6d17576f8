/** One round: pods whose ends lie before, across, inside and after a fault, and what the records say of them when all is over. */
import type { FindingType } from '../../src/api/pod-termination.ts'
import { delay, eventually } from '../apiserver/waiting.ts'
import { type Audit, audit, lacking, listRecords, problemsOf } from './audit.ts'
import { bystander, KINDS, type Kind, type Place, type Story, tell } from './stories.ts'
import { PATIENCE_MS, type Replica, type World } from './world.ts'

const MIB = 1024 * 1024
const WORKERS = 6

/** What a fault may use while it lasts. */
export interface Scene {
  readonly world: World
  /** Where the round's pods are. */
  readonly namespace: string
  readonly random: () => number
}

export interface Fault {
  readonly name: string
  /** What a user sees, in a sentence. */
  readonly happens: string
  /** Makes it, and resolves when it is in force. @returns what ends it */
  inject(scene: Scene): Promise<() => Promise<void>>
  /** No call of the test itself gets through while it lasts. */
  readonly silent?: true
  /** Nobody watches while it lasts. */
  readonly unseen?: true
  /** It takes over a minute to be noticed: left to the long form. */
  readonly slow?: true
  /** Changes are lost to replicas that live on. */
  readonly losesChanges?: true
  /** The round's pods are on a node of their own whose clock is ahead by so much; it is another one in each round. */
  readonly aheadMs?: number
  /** Some record of the round says so. */
  readonly finding?: FindingType
}

export interface Outcome extends Audit {
  readonly fault: string
  readonly seconds: number
  /** Resident mebibytes of each replica, when it had caught up first and now. */
  readonly memory: readonly { readonly replica: string; readonly first: number; readonly now: number; readonly peak: number }[]
}

const SPANS = ['before', 'into', 'inside', 'born', 'out', 'through', 'after'] as const
type Span = (typeof SPANS)[number]

/** Does these with some at a time. */
export async function each<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const work = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) results[index] = await act(item)
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, work))
  return results
}

export async function namespaceOf(world: World, name: string): Promise<string> {
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  await world.http.request({ method: 'POST', path: '/api/v1/namespaces', body })
  return name
}

export interface RoundOptions {
  readonly label: string
  readonly kinds?: readonly Kind[]
  readonly random: () => number
}

export async function round(world: World, fault: Fault, { label, kinds = KINDS, random }: RoundOptions): Promise<Outcome> {
  const startedAt = performance.now()
  const namespace = await namespaceOf(world, `${world.stage.bed.namespace}-${label}`)
  const kubelet = fault.aheadMs === undefined ? world.stage.kubelet : await world.kubelet(label, fault.aheadMs)
  const place = { ...placeIn(world, namespace), kubelet }
  const make = (span: Span, there = place) => each(kinds, (kind) => tell(kind, there, `${span}-${kind}`))
  const cast = {} as Record<Span, Story[]> // filled here, or where the span begins
  for (const span of SPANS) cast[span] = span === 'born' || (span === 'inside' && fault.silent) ? [] : await make(span)
  const living = await bystander(place, 'bystander')
  const begin = (...spans: Span[]) =>
    each(
      spans.flatMap((span) => cast[span]),
      (story) => story.begin(),
    )
  const end = (...spans: Span[]) =>
    each(
      spans.flatMap((span) => cast[span]),
      (story) => story.end(),
    )
  const whole = (...spans: Span[]) =>
    each(
      spans.flatMap((span) => cast[span]),
      async (story) => {
        await story.begin()
        await story.end()
      },
    )

  await begin('into', 'through')
  await whole('before')
  const mend = await fault.inject({ world, namespace, random })
  try {
    if (fault.silent !== true) {
      cast.born = await make('born', { ...place, unseen: true })
      await Promise.all([end('into'), whole('inside', 'born'), begin('out')])
      // Until everything has been listed again, which is after the fault.
      if (fault.losesChanges === true || fault.unseen === true)
        world.ledger.lostChanges(
          SPANS.filter((span) => span !== 'before').flatMap((span) => cast[span].map(({ entry }) => entry)),
        )
    }
  } finally {
    await mend()
  }
  // Nothing of it was begun where the API server was away.
  if (fault.silent === true) await begin('out')
  await Promise.all([end('through', 'out'), whole('after')])
  if (fault.silent === true) await end('into')
  await settled(world, label)
  await living.begin()
  await living.end()
  await settled(world, label)
  return await judged(world, fault.name, startedAt, fault.finding)
}

/** Everything has been dealt with: what the records say is held against the ledger, and what there was goes. */
export async function judged(world: World, fault: string, startedAt: number, finding?: FindingType): Promise<Outcome> {
  await world.healthy()
  const records = await listRecords(world.http, world.group)
  const result = audit(world.ledger, records)
  const open = new Set(world.ledger.open.map(({ uid }) => uid))
  const found = records.some(({ pod, findings }) => open.has(pod.uid) && findings?.some(({ type }) => type === finding))
  if (finding !== undefined && !found) result.wrong.push(`no record of the round says ${finding}`)
  const namespaces = new Set(world.ledger.open.map(({ namespace }) => namespace))
  world.ledger.settle()
  for (const replica of world.replicas) replica.lostBefore = replica.lostPlaces()
  await world.stage.bed.cluster.tryKubectl(['delete', 'namespace', ...namespaces, '--wait=false', '--ignore-not-found'])
  const memory = world.replicas.map((replica) => memoryOf(replica))
  // Blind until it finds its dead watches after 90 s: were it to lead in the next round, that would be another fault than that round's.
  const blind = world.replicas.filter(({ wire }) => wire.dead)
  if (blind.length > 0) {
    for (const { controller } of blind) await controller.kill()
    await world.healthy()
  }
  return { fault, seconds: (performance.now() - startedAt) / 1000, memory, ...result }
}

export const placeIn = (world: World, namespace: string): Place => ({
  ...{ http: world.http, kubelet: world.stage.kubelet, ledger: world.ledger },
  ...{ namespace, unseen: false },
})

function memoryOf({ name, level, controller }: Replica) {
  const { resident, peak } = controller.memory()
  const mib = (bytes: number) => Math.round(bytes / MIB)
  return { replica: name, first: mib(level ?? resident), now: mib(resident), peak: mib(peak) }
}

/** Every termination of the ledger has its Complete record. */
export async function settled(world: World, label: string): Promise<void> {
  let left: string[] = []
  const done = async () => {
    // All records are a long answer, and every call of the replicas goes through this process.
    if (left.length > 0) await delay(400)
    world.noteLostPlaces()
    left = lacking(world.ledger, await listRecords(world.http, world.group))
    return left.length === 0 || undefined
  }
  await eventually(done, PATIENCE_MS, `round ${label}: a Complete record of every termination`).catch((error: Error) => {
    throw new Error(`${error.message}; ${left.length} without:\n${left.join('\n')}\n${world.tail()}`)
  })
}

export function line(outcome: Outcome): string {
  const memory = outcome.memory.map(({ replica, first, now, peak }) => `${replica} ${first}→${now} (peak ${peak}) MiB`).join(', ')
  const problems = problemsOf(outcome)
  return (
    `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${outcome.fault}: ${outcome.terminations} terminations, ${outcome.records} records, ` +
    `${outcome.traceless} without a trace, ${outcome.missing.length} missing, ${outcome.double.length} double, ` +
    `${outcome.groundless.length} groundless, ${outcome.bounds.length} wrong bounds, ${outcome.wrong.length} otherwise wrong; ` +
    `${memory}; ${outcome.seconds.toFixed(0)} s${problems.map((problem) => `\n     ${problem}`).join('')}`
  )
}
