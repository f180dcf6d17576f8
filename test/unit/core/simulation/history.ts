/**
 * A true history, told as what the API showed of it. From a plan come the true times of every step, from these the objects and
 * Events with their floors, clocks and delays; the core sees only the latter, and is held against the former.
 */
import type { Cause, MarkType } from '../../../../src/api/pod-termination.ts'
import type { Clock } from '../../../../src/core/evidence.ts'
import { MILLISECOND, type Micros, SECOND } from '../../../../src/core/time.ts'
import { aPod, EPOCH, type PodStory } from '../../builders.ts'
import { type Attempt, exitIf, type Life, stopContainers } from './kubelet.ts'
import type { Plan } from './plan.ts'
import { type Rotation, tellServices } from './services.ts'

/** Something that really happened; where it took a while (a hook's end, noticed later) from `at` to `until`. */
export interface TrueMark {
  readonly mark: MarkType
  readonly container?: string
  readonly service?: string
  readonly at: Micros
  readonly until?: Micros
}

export interface TrueHistory {
  readonly story: PodStory
  readonly marks: readonly TrueMark[]
  readonly lives: readonly Life[]
  readonly rotations: readonly Rotation[]
  readonly causes: readonly Cause[]
  /** When the pod's end began. */
  readonly beganAt: Micros
  /** Ahead of true time, which is the recorder's. */
  readonly offsets: Readonly<Record<Clock, Micros>>
  /** First stop signal to a main container. */
  readonly firstSignalAt: Micros | undefined
  /**
   * No history to judge by: a container ended by itself where the kubelet had been away in mid-termination, and got neither the
   * signal that the rules foretell nor a second Killing Event (or all Events were lost), and nothing that the API shows tells it
   * from one that did. Or the pod had ended before, and its deletion is no termination.
   */
  readonly unruled: boolean
}

const MS = MILLISECOND
const seconds = (at: Micros): number => (at - EPOCH) / SECOND

/** Steps of the story, told in the order in which the API server wrote them. */
export class Script {
  readonly #steps: { at: Micros; tell: (at: Micros) => void }[] = []

  add(at: Micros, tell: (at: Micros) => void): void {
    this.#steps.push({ at: Math.round(at), tell })
  }

  /** Two writes never have the same time: the later told one comes a microsecond later. */
  play(): void {
    let last = Number.NEGATIVE_INFINITY
    for (const { at, tell } of [...this.#steps].sort((a, b) => a.at - b.at)) {
      last = Math.max(at, last + 1)
      tell(last)
    }
  }
}

/** When each stream's next delivery arrives: after a delay of its own, and never before the one before it. */
class Arrivals {
  readonly #delays: readonly number[]
  readonly #last = new Map<string, Micros>()
  #index = 0

  constructor(delays: readonly number[]) {
    this.#delays = delays
  }

