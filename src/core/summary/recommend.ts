/** What the terminations of one workload say about its grace period and its preStop hook, and how sure that is. */
import type { PodTermination } from '../../api/pod-termination.ts'
import { DRAIN_TIME } from '../termination/findings.ts'
import { SECOND } from '../time.ts'
import { hookOf, isCutShort } from './needs.ts'
import { atMostShare, type Bounded, percentile } from './quantiles.ts'

/**
 * Of a grace period. High: with 95 % confidence no more than 1 in 100 terminations needs more. Medium: no more than 1 in 20. Low: the numbers
 * say less. Of a longer preStop hook, how often it was needed. High: in half of the terminations and 10 of them. Medium: in 3. Low: in fewer.
 */
export type Sureness = 'High' | 'Medium' | 'Low'

export interface Advice {
  /** The setting that the numbers recommend, in seconds. */
  readonly seconds: number
  readonly change: 'Raise' | 'Keep' | 'Lower'
  readonly sureness: Sureness
}

export interface Recommendation {
  /** terminationGracePeriodSeconds; absent where the numbers do not bear one. */
  readonly grace?: Advice
  /** Of a preStop sleep, or of a hook as long as that; absent where nothing speaks for a change. */
  readonly preStop?: Advice
  /** Why, a sentence each, and what has to be changed first. */
  readonly reasons: readonly string[]
}

/** For what was slower than anything seen: a busy node, a long request. */
const MARGIN = 1.25
/** Grace periods are set in such steps. */
const STEP = 5
/** Less says nothing of a gain: only a pod that hangs uses what it does not need. */
const WORTH_LOWERING = 0.5
/** A share that no number needs to be put on. */
const TOO_FEW = 0.2
const DRAIN_SECONDS = DRAIN_TIME / SECOND

/** The EndpointSlice controller takes an endpoint out in far less. */
const LONG_HOOK = 10

const stepUp = (seconds: number) => Math.max(STEP, Math.ceil(seconds / STEP - 1e-9) * STEP)
const has = (record: PodTermination, ...types: string[]) => record.findings?.some(({ type }) => types.includes(type)) ?? false

function sureness(hits: number, count: number): Sureness {
  const share = atMostShare(hits, count)
  return share <= 0.01 ? 'High' : share <= 0.05 ? 'Medium' : 'Low'
}

/** A termination that is over, with what it shows of the time that its pod needs. */
export interface Termination {
  readonly record: PodTermination
  readonly need: Bounded | undefined
}

/**
 * @param terminations of one workload
 * @param graceSeconds as it is set now
 */
export function recommend(terminations: readonly Termination[], graceSeconds: number | undefined): Recommendation {
  const reasons: string[] = []
  const { preStop, more } = adviseHook(
    terminations.map(({ record }) => record),
    reasons,
  )
  const grace = adviseGrace(terminations, graceSeconds, more, reasons)
  return {
    ...(grace === undefined ? {} : { grace }),
    ...(preStop === undefined ? {} : { preStop }),
    reasons,
  }
}

/** @param more seconds that a longer preStop hook takes of the grace period */
function adviseGrace(
  terminations: readonly Termination[],
  current: number | undefined,
  more: number,
  reasons: string[],
): Advice | undefined {
  const forced = terminations.filter(({ record }) => record.outcome === 'ForcedKill' && !isCutShort(record))
  const unheard = new Set(forced.filter(({ record }) => has(record, 'StopSignalIgnored', 'StopSignalNotForwarded')))
  const overran = forced.filter(({ record }) => has(record, 'PreStopOverran'))
  if (unheard.size > 0)
    reasons.push(
      `In ${of(unheard.size, forced.length)} forced kills the stop signal never reached the app. No grace period helps there: let PID 1 take the signal, or pass it on.`,
    )
  if (overran.length > 0)
    reasons.push(
      `In ${of(overran.length, forced.length)} forced kills the preStop hook was still running when the grace period ended: shorten it, or give it its time.`,
    )
  // Whoever never heard of the stop has not begun to shut down, so how long that takes is not known of it.
  const needs = terminations.flatMap((one) => (one.need === undefined || unheard.has(one) ? [] : [one.need]))
  if (needs.length === 0) {
    reasons.push(`No termination of ${terminations.length} shows how long a shutdown takes.`)
    return undefined
  }
  const longest = upperOf(needs)
  return longest === undefined ? adviseTrial(needs, current, more, reasons) : adviseFrom(longest, needs, current, more, reasons)
}

/** The 99th percentile, its upper bound; undefined where that is not known. */
function upperOf(needs: readonly Bounded[]): number | undefined {
  const most = percentile(needs, 0.99)?.most
  return most === undefined || !Number.isFinite(most) ? undefined : most
}

