/**
 * The kubelet and the runtime as they end containers, step by step after pkg/kubelet/kuberuntime/kuberuntime_container.go
 * (killContainer, executePreStopHook) and kuberuntime_termination_order.go. True times in microseconds.
 */
import { MILLISECOND, type Micros, SECOND } from '../../../../src/core/time.ts'
import type { ContainerPlan } from './plan.ts'

const MINIMUM_GRACE = 2
/** An exec process dies this long after its container; StopContainer returns so long after the shim has heard of the exit. */
const AFTERMATH = 2 * MILLISECOND

/** Codes with which a stop signal ends a container. */
const STOP_CODES: readonly number[] = [0, 130, 131, 143]

export interface HookRun {
  readonly startedAt: Micros
  readonly endedAt: Micros
  /** When the kubelet went on. */
  readonly waitedUntil: Micros
  readonly overran: boolean
  /** FailedPreStopHook. */
  readonly failedAt: Micros | undefined
}

export interface KillRun {
  readonly killingAt: Micros
  readonly hook: HookRun | undefined
}

export interface Life {
  readonly name: string
  readonly plan: ContainerPlan
  /** It ran when the pod's end began, or until shortly before. */
  readonly started: boolean
  readonly ownExitAt: Micros
  exit:
    | {
        readonly at: Micros
        readonly code: number
        readonly reason: string
        readonly by: 'Itself' | 'Hook' | 'Signal' | 'Runtime'
      }
    | undefined
  signalAt: Micros | undefined
  killAt: Micros | undefined
  runs: KillRun[]
  /** When its answer to the signal makes it exit. */
  answersAt: Micros
  /** From then on 137 is by the runtime only, see history.ts. */
  no137From: Micros
}

export interface Attempt {
  readonly startsAt: Micros
  readonly graceSeconds: number
  /** It is broken off then, or with the StopContainer that runs then. */
  readonly endsAt: Micros
  /** What is broken off is the kubelet itself, which then emits nothing more; else the runtime did not answer in time. */
  readonly kubeletDies: boolean
}

interface Returned {
  readonly at: Micros
  readonly broken: boolean
}

/** @returns when the kubelet was done with all of them, or when the attempt was broken off */
export function stopContainers(lives: readonly Life[], attempt: Attempt, lagMs: number): Returned {
  const returned = new Map<Life, Returned>()
  const sidecars = lives.filter(({ plan }) => plan.role === 'Sidecar').reverse()
  const mains = lives.filter(({ plan }) => plan.role === 'Main')
  for (const life of lives) {
    if (life.plan.role === 'Sidecar') continue
    returned.set(life, stopContainer(life, attempt, lagMs, []))
  }
  sidecars.forEach((life, index) => {
    const before = [...mains, ...sidecars.slice(Math.max(0, index - 1), index)]
    const waits = before.map((item) => {
      const end = returned.get(item)
      return end === undefined ? attempt.startsAt : end.broken ? Number.POSITIVE_INFINITY : end.at
    })
    returned.set(life, stopContainer(life, attempt, lagMs, waits))
  })
  const all = [...returned.values()]
  return { at: Math.max(attempt.startsAt, ...all.map(({ at }) => at)), broken: all.some(({ broken }) => broken) }
}

