import type { TerminationSource } from '../../../src/metrics/terminations.ts'

/** A recorder that leads and watches no pods: for tests that bring the verdicts themselves. */
export const NOTHING_WATCHED: TerminationSource = {
  pods: { values: () => [] },
  workloads: { known: ({ name }) => ({ kind: 'Pod', name }), settled: () => true },
  elector: { isLeader: () => true },
  inScope: () => true,
  clocksOf: () => [],
  serverTime: (at) => at,
  ongoing: () => [],
}
