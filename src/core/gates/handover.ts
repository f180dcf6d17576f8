/**
 * The rollout brake: whether a pod of a new revision may become ready while pods of an older one are there. It looks only at how the
 * workload's pods have been ending; the pace is the workload's own, by its maxUnavailable and maxSurge.
 */
import type { HandoverCheck } from '../../api/pod-readiness-gate.ts'
import type { Outcome } from '../../api/pod-termination.ts'
import { parseDuration } from '../duration.ts'
import type { Workload } from '../evidence.ts'
import { type Micros, SECOND } from '../time.ts'
import { earliest } from './decide.ts'
import { cut, moment } from './text.ts'
import type { CheckResult, Condition, EndedPod, Hold, WorkloadFacts, WorkloadPod } from './types.ts'

/** On the workload: lets the rollout go on. */
export const RELEASE = 'gracewatch.dev/release'

/** Of its value so much is kept on the gate. */
const MAX_RELEASE = 253

export interface HandoverRules {
  readonly maxForcedKills: number
  readonly window: Micros
  readonly outcomes: readonly Outcome[]
  readonly waitForVerdict: boolean
  readonly maxHold: Micros
}

const microsOf = (text: string | undefined, fallback: Micros): Micros =>
  text === undefined ? fallback : (parseDuration(text) ?? fallback)

/** With the defaults of the schema, for a gate that an API server without them has kept. */
export const rulesOf = (check: HandoverCheck): HandoverRules => ({
  maxForcedKills: check.maxForcedKills ?? 0,
  window: microsOf(check.window, 600 * SECOND),
  outcomes: check.outcomes ?? ['ForcedKill'],
  waitForVerdict: check.waitForVerdict ?? true,
  maxHold: microsOf(check.maxHold, 1800 * SECOND),
})

export interface HandoverInput {
  readonly rules: HandoverRules
  readonly namespace: string
  /** The pod that asks. */
  readonly uid: string
  readonly revision: string
  /** The gate's condition on it. */
  readonly current: Condition | undefined
  /** Its containers are ready: it is only the gates that keep it out. */
  readonly containersReady: boolean
  readonly facts: WorkloadFacts
  /** What the gate holds of this workload. */
  readonly hold: Hold | undefined
  readonly now: Micros
  /** After its deadline a termination is waited for so long, then it is overdue and tells nothing any more. */
  readonly overdueSlack: Micros
}

export interface Handover {
  readonly result: CheckResult
  /** What the gate holds of this workload from now on; undefined: nothing. */
  readonly hold: Hold | undefined
}

/** Of a pod that was let in: it stays in, and what was said of it stays too. */
export const HANDED_OVER: CheckResult = { state: 'Pass', reason: 'HandedOver', message: 'the pod has been let in', kept: true }

/** Pods that run or end, and can still take or have taken traffic. */
const present = (pods: readonly WorkloadPod[]) => pods.filter(({ finished, verdict }) => finished !== true && verdict !== true)

export function handover(input: HandoverInput): Handover {
  const { rules, uid, revision, current, containersReady, facts, now } = input
  const hold = input.hold?.revision === revision ? input.hold : undefined
  const answer = (state: CheckResult['state'], reason: string, message: string, recheckAt?: Micros): CheckResult => ({
    state,
    reason,
    message,
    ...(recheckAt === undefined ? {} : { recheckAt }),
  })
  // Whatever happens to others: this one is in rotation.
  if (current?.status === 'True') return { result: HANDED_OVER, hold: input.hold }
  const others = present(facts.pods).filter((pod) => pod.uid !== uid && pod.revision !== revision)
  if (others.length === 0)
    return { result: answer('Pass', 'NoOldRevision', 'no pod of another revision is there'), hold: undefined }
  const rank = (of: string) => facts.revisions?.get(of)
  const [mine, theirs] = [rank(revision), others.map((pod) => rank(pod.revision))]
  if (mine === undefined || theirs.some((it) => it === undefined)) {
    const why = facts.revisionsProblem ?? 'which revision is the newer one is not known yet'
    return { result: answer('Unknown', 'RevisionsUnknown', why), hold: input.hold }
  }
  const newer = others.some((pod) => pod.terminating === undefined && (rank(pod.revision) ?? 0) > mine)
  const old = others.filter((pod) => (rank(pod.revision) ?? 0) < mine)
  if (newer || old.length === 0)
    return { result: answer('Pass', 'NotOfTheNewest', 'the pod replaces one of its own, older revision'), hold: input.hold }

  const bad = badEnds(facts.ended ?? [], rules, now)
  if (hold?.released !== undefined) return { result: released(hold), hold }
  const by = releaseOf(input, hold)
  if (by !== undefined) {
    const done: Hold = { ...(hold ?? { workload: facts.workload, revision, since: now }), released: { at: now, by } }
    return { result: released(done), hold: done }
  }
  if (facts.ended === undefined) {
    const why = facts.endedProblem ?? 'how the pods of the workload have been ending is not known yet'
    return { result: answer('Unknown', 'OutcomesUnknown', why), hold: input.hold }
  }
  if (bad.length > rules.maxForcedKills) {
    const next: Hold = hold ?? {
      workload: facts.workload,
      revision,
      since: now,
      ...(facts.release === undefined ? {} : { releaseSeen: cut(facts.release, MAX_RELEASE) }),
    }
    const until = holdUntil(next, bad, rules)
    return { result: answer('Fail', 'RolloutHeld', holdMessage(input, bad, until), until), hold: next }
  }
  const ending = rules.waitForVerdict
    ? old.flatMap(({ name, terminating }) => (terminating ? [{ name, ...terminating }] : []))
    : []
  const waits = ending
    .map(({ name, since, deadline }) => ({ name, until: Math.min(deadline + input.overdueSlack, since + rules.maxHold) }))
    .filter(({ until }) => now < until)
  if (waits.length > 0) {
    const names = waits.map(({ name }) => name).toSorted()
    const until = waits.map((wait) => wait.until)
    return {
      result: answer(
        'Fail',
        'WaitingForVerdict',
        `${list(names)} of an older revision ${names.length === 1 ? 'is' : 'are'} terminating: it is waited for how that ends, until ${moment(Math.max(...until))} at the latest`,
        earliest(until),
      ),
      hold: undefined,
    }
  }
  // A Deployment makes its first new pods before it takes an old one down, and what is let in stays in: one that is let in before it can
  // serve would be let in without any old pod having ended. Nothing is written for that: who has no condition is kept out as well.
  if (!containersReady) {
    const early = answer('Fail', 'ContainersNotReady', 'it is decided once the containers of the pod are ready')
    return { result: current === undefined ? { ...early, pending: true } : early, hold: undefined }
  }
  const window = span(rules.window)
  const ended =
    bad.length === 0
      ? `no pod of ${of(facts.workload)} ended in ${rules.outcomes.join(', ')} within ${window}`
      : `${bad.length} of the pods of ${of(facts.workload)} ended in ${rules.outcomes.join(', ')} within ${window}, which is not more than maxForcedKills (${rules.maxForcedKills})`
  return { result: answer('Pass', 'HandoverAllowed', ended), hold: undefined }
}