  of(stream: string, at: Micros): number {
    const delay = (this.#delays[this.#index++ % this.#delays.length] ?? 1) * MS
    const arrives = Math.max(at + delay, (this.#last.get(stream) ?? 0) + 1)
    this.#last.set(stream, arrives)
    return seconds(arrives)
  }
}

export function simulate(plan: Plan): TrueHistory {
  const names = plan.containers.map((_, index) => `c${index + 1}`)
  const beganAt = EPOCH + plan.fraction * MS
  const { story, lives } = cast(plan, names, beganAt)
  const script = new Script()
  const arrivals = new Arrivals(plan.deliveries)
  const pods = (at: Micros) => ({ at: seconds(at), arrives: arrivals.of('Pod', at) })
  const marks: TrueMark[] = []
  const happened = (mark: MarkType, at: Micros, tell: () => void) => {
    marks.push({ mark, at })
    tell()
  }
  const deletes = plan.ending === 'Delete' || plan.ending === 'EvictionAPI' || plan.ending === 'Taint'
  const asked = plan.askedGrace ?? plan.specGrace
  // A delete with grace 0 is a force delete, whoever asks for it.
  const force = plan.ending === 'ForceDelete' || (deletes && asked === 0)
  const kubeletGrace =
    plan.ending === 'Evicted'
      ? plan.askedGrace === undefined
        ? 0
        : Math.min(plan.askedGrace, plan.specGrace)
      : plan.ending === 'NodeShutdown'
        ? Math.min(asked, plan.specGrace)
        : plan.specGrace

  script.add(beganAt - 60 * SECOND, (at) => story.seen(pods(at)))
  // --- the kubelet's side
  const { kubelet } = plan
  let grace = Math.max(1, force ? 0 : deletes ? asked : kubeletGrace)
  const firstAt = beganAt + (deletes || force ? kubelet.delay * MS : 0)
  const second = plan.secondDelete
  const secondAt = beganAt + (second?.ms ?? 0) * MS
  const shortens = deletes && !force && second !== undefined && second.grace < asked
  const shortenedTo = shortens
    ? secondAt > floorOf(story, beganAt) + second.grace * SECOND && second.grace > 0
      ? 1
      : second.grace
    : undefined
  if (shortenedTo !== undefined && shortenedTo > 0 && secondAt <= firstAt) grace = Math.max(1, shortenedTo)
  const againAt = kubelet.again === undefined ? Number.POSITIVE_INFINITY : firstAt + kubelet.again.ms * MS
  const attempts: Attempt[] = [
    { startsAt: firstAt, graceSeconds: grace, endsAt: againAt, kubeletDies: kubelet.again?.how === 'Restart' },
  ]
  limitCode137(lives, (plan.lostEvents === 'None' ? firstAt : beganAt) + Math.max(grace, 2) * SECOND - SECOND)
  keepEndsByThemselvesApart(plan, lives, beganAt, firstAt)
  tellCrashesBefore(plan, lives, story, script, pods, beganAt)
  let stopping = stopContainers(lives, attempts[0] as Attempt, kubelet.lag) // just made
  if (stopping.broken && kubelet.again !== undefined) {
    const startsAt = stopping.at + kubelet.again.pause * MS
    for (const life of lives) if (life.started && life.exit === undefined) exitIf(life, startsAt)
    if (shortenedTo !== undefined && shortenedTo > 0 && secondAt <= startsAt) grace = Math.max(1, shortenedTo)
    const attempt: Attempt = { startsAt, graceSeconds: grace, endsAt: Number.POSITIVE_INFINITY, kubeletDies: false }
    limitCode137(lives, startsAt + Math.max(grace, 2) * SECOND - SECOND)
    attempts.push(attempt)
    stopping = stopContainers(lives, attempt, 0)
  }
  const mains = lives.filter(({ plan: { role } }) => role === 'Main')
  const over = plan.restartPolicy === 'Never' && mains.every(({ started, ownExitAt }) => started && ownExitAt < beganAt)
  const away =
    attempts.length > 1 &&
    lives.some(
      ({ started, runs, signalAt }) => started && signalAt === undefined && (runs.length === 1 || plan.lostEvents === 'All'),
    )
  const stopped = Math.max(stopping.at, ...lives.map(({ plan: { reaped }, exit }) => (exit?.at ?? 0) + reaped * MS))

  // --- the object's side
  const forceAt = force ? beganAt : shortenedTo === 0 ? secondAt : Number.POSITIVE_INFINITY
  const reportedAt = stopped + kubelet.statusDelay * MS
  const finishedAt = reportedAt + (kubelet.phaseDelay ?? 0) * MS
  const forcedFirst = forceAt <= finishedAt + kubelet.cleanup * MS
  const alive = (at: Micros) => at < forceAt
  const causes: Cause[] = []
  if (deletes || force) {
    const mark =
      plan.ending === 'EvictionAPI' ? 'EvictionByEvictionAPI' : plan.ending === 'Taint' ? 'DeletionByTaintManager' : undefined
    if (mark !== undefined) {
      script.add(beganAt - 20 * MS, (at) => story.condition('DisruptionTarget', mark, { at: seconds(at) }).reported(pods(at)))
    }
    causes.push(plan.ending === 'EvictionAPI' ? 'EvictedByAPI' : plan.ending === 'Taint' ? 'Tainted' : 'Deleted')
    if (force || shortenedTo === 0) causes.push('ForceDeleted')
    if (!force) script.add(beganAt, (at) => happened('Terminating', at, () => story.deleted({ ...pods(at), grace: asked })))
    if (shortenedTo !== undefined && shortenedTo > 0 && secondAt < finishedAt) {
      script.add(secondAt, (at) =>
        happened('GraceShortened', at, () => story.deleted({ ...pods(at), grace: second?.grace ?? 0 })),
      )
    }
  } else {
    causes.push(plan.ending === 'Deadline' ? 'DeadlineExceeded' : plan.ending === 'Evicted' ? 'Evicted' : 'NodeShutdown')
  }

  for (const [index, { startsAt }] of attempts.entries()) {
    if (kubelet.ack === undefined && index === 0) continue
    const at = startsAt + (kubelet.ack ?? 30) * MS
    if (!alive(at) || at >= reportedAt || !(deletes || force)) continue
    const known = lives.filter(
      ({ plan: { reaped }, exit }) => exit !== undefined && exit.at < startsAt - Math.max(kubelet.lag, reaped) * MS,
    )
    script.add(at, (now) => {
      tellExits(known, story)
      happened('Acknowledged', now, () => story.acknowledged(pods(now)))
    })
  }
  if (alive(reportedAt)) {
    const at1 = kubelet.phaseDelay === undefined || !deletes
    script.add(reportedAt, (at) => {
      tellExits(lives, story)
      tellReason(plan, story)
      if (deletes) marks.push({ mark: 'Acknowledged', at })
      if (at1) marks.push({ mark: 'PodFinished', at })
      story.reported({ ...pods(at), ...(at1 ? { phase: phaseOf(plan, lives) } : {}) })
    })
    if (!at1 && alive(finishedAt)) {
      script.add(finishedAt + 1, (at) =>
        happened('PodFinished', at, () => story.reported({ ...pods(at), phase: phaseOf(plan, lives) })),
      )
    }
  }
  const removedAt = forcedFirst ? forceAt : finishedAt + kubelet.cleanup * MS + 2
  if (deletes || force) {
    const held = plan.finalizerMs
    script.add(removedAt, (at) => {
      if (force) marks.push({ mark: 'Terminating', at })
      if (held === undefined) marks.push({ mark: 'Removed', at, until: at + 3000 })
      story.removed(pods(at))
    })
    if (held !== undefined) {
      script.add(removedAt + held * MS, (at) => happened('Removed', at + 1, () => story.released(pods(at)).gone(pods(at + 1))))
    }
  }

  tellEvents(plan, lives, attempts, story, script, arrivals, beganAt)
  const lastSeenAt = alive(finishedAt) ? finishedAt + 1 : forceAt
  const rotations = tellServices(plan, story, script, (at) => arrivals.of('EndpointSlice', at), beganAt, lastSeenAt)
  script.play()

  for (const life of lives) marks.push(...marksOf(life))
  for (const { service, flips } of rotations) for (const { mark, at } of flips) marks.push({ mark, service, at })
  const signals = lives.flatMap(({ plan: { role }, signalAt }) => (role === 'Main' && signalAt !== undefined ? [signalAt] : []))
  return {
    story,
    marks,
    lives,
    rotations,
    causes,
    beganAt,
    offsets: { Recorder: 0, APIServer: plan.clocks.api * MS, Node: plan.clocks.node * MS },
    firstSignalAt: signals.length === 0 ? undefined : Math.min(...signals),
    unruled: away || over,
  }
}

/** What deletionTimestamp - grace of a delete at this time says, in true time. */
function floorOf(story: PodStory, at: Micros): Micros {
  const api = story.apiTime(seconds(at))
  return at - (api % SECOND)
}

function cast(plan: Plan, names: readonly string[], beganAt: Micros): { story: PodStory; lives: Life[] } {
  const { clocks } = plan
  const finalizers = plan.finalizerMs === undefined ? [] : ['example.com/hold']
  const story = aPod({
    grace: plan.specGrace,
    restartPolicy: plan.restartPolicy,
    finalizers,
    containers: plan.containers.map((container, index) => ({
      name: names[index] ?? '',
      role: container.role,
      ...(container.hook === undefined
        ? {}
        : {
            preStop: {
              handler: container.hook.handler,
              ...(container.hook.handler === 'Sleep' ? { seconds: container.hook.ms / 1000 } : {}),
            },
          }),
      ...(container.stopSignal === undefined ? {} : { stopSignal: container.stopSignal }),
    })),
  }).clocks({ api: clocks.api / 1000, node: clocks.node / 1000 })
  if (plan.kubelet.ack === undefined) story.withoutObservedGeneration()
  if (clocks.comparedApi !== undefined) story.compared('APIServer', clocks.comparedApi[0] / 1000, clocks.comparedApi[1] / 1000)
  if (clocks.comparedNode !== undefined) story.compared('Node', clocks.comparedNode[0] / 1000, clocks.comparedNode[1] / 1000)
  story.createdAt(-3605).running([], { since: -3600 })
  const lives = plan.containers.map((container, index): Life => {
    const name = names[index] ?? ''
    const began = seconds(beganAt)
    const ran = container.state === 'Running'
    if (ran) story.running([name])
    else if (container.state === 'NeverStarted') story.waiting(name, 'ContainerCreating')
    else story.waiting(name, 'CrashLoopBackOff', { at: began - 30, code: 1, restarts: 3 })
    return {
      name,
      plan: container,
      started: ran,
      ownExitAt: ran && container.own !== undefined ? beganAt + container.own.ms * MS : Number.POSITIVE_INFINITY,
      exit: container.state === 'BackOff' ? { at: beganAt - 30 * SECOND, code: 1, reason: 'Error', by: 'Itself' } : undefined,
      signalAt: undefined,
      killAt: undefined,
      runs: [],
      answersAt: Number.POSITIVE_INFINITY,
      no137From: Number.POSITIVE_INFINITY,
    }
  })
  return { story, lives }
}

/** What ended before the pod's end began is reported as such where the kubelet had the time. */
function tellCrashesBefore(
  plan: Plan,
  lives: readonly Life[],
  story: PodStory,
  script: Script,
  pods: (at: Micros) => { at: number; arrives: number },
  beganAt: Micros,
): void {
  for (const life of lives) {
    // The kubelet hears of it from the runtime, and of nothing before that does.
    const reportedAt = life.ownExitAt + Math.max(plan.kubelet.lag, life.plan.reaped) * MS
    if (!life.started || reportedAt >= beganAt - 30 * MS) continue
    exitIf(life, beganAt)
    script.add(reportedAt, (at) => {
      tellExits([life], story)
      story.reported(pods(at))
    })
  }
}

/**
 * Assumed of the histories here: where a container ends with 137 by another's hand (or its own will), then not in the second before
 * its SIGKILL would have been due, or later. By the API's whole seconds the two are the same, and the core takes them for the SIGKILL.
 */
function limitCode137(lives: readonly Life[], from: Micros): void {
  // finishedAt is a little late, too.
  for (const life of lives) life.no137From = Math.min(life.no137From, from - 100 * MS)
}

/**
 * Assumed of the histories here: a container that is there to run on does not end by itself with 0, nor with the number of its stop
 * signal, in the second before the delete or between that and the kubelet's turning to it.
 */
function keepEndsByThemselvesApart(plan: Plan, lives: readonly Life[], beganAt: Micros, firstAt: Micros): void {
  for (const life of lives) {
    const { own, role, spread } = life.plan
    if (own === undefined) continue
    const natural = own.code === 0 && plan.restartPolicy !== 'Always' && role !== 'Sidecar'
    if (natural || !(own.code === 0 || own.code === 143)) continue
    const killingAt = firstAt + spread * MS
    const from = beganAt - SECOND - 100 * MS
    if (life.ownExitAt >= from && life.ownExitAt <= killingAt)
      Object.assign(life, { plan: { ...life.plan, own: { ...own, code: 2 } } })
  }
}

function tellExits(lives: readonly Life[], story: PodStory): void {
  for (const { name, plan, started, exit } of lives) {
    if (plan.forgotten) story.lost(name)
    else if (exit !== undefined) {
      story.exited(name, { at: seconds(exit.at + plan.reaped * MS), code: exit.code, reason: exit.reason })
    } else if (!started && plan.state === 'NeverStarted') story.lost(name)
  }
}

function tellReason(plan: Plan, story: PodStory): void {
  if (plan.ending === 'Evicted') story.phase('Failed', 'Evicted', 'The node was low on resource: memory.')
  if (plan.ending === 'Deadline')
    story.phase('Failed', 'DeadlineExceeded', 'Pod was active on the node longer than the specified deadline')
  if (plan.ending === 'NodeShutdown')
    story.phase('Failed', 'Terminated', 'Pod was terminated in response to imminent node shutdown.')
}

function phaseOf(plan: Plan, lives: readonly Life[]): string {
  const kubelet = plan.ending === 'Evicted' || plan.ending === 'Deadline' || plan.ending === 'NodeShutdown'
  const failed = lives.some(({ plan: { role }, exit }) => role === 'Main' && exit?.code !== 0)
  return kubelet || failed ? 'Failed' : 'Succeeded'
}

function tellEvents(
  plan: Plan,
  lives: readonly Life[],
  attempts: readonly Attempt[],
  story: PodStory,
  script: Script,
  arrivals: Arrivals,
  beganAt: Micros,
): void {
  const { eventDelay, again } = plan.kubelet
  let index = 0
  const lost = (): boolean => {
    if (typeof plan.lostEvents === 'string') return plan.lostEvents === 'All'
    return plan.lostEvents[index++ % plan.lostEvents.length] ?? false
  }
  const tell = (at: Micros, event: (when: { at: number; written: number; arrives: number }) => void) => {
    if (lost()) return
    script.add(at + eventDelay * MS, (written) =>
      event({ at: seconds(Math.round(at)), written: seconds(written), arrives: arrivals.of('Event', written) }),
    )
  }
  const first = lives[0]
  // An older Killing can be told from this one only by its time, and that only where the API server's clock has been compared.
  if (plan.sandboxKilled !== undefined && plan.clocks.comparedApi !== undefined && first?.started === true) {
    const at = beganAt - plan.sandboxKilled * MS
    tell(at, (when) => story.killing(first.name, when))
    script.add(at + 2 * SECOND, (now) =>
      story
        .running([first.name], { since: seconds(now - 100 * MS), restarts: 1 })
        .reported({ at: seconds(now), arrives: arrivals.of('Pod', now) }),
    )
  }
  for (const { name, runs } of lives) {
    for (const [run, { killingAt, hook }] of runs.entries()) {
      const retried = run > 0 && again?.how === 'Retry' && attempts.length > 1
      tell(killingAt, (when) => story.event('Killing', name, { ...when, message: `Stopping container ${name}`, again: retried }))
      const failedAt = hook?.failedAt
      if (failedAt !== undefined) {
        const before = runs.slice(0, run).some((earlier) => earlier.hook?.failedAt !== undefined)
        tell(failedAt, (when) =>
          story.event('FailedPreStopHook', name, { ...when, message: 'PreStopHook failed', again: retried && before }),
        )
      }
    }
  }
}

function marksOf({ name, runs, signalAt, killAt, exit }: Life): TrueMark[] {
  const marks: TrueMark[] = []
  const add = (mark: MarkType, at: Micros | undefined, until?: Micros) => {
    if (at !== undefined) marks.push({ mark, container: name, at, ...(until === undefined ? {} : { until }) })
  }
  for (const { hook } of runs) {
    if (hook === undefined) continue
    add('PreStopStarted', hook.startedAt)
    add('PreStopFinished', Math.min(hook.endedAt, hook.waitedUntil), Math.max(hook.endedAt, hook.waitedUntil, hook.failedAt ?? 0))
  }
  add('StopSignal', signalAt)
  add('Kill', killAt)
  add('ContainerExited', exit?.at)
  return marks
}
