/** Readiness gates: how many pods each holds, for how long, and which rollouts wait. */
import type { Gate } from '../core/gates/types.ts'
import { type Micros, parseTime, SECOND } from '../core/time.ts'
import type { MetricRegistry } from './registry.ts'
import { StateGauge } from './state-gauge.ts'

/** What of the gatekeeper is needed here. */
export interface GateSource {
  readonly stats: { readonly patched: number; readonly refused: number; readonly gone: number }
  standing(): Iterable<{ readonly gate: Gate; readonly holdingSince: Micros | undefined }>
}

export interface GateMetricsOptions {
  readonly registry: MetricRegistry
  readonly isLeader: () => boolean
  /** On the API server's clock, as the times of conditions are. */
  readonly serverNow: () => Micros
  /** Default 500. */
  readonly maxGates?: number
  /** Milliseconds, monotonic. Default performance.now(). */
  readonly now?: () => number
}

interface GateLabels {
  readonly namespace: string
  readonly gate: string
}

const MAX_GATES = 500
const OTHER: GateLabels = { namespace: '', gate: 'other' }
/** What gates over the limit hold is not named either. */
const OTHER_WORKLOAD = { kind: '', name: 'other' }

export class GateMetrics {
  readonly #options: GateMetricsOptions
  /** Gates with series of their own: by UID, since another may take the name. */
  readonly #known = new Map<string, GateLabels>()
  /** Gone, and told of once more: what they let in as they went is not lost. */
  #going: ReadonlySet<string> = new Set()
  readonly #rollouts: StateGauge<'gracewatch_rollout_held_seconds'>

  constructor(options: GateMetricsOptions) {
    this.#options = options
    this.#rollouts = new StateGauge(options.registry, 'gracewatch_rollout_held_seconds', options.now)
  }

  /** Before the first exposition. */
  readFrom(source: GateSource): void {
    this.#options.registry.onCollect(() => this.#collect(source))
  }

  onReleased(gate: Gate, held: Micros): void {
    this.#options.registry.observe('gracewatch_gate_hold_duration_seconds', this.#labelsOf(gate), Math.max(0, held / SECOND))
  }

  #labelsOf({ uid, namespace, name }: Gate): GateLabels {
    const known = this.#known.get(uid)
    if (known !== undefined) return known
    if (this.#known.size >= (this.#options.maxGates ?? MAX_GATES)) return OTHER
    const labels = { namespace, gate: name }
    this.#known.set(uid, labels)
    return labels
  }

  #collect(source: GateSource): void {
    const { registry, isLeader, serverNow } = this.#options
    const { patched, refused, gone } = source.stats
    for (const [reason, value] of Object.entries({ Patched: patched, Refused: refused, Gone: gone }))
      registry.counted('gracewatch_gate_condition_writes_total', { reason }, value)
    registry.empty('gracewatch_gate_pods')
    registry.empty('gracewatch_gate_longest_hold_seconds')
    const leading = isLeader()
    const now = serverNow()
    const standing = new Set<string>()
    const sums = new Map<string, { labels: GateLabels; longest: number; pods: Record<string, number> }>()
    const rollouts = new Map<string, { labels: GateLabels & { workload_kind: string; workload: string }; value: number }>()
    for (const { gate, holdingSince } of source.standing()) {
      standing.add(gate.uid)
      if (!leading) continue
      const labels = this.#labelsOf(gate)
      const key = `${labels.namespace}/${labels.gate}`
      const sum = sums.get(key) ?? { labels, longest: 0, pods: { Passing: 0, Failing: 0, Unknown: 0 } }
      sums.set(key, sum)
      const { passing = 0, failing = 0, unknown = 0, holds = [] } = gate.status ?? {}
      for (const [state, pods] of Object.entries({ Passing: passing, Failing: failing, Unknown: unknown }))
        sum.pods[state] = (sum.pods[state] ?? 0) + pods
      sum.longest = Math.max(sum.longest, holdingSince === undefined ? 0 : (now - holdingSince) / SECOND)
      for (const { workload, since, releasedAt } of holds) {
        const from = parseTime(since)
        if (releasedAt !== undefined || from === undefined) continue
        const { kind, name } = labels === OTHER ? OTHER_WORKLOAD : workload
        const held = { ...labels, workload_kind: kind, workload: name }
        const named = Object.values(held).join('/')
        const value = Math.max(0, (now - from) / SECOND, rollouts.get(named)?.value ?? 0)
        rollouts.set(named, { labels: held, value })
      }
    }
    for (const { labels, longest, pods } of sums.values()) {
      registry.set('gracewatch_gate_longest_hold_seconds', labels, longest)
      for (const [state, count] of Object.entries(pods)) registry.set('gracewatch_gate_pods', { ...labels, state }, count)
    }
    if (leading) this.#rollouts.tell(rollouts.values())
    else this.#rollouts.leave()
    this.#forget(standing)
  }

  /** Gates that are gone make room; a gate that took the name of one keeps its series. */
  #forget(standing: ReadonlySet<string>): void {
    const gone = [...this.#known].filter(([uid]) => !standing.has(uid))
    for (const [uid, labels] of gone) {
      if (!this.#going.has(uid)) continue
      this.#known.delete(uid)
      const taken = [...this.#known.values()].some(
        ({ namespace, gate }) => namespace === labels.namespace && gate === labels.gate,
      )
      if (!taken) this.#options.registry.remove('gracewatch_gate_hold_duration_seconds', labels)
    }
    this.#going = new Set(gone.map(([uid]) => uid))
  }
}
