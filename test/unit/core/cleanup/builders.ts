/** Finished pods and rules, told by what is special about them. */
import { cleanupSpecSchema } from '../../../../src/api/pod-cleanup.ts'
import type { CleanupRule, FinishedPod, Threshold } from '../../../../src/core/cleanup/types.ts'
import { type Micros, SECOND } from '../../../../src/core/time.ts'

export const NOW: Micros = 1_800_000_000 * SECOND
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE

export const owner = (kind: string, name: string, apiVersion = 'apps/v1') => ({ apiVersion, kind, name, uid: `${kind}-${name}` })
const WEB = owner('ReplicaSet', 'web')

type PodOptions = Omit<Partial<FinishedPod>, 'owner'> & { readonly age?: Micros; readonly owner?: FinishedPod['owner'] | null }

/** A Failed pod of ReplicaSet web in namespace shop that finished two hours ago; owner null: a bare one. */
export function aPod(name: string, { age = 2 * HOUR, owner: given = WEB, ...rest }: PodOptions = {}): FinishedPod {
  const namespace = rest.namespace ?? 'shop'
  return {
    uid: `${namespace}/${name}`,
    namespace,
    name,
    resourceVersion: '1',
    phase: 'Failed',
    labels: {},
    finishedAt: NOW - age,
    finishedSource: 'Containers',
    deleting: false,
    finalizers: [],
    ...(given === null ? {} : { owner: given }),
    ...rest,
  }
}

/** A PodCleanup of namespace shop; what is not told is as the API server defaults it. */
export const aRule = (spec: object, name = 'rule', namespace = 'shop'): CleanupRule => ({
  uid: `rule-${namespace}-${name}`,
  namespace,
  name,
  spec: cleanupSpecSchema.parse({ selector: {}, ...spec }),
})

export const aThreshold = (rest: Partial<Threshold>): Threshold => ({
  minAge: MINUTE,
  barePods: false,
  finishedJobPods: false,
  recordSucceeded: false,
  onRecordFailure: 'Keep',
  dryRun: false,
  ...rest,
})