function stopContainer(life: Life, attempt: Attempt, lagMs: number, waits: readonly Micros[]): Returned {
  const { plan } = life
  const none: Returned = { at: attempt.startsAt, broken: false }
  if (!life.started) return none
  const killingAt = attempt.startsAt + plan.spread * MILLISECOND
  if (killingAt >= attempt.endsAt && attempt.kubeletDies) return { at: attempt.endsAt, broken: true }
  if (life.exit === undefined) exitIf(life, killingAt)
  const dead = life.exit !== undefined
  // What has ended is left alone, except where the kubelet has not noticed yet.
  if (life.exit !== undefined && (life.exit.at < killingAt - lagMs * MILLISECOND || life.runs.length > 0)) return none

  const grace = attempt.graceSeconds
  let hookEndsAt = Number.POSITIVE_INFINITY
  let hookFails = false
  let hookKills: { at: Micros; code: number } | undefined
  let waitedUntil = killingAt
  if (plan.hook !== undefined) {
    const { handler, ends, noticed } = plan.hook
    hookEndsAt = killingAt + plan.hook.ms * MILLISECOND
    hookFails = !plan.hook.ok
    // Assumed: not in the last second of the grace period, where it would look like an end by the signal.
    const late = hookEndsAt > killingAt + (grace - 1) * SECOND && hookEndsAt < killingAt + (grace + 1) * SECOND
    if (ends !== undefined && !late) {
      hookKills = { at: hookEndsAt - 5 * MILLISECOND, code: ends.code }
      hookFails = ends.told
    }
    if (handler !== 'Sleep') {
      const gone = dead ? killingAt : Math.min(life.ownExitAt, life.answersAt)
      if (gone < hookEndsAt - 5 * MILLISECOND) {
        hookEndsAt = gone + AFTERMATH
        hookFails = true
        hookKills = undefined
      }
    }
    waitedUntil = Math.min(hookEndsAt + noticed * MILLISECOND, killingAt + grace * SECOND + MILLISECOND)
  }
  let left = grace - Math.floor((waitedUntil - killingAt) / SECOND)
  let stopAt = waitedUntil
  if (left > 0 && waits.length > 0) {
    const wait = Math.min(Math.max(0, Math.max(...waits) - stopAt), left * SECOND)
    left -= Math.floor(wait / SECOND)
    stopAt += wait
  }
  left = Math.max(left, MINIMUM_GRACE)
  // A runtime that does not answer breaks off StopContainer, no hook and no wait. And a kubelet that ends in just the moment between
  // a hook's end and StopContainer is assumed to have come to the latter.
  if (attempt.kubeletDies && hookEndsAt < attempt.endsAt && waits.length === 0) stopAt = Math.min(stopAt, attempt.endsAt - 1)
  const endsAt = attempt.kubeletDies ? attempt.endsAt : Math.max(attempt.endsAt, stopAt + 50 * MILLISECOND)

  const done = (at: Micros): Returned => {
    life.runs.push({ killingAt, hook: hookRun() })
    return at < endsAt ? { at, broken: false } : { at: endsAt, broken: true }
  }
  const hookRun = (): HookRun | undefined => {
    if (plan.hook === undefined) return undefined
    let endedAt = hookEndsAt
    let fails = hookFails
    if (
      plan.hook.handler !== 'Sleep' &&
      life.exit !== undefined &&
      life.exit.at + AFTERMATH < endedAt &&
      life.exit.by !== 'Hook'
    ) {
      endedAt = Math.max(killingAt, life.exit.at + AFTERMATH)
      fails = true
    }
    const cut = endedAt >= endsAt
    const failedAt = fails ? endedAt + plan.hook.noticed * MILLISECOND : undefined
    return {
      startedAt: killingAt,
      endedAt: cut && attempt.kubeletDies ? endsAt : endedAt,
      waitedUntil: Math.min(waitedUntil, endsAt),
      overran: waitedUntil >= killingAt + grace * SECOND && endsAt >= killingAt + grace * SECOND,
      failedAt: failedAt === undefined || (attempt.kubeletDies && failedAt >= endsAt) ? undefined : failedAt,
    }
  }

  // Its own end, or that by the hook, before StopContainer: no signal.
  const early = Math.min(life.ownExitAt, hookKills?.at ?? Number.POSITIVE_INFINITY, life.answersAt)
  const until = Math.min(stopAt, endsAt)
  if (life.exit === undefined && early <= until) endBy(life, early, hookKills)
  if (endsAt <= stopAt) return done(Number.POSITIVE_INFINITY)
  if (life.exit !== undefined) {
    // Assumed: nothing ends by itself as a stop signal would have ended it in just the second before that would have come (and what
    // finishedAt is late).
    const { at, code } = life.exit
    if (at >= stopAt - SECOND - 100 * MILLISECOND && STOP_CODES.includes(code))
      life.exit = { ...life.exit, code: 2, reason: 'Error' }
    return done(stopAt + AFTERMATH)
  }

  let timerAt = stopAt + MILLISECOND
  if (life.signalAt === undefined) {
    // Assumed of the histories here: nothing ends by itself in the moment between StopContainer and the signal, which no evidence
    // but the kernel's could tell from an end by the signal.
    const quick = Math.min(life.ownExitAt, hookKills?.at ?? Number.POSITIVE_INFINITY) <= stopAt + plan.signalLatency * MILLISECOND
    // What the runtime has been asked for it does, also where the kubelet ends in this moment.
    const slow = stopAt + plan.signalLatency * MILLISECOND
    const signalAt = quick || slow >= endsAt ? stopAt : slow
    life.signalAt = signalAt
    timerAt = signalAt
    if (plan.answer !== undefined) life.answersAt = signalAt + plan.answer.ms * MILLISECOND + 1
  }
  const killAt = timerAt + left * SECOND + plan.killLatency * MILLISECOND
  const natural = Math.min(life.ownExitAt, hookKills?.at ?? Number.POSITIVE_INFINITY, life.answersAt)
  if (natural <= Math.min(killAt, endsAt)) {
    endBy(life, natural, hookKills)
    return done(natural + plan.reaped * MILLISECOND + AFTERMATH)
  }
  if (killAt >= endsAt) return done(Number.POSITIVE_INFINITY)
  life.killAt = killAt
  const at = killAt + plan.dying * MILLISECOND
  life.exit = { at, code: 137, reason: 'Error', by: 'Runtime' }
  return done(at + plan.reaped * MILLISECOND + AFTERMATH)
}

/** Its own end, or its answer to a signal, where that was before `now`. */
export function exitIf(life: Life, now: Micros): void {
  const at = Math.min(life.ownExitAt, life.answersAt)
  if (at <= now) endBy(life, at, undefined)
}

function endBy(life: Life, at: Micros, hook: { at: Micros; code: number } | undefined): void {
  const { answer, own } = life.plan
  if (at === life.ownExitAt && own !== undefined) {
    const reason = own.code === 0 ? 'Completed' : own.reason
    life.exit = { at, code: codeAt(life, own.code, at), reason, by: 'Itself' }
  } else if (hook !== undefined && at === hook.at) {
    life.exit = { at, code: hook.code, reason: hook.code === 0 ? 'Completed' : 'Error', by: 'Hook' }
  } else if (answer !== undefined) {
    life.exit = { at, code: codeAt(life, answer.code, at), reason: answer.code === 0 ? 'Completed' : 'Error', by: 'Signal' }
  }
}

const codeAt = (life: Life, code: number, at: Micros): number => (code === 137 && at >= life.no137From ? 1 : code)