/** Newest last. */
export function badEnds(ended: readonly EndedPod[], { outcomes, window }: HandoverRules, now: Micros): EndedPod[] {
  const byUid = new Map(ended.map((pod) => [pod.uid, pod]))
  return [...byUid.values()]
    .filter(({ outcome, finishedAt }) => outcomes.includes(outcome) && finishedAt > now - window)
    .sort((a, b) => a.finishedAt - b.finishedAt || (a.uid < b.uid ? -1 : 1))
}

/** When so many have left the window that the rest is allowed, or the longest hold is over. */
export function holdUntil({ since }: Hold, bad: readonly EndedPod[], { maxForcedKills, window, maxHold }: HandoverRules): Micros {
  const last = bad[bad.length - maxForcedKills - 1]
  return Math.min(since + maxHold, last === undefined ? since + maxHold : last.finishedAt + window)
}

function releaseOf({ rules, facts, revision, now }: HandoverInput, hold: Hold | undefined): 'Annotation' | 'MaxHold' | undefined {
  const { release } = facts
  if (release === revision) return 'Annotation'
  // One that was there before is of another rollout.
  if (hold !== undefined && release !== undefined && release !== '' && cut(release, MAX_RELEASE) !== hold.releaseSeen)
    return 'Annotation'
  return hold !== undefined && now - hold.since >= rules.maxHold ? 'MaxHold' : undefined
}

function released({ released: done, revision }: Hold): CheckResult {
  const by = done?.by === 'MaxHold' ? 'the longest time that the gate holds is over' : `the annotation ${RELEASE} was set`
  return { state: 'Pass', reason: 'Released', message: `revision ${revision} was released: ${by}` }
}

/** What it says on the pod, on the gate and in the Event. */
export function holdMessage(
  { facts, rules, namespace, revision }: HandoverInput,
  bad: readonly EndedPod[],
  until: Micros,
): string {
  const { workload } = facts
  const last = bad.at(-1)
  const latest = last === undefined ? '' : ` (the last: ${last.name}, ${last.outcome} at ${moment(last.finishedAt)})`
  return (
    `${bad.length} of the pods of ${of(workload)} ended in ${rules.outcomes.join(', ')} within ${span(rules.window)}${latest}, which is more than maxForcedKills (${rules.maxForcedKills}): ` +
    `pods of revision ${revision} wait until ${moment(until)}. To let them in now: ${releaseCommand(workload, namespace, revision)}`
  )
}

export const releaseCommand = ({ kind, name }: Workload, namespace: string, revision: string): string =>
  `kubectl annotate --overwrite -n ${namespace} ${kind.toLowerCase()} ${name} ${RELEASE}=${revision}`

const of = ({ kind, name }: Workload): string => `${kind} ${name}`

function span(micros: Micros): string {
  const seconds = micros / SECOND
  if (seconds % 3600 === 0) return `${seconds / 3600} h`
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`
}

function list(names: readonly string[]): string {
  const [first = '', ...rest] = names
  return rest.length === 0 ? first : `${first} and ${rest.length} more`
}
