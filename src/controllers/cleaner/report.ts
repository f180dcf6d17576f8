/** What a pass says of itself: the status of each PodCleanup, and its Events. */
import type { CleanupStatus } from '../../api/pod-cleanup.ts'
import type { RuleReport, Verdict } from '../../core/cleanup/types.ts'
import { formatTime, type Micros } from '../../core/time.ts'
import type { Acted } from './pass.ts'

const MAX_ERRORS = 16
const MAX_MESSAGE = 1024
const NAMED = 5

/** What of a pass concerns one rule. */
export interface RulePass {
  readonly report: RuleReport
  readonly deleted: readonly Verdict[]
  readonly refused: Acted['refused']
  /** Also those that failed before and are left alone for a while. */
  readonly failed: Acted['failed']
}

/** By the name of the rule. */
export function passOf(report: RuleReport, { deleted, refused, failed, failing }: Acted): RulePass {
  const { name } = report
  return {
    report,
    deleted: deleted.filter(({ rules }) => rules.includes(name)),
    refused: refused.filter(({ verdict }) => verdict.rules.includes(name)),
    failed: [...failed, ...failing].filter(({ rules }) => rules.includes(name)),
  }
}

export type FullStatus = { readonly [K in keyof CleanupStatus]-?: CleanupStatus[K] | undefined }
type Condition = NonNullable<CleanupStatus['conditions']>[number]

/**
 * @param before what stands on the object
 * @param deleted how many it has had deleted, those of this pass included
 */
export function statusOf(
  { report, refused, failed }: RulePass,
  before: CleanupStatus | undefined,
  { generation, deleted, now, next }: { generation: number; deleted: number; now: Micros; next: Micros },
): FullStatus {
  const kept: NonNullable<CleanupStatus['kept']> = report.kept.map((entry) => ({ ...entry }))
  if (refused.length > 0)
    kept.push({ reason: 'RecordRefused', count: refused.length, message: 'the API server refuses their records' })
  const condition = (type: Condition['type'], status: boolean, reason: string, message: string): Condition => {
    const value = status ? 'True' : 'False'
    const stood = before?.conditions?.find((one) => one.type === type)
    const since = stood?.status === value ? stood.lastTransitionTime : undefined
    const lastTransitionTime = since ?? seconds(now)
    return { type, status: value, reason, message: cut(message), lastTransitionTime, observedGeneration: generation }
  }
  return {
    observedGeneration: generation,
    candidates: report.candidates,
    toDelete: report.toDelete,
    deleted,
    kept,
    lastRun: seconds(now),
    nextRun: seconds(next),
    errors:
      failed.length === 0
        ? undefined
        : failed
            .slice(0, MAX_ERRORS)
            .map(({ pod, error }) => ({ pod: pod.name, reason: error.code, message: cut(error.message) })),
    conditions: [
      report.problem === undefined
        ? condition('Accepted', true, 'Usable', 'The spec can be used.')
        : condition(
            'Accepted',
            false,
            'InvalidSpec',
            `${report.problem}. Until that is mended, no finished pod of this namespace is deleted.`,
          ),
      refused.length === 0
        ? condition('RecordRefused', false, 'RecordsWritten', 'No record was refused.')
        : condition('RecordRefused', true, refused[0]?.refusal.reason ?? 'Refused', refusedMessage(refused)),
      failed.length === 0
        ? condition('Failing', false, 'NothingFailed', 'Nothing failed in the last pass.')
        : condition('Failing', true, failed[0]?.error.code ?? 'Failed', failed[0]?.error.message ?? ''),
    ],
  }
}

/** Whether anything but the times of passes differs. */
export function isNews(status: FullStatus, before: FullStatus | undefined): boolean {
  const lasting = ({ lastRun: _, nextRun: __, ...rest }: FullStatus) => JSON.stringify(rest)
  return before === undefined || lasting(status) !== lasting(before)
}

export function refusedMessage(refused: Acted['refused']): string {
  const [first] = refused
  return cut(
    `${count(refused.length, 'pod stays', 'pods stay')}: the API server refuses ${refused.length === 1 ? 'its record' : 'their records'} ` +
      `(${first?.refusal.message ?? ''}). Make room for the record, or write onRecordFailure: Delete.`,
  )
}

/** Of the pods that a pass deleted: how many, why, and which. */
export function deletedMessage(deleted: readonly Verdict[]): string {
  const reasons = [...Map.groupBy(deleted, ({ reason }) => reason)].map(([reason, its]) => `${its.length} ${reason}`).join(', ')
  const names = deleted.slice(0, NAMED).map(({ pod }) => pod.name)
  const others = deleted.length - names.length
  return `Deleted ${count(deleted.length, 'finished pod', 'finished pods')} (${reasons}): ${names.join(', ')}${others > 0 ? ` and ${others} others` : ''}`
}

const seconds = (at: Micros): string => `${formatTime(at).slice(0, 19)}Z`
const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`
const cut = (text: string): string => (text.length <= MAX_MESSAGE ? text : `${text.slice(0, MAX_MESSAGE - 1)}…`)
