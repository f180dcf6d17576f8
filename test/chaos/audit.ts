/** Holds the records against the ledger: one for each termination, none without one, and nothing in them that is not so. */
import { podTerminationSchema } from '../../src/api/pod-termination.ts'
import type { StoredPodTermination } from '../../src/kube/apply.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import { verifyMarks } from '../e2e/verify.ts'
import type { Entry, Ledger } from './ledger.ts'

export interface Audit {
  terminations: number
  records: number
  /** Of these the API kept no trace while nobody watched; some have a record all the same. */
  traceless: number
  missing: string[]
  double: string[]
  /** A record without a termination. */
  groundless: string[]
  /** A mark whose bounds do not hold the truth, or that never happened. */
  bounds: string[]
  /** Anything else in a record that is not so, and what it does not say though it could not be seen. */
  wrong: string[]
}

export const FAULTS_OF_AUDIT = ['missing', 'double', 'groundless', 'bounds', 'wrong'] as const

export const problemsOf = (audit: Audit): string[] =>
  FAULTS_OF_AUDIT.flatMap((kind) => audit[kind].map((problem) => `${kind}: ${problem}`))

export async function listRecords(http: KubeHttp, group: string): Promise<StoredPodTermination[]> {
  const found: StoredPodTermination[] = []
  let next: string | undefined
  do {
    const query = { limit: 500, ...(next === undefined ? {} : { continue: next }) }
    const answer = await http.request({ method: 'GET', path: `/apis/${group}/v1alpha1/podterminations`, query })
    const list = answer.json<{ items: StoredPodTermination[]; metadata: { continue?: string } }>()
    found.push(...list.items)
    next = list.metadata.continue || undefined
  } while (next !== undefined)
  return found
}

export const byPod = (records: readonly StoredPodTermination[]): Map<string, StoredPodTermination[]> =>
  Map.groupBy(records, ({ pod }) => pod.uid)

/** Terminations that still lack a Complete record, one sentence each. */
export function lacking(ledger: Ledger, records: readonly StoredPodTermination[]): string[] {
  const stored = byPod(records)
  return ledger.open.flatMap((entry) => {
    if (entry.expected.records === 'None' || entry.traceless) return []
    const states = (stored.get(entry.uid) ?? []).map(({ state }) => state ?? 'begun by an agent')
    return states.includes('Complete') ? [] : [`${entry} has ${states.length === 0 ? 'no record' : `one that is ${states}`}`]
  })
}

export function audit(ledger: Ledger, records: readonly StoredPodTermination[]): Audit {
  const result: Audit = {
    ...{ terminations: 0, records: 0, traceless: 0 },
    ...{ missing: lacking(ledger, records), double: [], groundless: [], bounds: [], wrong: [] },
  }
  for (const [uid, stored] of byPod(records)) {
    const entry = ledger.get(uid)
    const where = stored.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(' and ')
    // Where records of namespaces that are deleted stand may outlive the round in which they were looked at.
    if (entry === undefined) {
      const namespace = stored[0]?.pod.namespace
      // Those of other tests on this cluster are none of ours.
      if (namespace !== undefined && ledger.namespaces.has(namespace)) result.groundless.push(`${where}: of no pod of this test`)
    } else if (stored.length > 1) result.double.push(`${entry}: ${where}`)
  }
  const stored = byPod(records)
  for (const entry of ledger.open) {
    const [record] = stored.get(entry.uid) ?? []
    if (entry.expected.records === 'One') {
      result.terminations++
      if (entry.traceless) result.traceless++
    }
    if (record === undefined) continue
    if (entry.expected.records === 'One') result.records++
    else if (!entry.unseen || !isIncomplete(record)) {
      result.groundless.push(`${entry}: ${record.state} ${record.outcome}, ${record.cause?.type}`)
      continue
    }
    if (record.state !== 'Complete') continue
    const truth = { pod: entry, marks: entry.marks, containers: [] }
    result.bounds.push(
      ...verifyMarks(record, truth, (span) => entry.onNode(span)).problems.map((problem) => `${entry}: ${problem}`),
    )
    result.wrong.push(...contentProblems(entry, record).map((problem) => `${entry}: ${problem}`))
  }
  return result
}

const isIncomplete = ({ findings }: StoredPodTermination): boolean =>
  findings?.some(({ type }) => type === 'EvidenceMissing') === true

function contentProblems(entry: Entry, record: StoredPodTermination): string[] {
  const problems: string[] = []
  const parsed = podTerminationSchema.safeParse(record)
  if (!parsed.success) problems.push(`the record is none by its schema: ${parsed.error.message}`)
  const { pod, outcome, cause, timeline = [] } = record
  const skew = record.findings?.find(({ type }) => type === 'ClockSkew')?.message
  if (skew !== undefined && !entry.clockIs(skew.includes('ahead of') ? 'Ahead' : 'Behind')) problems.push(`it says: ${skew}`)
  if (pod.namespace !== entry.namespace || pod.name !== entry.name) problems.push(`the record names ${pod.namespace}/${pod.name}`)
  const { expected } = entry
  const incomplete = isIncomplete(record)
  // What nobody saw may be unknown, if the record says so; it may not be something else.
  const unknown = incomplete && (outcome === 'Lost' || outcome === 'Unknown')
  if (expected.outcome !== undefined && outcome !== expected.outcome && !unknown)
    problems.push(`the outcome is ${outcome}, not ${expected.outcome}`)
  if (expected.cause !== undefined && cause?.type !== expected.cause && !(incomplete && cause?.type === 'Unknown'))
    problems.push(`the cause is ${cause?.type}, not ${expected.cause}`)
  for (const { name, exit } of record.containers ?? [])
    if (exit?.code !== undefined && expected.code !== undefined && exit.code !== expected.code)
      problems.push(`container ${name} exited with ${exit.code}, not ${expected.code}`)
  if (!incomplete) {
    // A pod that ended by itself is Complete before anybody deletes it, and nothing tells what was done to its containers before.
    const alone = entry.when('PodFinished') !== undefined
    for (const mark of alone ? (['ContainerExited'] as const) : (['Terminating', 'Kill', 'ContainerExited', 'Removed'] as const))
      if (entry.when(mark) !== undefined && !timeline.some((found) => found.mark === mark))
        problems.push(`${mark} happened and is not in the record, which does not say that evidence is missing`)
  }
  return problems
}
