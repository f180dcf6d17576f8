import type { ResponseObservation } from '../../../src/kube/http.ts'
import type { ReflectorStats } from '../../../src/kube/reflector-types.ts'
import { AgentMetrics, type AgentSource } from '../../../src/metrics/agent.ts'

export const STATS: ReflectorStats = {
  ...{
    phase: 'Watching',
    open: true,
    lists: 2,
    relists: 1,
    watches: 3,
    gaps: 1,
    events: 0,
    bookmarks: 0,
    duplicates: 0,
    decodeErrors: 4,
  },
  ...{ handlerErrors: 0, failures: { Network: 2, Timeout: 3 }, failuresInRow: 0, lastAliveAt: 1_000_000 },
}

/** An agent that has seen all that it can tell of. */
export function agentMetrics(change: Partial<AgentSource> = {}) {
  const observers: ((observation: ResponseObservation) => void)[] = []
  const agent: AgentSource = {
    tracing: true,
    apiOffset: { earliest: -2000, latest: 3000 },
    collector: { stats: { signals: 10, malformed: 1, lost: 7, dropped: 2 } },
    reporter: { stats: { written: 5, refused: { QuotaExceeded: 3 }, dropped: 6 } },
    pods: { synced: true, stats: STATS },
    ...change,
  }
  const http = {
    onResponse(observer: (observation: ResponseObservation) => void) {
      observers.push(observer)
      return () => {}
    },
  }
  const metrics = new AgentMetrics({ agent, http, now: () => 31_500_000 })
  return { metrics, answer: (observation: ResponseObservation) => observers.map((observer) => observer(observation)) }
}