function adviseFrom(
  longest: number,
  needs: readonly Bounded[],
  current: number | undefined,
  more: number,
  reasons: string[],
): Advice {
  const seconds = stepUp(longest * MARGIN + more)
  const over = needs.filter(({ most }) => most > seconds - more).length
  const share = atMostShare(over, needs.length)
  const added = more > 0 ? ` and ${number(more)} s for the longer preStop` : ''
  reasons.push(
    `The 99th percentile of what ${counted(needs.length)} needed is ${number(longest)} s at most; with a quarter on top${added} that makes ${seconds} s.`,
    share > TOO_FEW
      ? `${counted(needs.length)}: too few to tell how often a pod needs longer.`
      : `${over === 0 ? 'None' : over} of them needed more than that: if the next ones are like these, with 95 % confidence no more than ${percent(share)} will.`,
  )
  const sure = sureness(over, needs.length)
  if (current === undefined || seconds > current) return { seconds, change: 'Raise', sureness: sure }
  const lower = sure === 'High' && seconds <= current * WORTH_LOWERING
  return lower ? { seconds, change: 'Lower', sureness: sure } : { seconds: current, change: 'Keep', sureness: sure }
}

/** Too many were killed: how long those would have needed is not known, so there is a value to try, and no more. */
function adviseTrial(needs: readonly Bounded[], current: number | undefined, more: number, reasons: string[]): Advice {
  const killed = needs.filter(({ most }) => !Number.isFinite(most))
  const longestKilled = Math.max(...killed.map(({ least }) => least))
  const longest = Math.max(...needs.map(({ least }) => least))
  const seconds = stepUp(Math.max(longestKilled * 2, longest * MARGIN) + more)
  const enough = current !== undefined && current >= seconds
  const told = `${of(killed.length, needs.length)} ${killed.length === 1 ? 'was' : 'were'} killed before the end of the shutdown, after up to ${number(longestKilled)} s, so how long that takes is not known`
  reasons.push(
    enough
      ? `${told}. The grace period is twice as long now: look again when more have ended with it.`
      : `${told}: ${seconds} s is a value to try, then look again.`,
  )
  return enough ? { seconds: current, change: 'Keep', sureness: 'Low' } : { seconds, change: 'Raise', sureness: 'Low' }
}

/**
 * Whether a Service could still send traffic when the stop signal came, or had stopped only just before.
 *
 * @returns more: seconds that the hook will take longer than it does
 */
function adviseHook(records: readonly PodTermination[], reasons: string[]): { preStop?: Advice; more: number } {
  const served = records.filter(({ endpoints = [] }) =>
    endpoints.some(({ readyAtStopSignal }) => readyAtStopSignal !== 'Unknown'),
  )
  const ready = served.filter((record) => has(record, 'EndpointReadyAtStopSignal'))
  const late = served.filter((record) => has(record, 'EndpointReadyAtStopSignal', 'NoDrainTime'))
  if (late.length === 0) {
    const hook = Math.round(longest(served.map(hookOf)) ?? 0)
    if (hook === 0) return { more: 0 }
    reasons.push(
      `Before the stop signals of ${counted(served.length)} the Services had let go of the pod for ${DRAIN_SECONDS} s or more: the preStop is long enough.`,
    )
    return { preStop: { seconds: hook, change: 'Keep', sureness: sureness(0, served.length) }, more: 0 }
  }
  const only = late.length - ready.length
  if (ready.length > 0)
    reasons.push(`In ${of(ready.length, served.length)} a Service could still send new requests when the stop signal came.`)
  if (only > 0)
    reasons.push(
      `In ${of(only, served.length)} the stop signal came less than ${DRAIN_SECONDS} s after the Services had let go of the pod.`,
    )
  const hook = longest(late.map(hookOf))
  if (hook === undefined) return { more: 0 }
  if (ready.length > 0 && hook >= LONG_HOOK) {
    reasons.push(
      `A longer preStop than ${number(hook)} s will hardly change that: look for publishNotReadyAddresses on the Service, or for what is slow to take the endpoint out.`,
    )
    return { more: 0 }
  }
  const seconds = Math.round(hook) + (ready.length > 0 ? 2 : 1) * DRAIN_SECONDS
  // What has been seen is certain; how often it happens is what the numbers tell.
  const often = late.length * 2 >= served.length
  const sure = often && late.length >= 10 ? 'High' : late.length >= 3 ? 'Medium' : 'Low'
  return { preStop: { seconds, change: 'Raise', sureness: sure }, more: seconds - Math.round(hook) }
}

/** Of what is known. */
function longest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.flatMap((value) => value ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

const of = (count: number, all: number) => `${count} of ${all}`
const counted = (count: number) => `${count} termination${count === 1 ? '' : 's'}`
const number = (seconds: number) => (seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds)))

function percent(share: number): string {
  const value = share * 100
  return `${value < 10 ? value.toFixed(1) : String(Math.round(value))} %`
}
