import type { PodTermination } from '../../src/api/pod-termination.ts'
import { API_VERSION } from '../../src/api/pod-termination.ts'
import type { Micros } from '../../src/core/time.ts'
import type { Raw } from './api.ts'
import { SYSTEM } from './controller.ts'
import type { Expectation, Scenario } from './scenario.ts'
import { Stage } from './stage.ts'
import type { Truth } from './truth/truth.ts'
import { type CheckedMark, verify } from './verify.ts'
import type { Line } from './watch.ts'
import type { World } from './world.ts'

const COMPLETE_WITHIN_SECONDS = 60
/** Facts that come after Complete cost one more write, which has come by then. */
const QUIET_SECONDS = 2.5
const FIRST_WRITE_MILLISECONDS = 2_000
const AGENT_WRITES_EACH_MILLISECONDS = 5_000
/** A record that must not be would have come by then. */
const UNRECORDED_SECONDS = 4

/** What one pod of a scenario showed. */
export interface PodResult {
  readonly name: string
  readonly truth: Truth
  readonly record: PodTermination | undefined
  readonly marks: readonly CheckedMark[]
  /** From the removal of the pod to the arrival of the Complete record, in microseconds; absent where the object stays. */
  readonly delay?: Micros
  /** Versions of the record that the API server showed. */
  readonly writes: number
  /** Containers whose Killing Event the test's own watch saw: the kubelet drops Events, and a namespace may refuse them. */
  readonly killing: readonly string[]
}

export interface ScenarioResult {
  readonly number: number
  readonly title: string
  readonly did: string
  readonly alone: boolean
  /** The agent was installed. */
  readonly agent: boolean
  readonly pods: readonly PodResult[]
  readonly problems: readonly string[]
}

/** Plays the story, waits for the records, and holds each against the truth. */
export async function runScenario(world: World, scenario: Scenario): Promise<ScenarioResult> {
  const stage = await Stage.open(world, String(scenario.number))
  const started = world.clock.now()
  const pods = await scenario.act(stage)
  const acted = world.clock.now()
  const problems: string[] = []
  const results: PodResult[] = []
  for (const pod of pods) {
    const of = pods.length > 1 ? `${pod.metadata.name}: ` : ''
    const found = scenario.unrecorded?.test(pod.metadata.name)
      ? await absence(stage, pod)
      : await presence(stage, pod, expectationOf(scenario, pod), scenario.alone === true)
    problems.push(...found.problems.map((problem) => `${of}${problem}`))
    if (found.result !== undefined) results.push(found.result)
  }
  world.observations.check()
  if (!scenario.alone && world.observations.holeBetween(started, acted)) {
    problems.push("the test's own watch had a hole, so its truth may be wrong")
  }
  if (world.trace.lost > 0) problems.push('the kernel dropped trace events: its ring buffer was too small')
  const { number, title, did, alone = false } = scenario
  return { number, title, did, alone, agent: world.agent !== undefined, pods: results, problems }
}

function expectationOf(scenario: Scenario, pod: Raw): Expectation {
  const found = scenario.expect.find((it) => it.pod.test(pod.metadata.name))
  if (found === undefined) throw new Error(`scenario ${scenario.number} says nothing of the pod ${pod.metadata.name}`)
  return found
}

interface Found {
  readonly problems: readonly string[]
  readonly result?: PodResult
}

async function absence(stage: Stage, pod: Raw): Promise<Found> {
  await stage.pass(UNRECORDED_SECONDS)
  const line = stage.world.observations.records.get(pod.metadata.uid)?.at(-1)
  return { problems: line === undefined ? [] : [`it has a record (${line.object.outcome}) and must have none`] }
}

