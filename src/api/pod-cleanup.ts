/**
 * The custom resource PodCleanup: which finished pods of its namespace may be deleted, and when. This zod schema is the one source of the
 * TypeScript type, of crds/ and of the reference page.
 */
import { z } from 'zod'
import { duration, optionalDuration, rules, selectorSchema, text, values } from './parts.ts'

const MAX_REASONS = 32
/** What the API server lets a namespaced object's name be. */
const NAME = 253

const phases = z.enum(['Succeeded', 'Failed'])

const keepSchema = z
  .object({
    total: z.int().min(0).max(1_000_000).optional().describe('So many of the pods that it selects stay, the newest.'),
    perOwner: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe(
        'So many stay of each workload (Deployment, CronJob, or whatever else controls the pods), the newest; a bare pod is its own owner.',
      ),
  })
  .meta(
    rules({
      rule: 'has(self.total) || has(self.perOwner)',
      message: 'write total, perOwner or both, or leave keep out and write olderThan',
    }),
  )

export const cleanupSpecSchema = z
  .object({
    selector: selectorSchema.describe('Which pods of the namespace; an empty one ({}) selects all.'),
    phases: z.array(phases).min(1).max(2).default(['Succeeded', 'Failed']).meta({
      description: 'Phases of the pods.',
      'x-kubernetes-list-type': 'set',
    }),
    reasons: z
      .array(
        text(128).meta(
          rules({
            rule: "self.matches('^[A-Za-z][A-Za-z0-9_,:]*$')",
            message: 'write a reason as it stands in status.reason of pods, as Evicted',
          }),
        ),
      )
      .min(1)
      .max(MAX_REASONS)
      .optional()
      .meta({
        description: 'Only pods whose status.reason is one of these, as Evicted; without it all.',
        'x-kubernetes-list-type': 'set',
      }),
    keep: keepSchema.optional().describe('How many stay. Pods that are protected count, and are never deleted.'),
    olderThan: optionalDuration('Only pods that finished so long ago.', '1s'),
    minAge: duration('No pod is deleted sooner after it finished: the kubelet may still be unmounting its volumes.', '60s', '0s'),
    barePods: z.boolean().default(false).describe('Also pods that no controller made: nothing makes them again.'),
    finishedJobPods: z
      .boolean()
      .default(false)
      .describe(
        'Also pods of Jobs that have finished: kubectl logs job/NAME finds nothing any more. Those of unfinished Jobs stay.',
      ),
    recordSucceeded: z
      .boolean()
      .default(false)
      .describe('Write a PodTermination of pods that Succeeded too before they go; of those that Failed there always is one.'),
    onRecordFailure: z
      .enum(['Keep', 'Delete'])
      .default('Keep')
      .describe(
        values('What becomes of a pod whose record the API server refuses.', {
          Keep: 'it stays, and the condition RecordRefused says so.',
          Delete: 'it is deleted without a record.',
        }),
      ),
    dryRun: z.boolean().default(false).describe('Decide and tell, and delete nothing that it selects.'),
  })
  .meta(
    rules({
      rule: 'has(self.keep) || has(self.olderThan)',
      message: 'write keep, olderThan or both: without them every finished pod would go at once',
    }),
  )

const conditionSchema = z.object({
  type: z.enum(['Accepted', 'RecordRefused', 'Failing']).describe(
    values('What it is about.', {
      Accepted: 'the spec can be used; where it is False, no finished pod of the namespace is deleted.',
      RecordRefused: 'pods stay because the API server refuses their records.',
      Failing: 'deletions fail.',
    }),
  ),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it is so.'),
  reason: text(128).optional().describe('Why, in one word.'),
  message: text(2048).optional().describe('Why, in a sentence, and what to do.'),
  lastTransitionTime: z.iso.datetime().max(32).optional().describe('When the status changed last.'),
  observedGeneration: z.int().min(0).optional().describe('Generation of the object that it is about.'),
})

const INT32 = 2147483647
const count = (description: string) => z.int().min(0).max(INT32).optional().describe(description)

export const statusSchema = z.object({
  observedGeneration: z.int().min(0).optional().describe('Generation of the object that this status is about.'),
  candidates: count('Finished pods that it selects.'),
  toDelete: count('Of those, how many the last pass was to delete; with dryRun: would have.'),
  deleted: z.int().min(0).optional().describe('Pods that it has had deleted since it was created.'),
  kept: z
    .array(
      z.object({
        reason: text(64).describe('Why, in one word.'),
        count: z.int().min(0).max(INT32).describe('How many.'),
        message: text(512).optional().describe('Why, in a sentence.'),
      }),
    )
    .max(32)
    .optional()
    .meta({
      description: 'Pods that it selects and that stayed in the last pass, by reason.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['reason'],
    }),
  lastRun: z.iso.datetime().max(32).optional().describe('When the last pass ended.'),
  nextRun: z.iso
    .datetime()
    .max(32)
    .optional()
    .describe('When the next one begins at the latest. Where nothing changes, the status is renewed once a minute only.'),
  errors: z
    .array(
      z.object({
        pod: text(NAME).optional().describe('Name of the pod.'),
        reason: text(128).describe('Why, in one word.'),
        message: text(1024).optional().describe('What the API server said.'),
      }),
    )
    .max(16)
    .optional()
    .meta({ description: 'What failed in the last pass, the first of it.', 'x-kubernetes-list-type': 'atomic' }),
  conditions: z
    .array(conditionSchema)
    .max(8)
    .optional()
    .meta({
      description: 'What only the controller can see.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
})

export const podCleanupSchema = z
  .object({
    spec: cleanupSpecSchema.describe('What is wanted.'),
    status: statusSchema.optional().describe('What is.'),
  })
  .describe(
    'Deletes finished pods (Succeeded or Failed) of its namespace past what is to be kept, each only after the record of how it ended is written. ' +
      'What keep and olderThan say has to hold together; a pod that several PodCleanups select goes only if all of them let it go.',
  )

export type PodCleanup = z.infer<typeof podCleanupSchema>
export type CleanupSpec = z.infer<typeof cleanupSpecSchema>
export type CleanupStatus = z.infer<typeof statusSchema>
