/** What is known of other clocks: the API server's, from the Date of its answers, and each node's, from the terminations on it. */
import { ClockEstimate, offsetFromDate } from '../../core/clock-estimate.ts'
import type { ClockFact, Fact } from '../../core/evidence.ts'
import { nodeClock } from '../../core/termination/index.ts'
import type { Micros } from '../../core/time.ts'
import type { ResponseObservation } from '../../kube/http.ts'

export class ClockBook {
  readonly api = new ClockEstimate()
  readonly #nodes = new Map<string, ClockEstimate>()

  observeResponse({ date }: ResponseObservation): void {
    if (date === undefined) return
    const offset = offsetFromDate(date.text, date.sentAt, date.receivedAt)
    if (offset !== undefined) this.api.add(offset, date.receivedAt)
  }

  /** @param node undefined for a pod that was on none */
  facts(node: string | undefined, now: Micros): ClockFact[] {
    const known = node === undefined ? undefined : this.#nodes.get(node)
    return [...this.api.fact('APIServer', now), ...(known?.fact('Node', now) ?? [])]
  }

  /** Takes up what the facts of one termination say of its node's clock. */
  learn(facts: readonly Fact[], now: Micros): void {
    const learnt = nodeClock(facts)
    if (learnt === undefined) return
    let estimate = this.#nodes.get(learnt.node)
    if (estimate === undefined) {
      estimate = new ClockEstimate()
      this.#nodes.set(learnt.node, estimate)
    }
    estimate.add(learnt.offset, now)
  }
}
