/**
 * Evidence in a file: a line of JSON for each verdict, with the facts that it was made from. The last line about a pod holds all that the
 * ones before it did.
 */
import { z } from 'zod'
import type { PodTermination } from '../api/pod-termination.ts'
import type { Fact } from '../core/evidence.ts'
import { stripped } from '../core/evidence-strip.ts'
import { assemble } from '../core/termination/index.ts'
import type { Micros } from '../core/time.ts'
import { productVersion } from '../version.ts'
import { CommandError } from './arguments.ts'
import { recordOf } from './records.ts'

const FORMAT = 'gracewatch.dev/evidence/v1'
const FACT_TYPES = [
  'Pod',
  'Absent',
  'Event',
  'Endpoint',
  'Workload',
  'Gap',
  'Clock',
  'Node',
  'Kernel',
  'Agent',
  'Remains',
] as const satisfies readonly Fact['type'][]

/** What is looked at before the core reads it; the rest is as the version that wrote it had it. */
const lineSchema = z.object({
  format: z.literal(FORMAT),
  version: z.string(),
  now: z.number(),
  facts: z.array(z.looseObject({ type: z.enum(FACT_TYPES) })).min(1),
})

export const evidenceLine = (facts: readonly Fact[], now: Micros): string =>
  `${JSON.stringify({ format: FORMAT, version: productVersion(), now, facts: facts.map(stripped) })}\n`

/** The record of each pod in the file, in the order in which they come to be known last. Throws CommandError that names the line. */
export function recordsFromEvidence(text: string, where: string): PodTermination[] {
  const byPod = new Map<string, PodTermination>()
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const record = recordFrom(line, `${where}, line ${index + 1},`)
    byPod.delete(record.pod.uid)
    byPod.set(record.pod.uid, record)
  }
  if (byPod.size === 0) throw new CommandError(`${where} holds no evidence: gracewatch trace --save FILE writes it`)
  return [...byPod.values()]
}

function recordFrom(line: string, where: string): PodTermination {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new CommandError(`${where} is not JSON: gracewatch replay reads what gracewatch trace --save wrote`)
  }
  const parsed = lineSchema.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new CommandError(`${where} is no evidence that this version reads: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  // Of the facts the schema has checked no more than their types by name: what else they lack makes the core throw, or a record that the
  // schema of records refuses.
  const { facts, now } = value as { readonly facts: readonly Fact[]; readonly now: Micros }
  let record: PodTermination | undefined
  try {
    record = assemble(facts, now)
  } catch (error) {
    throw new CommandError(`${where} has facts that cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (record === undefined) throw new CommandError(`${where} tells of no termination`)
  return recordOf(record, where)
}
