/** Two valid values of every field that is not the agent's. The types see to it that a new field of the record gets its own here. */
import type { KernelFacts } from '../../../src/api/kernel.ts'
import type { Finding, Mark, PodTermination } from '../../../src/api/pod-termination.ts'

export type ControllersFields = Required<Omit<PodTermination, 'pod' | 'kernel'>>
export type PodFields = Required<PodTermination['pod']>

const early = '2026-11-24T21:31:01.200000Z'
const late = '2026-11-24T21:31:09.700000Z'

export const MARK: Mark = {
  mark: 'Terminating',
  at: early,
  earliest: early,
  latest: early,
  source: 'APIServer',
  clock: 'APIServer',
  confidence: 'Reported',
}

export const FINDING: Finding = { type: 'NoDrainTime', severity: 'Info', message: 'as it was' }

export const WRITTEN: ControllersFields = {
  state: 'Complete',
  cause: { type: 'Deleted' },
  outcome: 'Graceful',
  startedAt: early,
  deadline: late,
  finishedAt: late,
  tookMilliseconds: 8500,
  graceUsedPercent: 20,
  summary: 'NoDrainTime',
  took: '8.5s',
  containers: [{ name: 'app', role: 'Main', outcome: 'Graceful' }],
  endpoints: [{ service: 'web', readyAtStopSignal: 'False' }],
  findings: [FINDING],
  timeline: [MARK],
}

export const OTHER: ControllersFields = {
  state: 'Overdue',
  cause: { type: 'Evicted' },
  outcome: 'ForcedKill',
  startedAt: late,
  deadline: early,
  finishedAt: early,
  tookMilliseconds: 1,
  graceUsedPercent: 100,
  summary: 'GraceExhausted',
  took: '1ms',
  containers: [{ name: 'app', role: 'Main', outcome: 'ForcedKill' }],
  endpoints: [{ service: 'web', readyAtStopSignal: 'True' }],
  findings: [{ type: 'GraceExhausted', severity: 'Warning', message: 'as it was not' }],
  timeline: [],
}

export const POD: PodFields = {
  namespace: 'set by the test',
  name: 'web-7d4b9c-x2x9k',
  uid: '84b61cdb-0c1f-4a52-9d4e-5c7f0b1f3a11',
  node: 'set by the test',
  graceSeconds: 15,
  restartPolicy: 'Always',
  workload: { kind: 'Deployment', name: 'web' },
}

export const OTHER_POD: PodFields = {
  namespace: 'kube-system',
  name: 'api-5bd8f-9k2lm',
  uid: '84b61cdb-ffff-4a52-9d4e-5c7f0b1f3a11',
  node: 'node-of-another',
  graceSeconds: 30,
  restartPolicy: 'Never',
  workload: { kind: 'Job', name: 'nightly' },
}

export const kernelOf = (node: string, lostEvents = 0): KernelFacts => ({
  node,
  tracedFrom: early,
  tracedUntil: late,
  complete: true,
  lostEvents,
})