async function presence(stage: Stage, pod: Raw, expected: Expectation, disturbed: boolean): Promise<Found> {
  const { observations } = stage.world
  const { uid, name } = pod.metadata
  const lines = (): readonly Line[] => (observations.records.get(uid) ?? []).filter(({ type }) => type !== 'DELETED')
  let complete: Line | undefined
  try {
    complete = await observations.waitFor(
      () => lines().find(({ object }) => object.state === 'Complete'),
      COMPLETE_WITHIN_SECONDS,
      `the record of pod ${name} Complete`,
    )
    await observations.quiet(uid, QUIET_SECONDS)
  } catch (error) {
    observations.check()
    const state = lines().at(-1)?.object.state ?? 'absent'
    const truth = stage.world.truthOf(uid, stage.actionsOn(uid))
    const result = { name, truth, record: undefined, marks: [], writes: lines().length, killing: [] }
    return { problems: [`${error instanceof Error ? error.message : String(error)} (it is ${state})`], result }
  }
  const history = lines().map(({ object }) => object)
  const object: Raw = history.at(-1)
  const record: PodTermination = object
  const truth = stage.world.truthOf(uid, stage.actionsOn(uid))
  const agent = stage.world.agent !== undefined
  const { problems, marks } = verify(record, truth, expected, { agent })
  problems.push(...placeProblems(object, expected), ...(expected.also?.(record, truth, history) ?? []))
  const events = observations.events.get(uid) ?? []
  problems.push(...eventProblems(record, events))
  const removed = observations.pods.get(uid)?.findLast(({ type }) => type === 'DELETED')?.arrivedAt
  const versions = new Set(history.map(({ metadata }) => metadata.resourceVersion))
  const overdue = history.some((version) => version.state === 'Overdue')
  const allowed = writesAllowed(record, overdue) + (agent ? agentWritesAllowed(record) : 0)
  if (!disturbed && versions.size > allowed) problems.push(`the record took ${versions.size} writes, more than ${allowed}`)
  const result: PodResult = {
    name,
    truth,
    record,
    marks,
    writes: versions.size,
    killing: killingEvents(events),
    ...(removed === undefined ? {} : { delay: complete.arrivedAt - removed }),
  }
  return { problems, result }
}

/** One for an end within 2 s, two for a later one, one more for Overdue, one more for facts that come after Complete. */
function writesAllowed(record: PodTermination, overdue: boolean): number {
  const long = (record.tookMilliseconds ?? 0) > FIRST_WRITE_MILLISECONDS
  return (long ? 2 : 1) + (overdue ? 1 : 0) + 1
}

/** One when the last container has ended, and one each 5 s of a long termination. */
function agentWritesAllowed({ tookMilliseconds = 0 }: PodTermination): number {
  return 1 + Math.ceil(tookMilliseconds / AGENT_WRITES_EACH_MILLISECONDS)
}

/** `kubectl describe pod` shows each Warning of the record. */
function eventProblems({ findings = [] }: PodTermination, events: readonly Line[]): string[] {
  const warnings = findings.filter(({ severity }) => severity === 'Warning')
  return warnings
    .filter(({ type }) => !events.some(({ object }) => object.type === 'Warning' && object.reason === type))
    .map(({ type }) => `no Event of the pod tells of the finding ${type}`)
}

function killingEvents(lines: readonly Line[]): string[] {
  return lines
    .filter(({ object }) => object.reason === 'Killing')
    .flatMap(({ object }) => /\{([^}]+)\}$/.exec(object.involvedObject.fieldPath ?? '')?.[1] ?? [])
}

/** Where the record stands and what its metadata says. */
function placeProblems(object: Raw, expected: Expectation): string[] {
  const { namespace, name, labels = {}, ownerReferences } = object.metadata
  const problems: string[] = []
  const want = (field: string, is: unknown, shall: unknown) => {
    if (is !== shall) problems.push(`${field} is ${String(is)}, not ${String(shall)}`)
  }
  want('apiVersion', object.apiVersion, API_VERSION)
  want('metadata.namespace', namespace, expected.ownNamespace ? SYSTEM : object.pod.namespace)
  const prefix = expected.ownNamespace ? `${object.pod.namespace}.` : ''
  want('metadata.name', name, `${prefix}${object.pod.name}.${object.pod.uid.slice(0, 8)}`)
  want('metadata.ownerReferences', ownerReferences, undefined)
  want('label outcome', labels['gracewatch.dev/outcome'], object.outcome)
  want('label cause', labels['gracewatch.dev/cause'], object.cause.type)
  return problems
}
