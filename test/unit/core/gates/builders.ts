/** Gates and pods for the tests of the core, with what a test does not care about left as usual. */
import type { GateSpec } from '../../../../src/api/pod-readiness-gate.ts'
import { gateSpecSchema } from '../../../../src/api/pod-readiness-gate.ts'
import type { CheckedResult } from '../../../../src/core/gates/decide.ts'
import type { Condition, Gate, GatePod } from '../../../../src/core/gates/types.ts'
import { formatTime, parseTime, SECOND } from '../../../../src/core/time.ts'

export const TYPE = 'example.com/registered'
export const NOW = parseTime('2026-11-26T12:00:00Z') ?? 0
/** The moment so many seconds after NOW, as the API writes it. */
export const at = (seconds: number) => `${formatTime(NOW + seconds * SECOND).slice(0, 19)}Z`

export type SpecPart = Omit<Partial<GateSpec>, 'checks'> & { readonly checks?: readonly unknown[] }

/** With the defaults that the API server writes. */
export function aGate({ spec = {}, ...part }: Partial<Omit<Gate, 'spec'>> & { readonly spec?: SpecPart } = {}): Gate {
  const checks = [{ annotation: { key: 'example.com/ok', value: 'yes' } }]
  return {
    uid: 'gate-1',
    namespace: 'shop',
    name: 'lb',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: at(-3600),
    finalizers: [],
    spec: gateSpecSchema.parse({ selector: {}, conditionType: TYPE, checks, ...spec }),
    ...part,
  }
}

export function aPod(part: Partial<GatePod> = {}): GatePod {
  return {
    uid: 'pod-1',
    namespace: 'shop',
    name: 'web-1',
    resourceVersion: '10',
    generation: 1,
    phase: 'Running',
    labels: { app: 'web' },
    annotations: {},
    readinessGates: [TYPE],
    conditions: [],
    hostIPs: ['10.0.0.1'],
    hostNetwork: false,
    ports: {},
    incarnation: 'app:0',
    ...part,
  }
}

export const condition = (status: Condition['status'], part: Partial<Condition> = {}): Condition => ({
  type: TYPE,
  status,
  reason: 'Before',
  message: 'as it was',
  lastTransitionTime: at(-60),
  ...part,
})

export const found = (state: CheckedResult['state'], part: Partial<CheckedResult> = {}): CheckedResult => ({
  kind: 'annotation',
  state,
  reason: `${state}Reason`,
  message: `what made it ${state}`,
  ...part,
})
