/** What a test reads out of a record, in seconds of true time (where no clock is off). */
import type { ContainerEnd, Finding, FindingType, MarkType, PodTermination } from '../../../src/api/pod-termination.ts'
import { secondsOf } from '../builders.ts'

export interface Bounds {
  readonly earliest: number
  readonly at: number
  readonly latest: number
}

/** Undefined where the record has no such mark; `of` is a container or a Service. */
export function markOf(record: PodTermination, mark: MarkType, of?: string): Bounds | undefined {
  const found = record.timeline?.find((item) => item.mark === mark && (item.container ?? item.service) === of)
  if (found === undefined) return undefined
  return { earliest: secondsOf(found.earliest), at: secondsOf(found.at), latest: secondsOf(found.latest) }
}

export const marksOf = (record: PodTermination, of: string): MarkType[] =>
  (record.timeline ?? []).filter(({ container, service }) => (container ?? service) === of).map(({ mark }) => mark)

export function endOf(record: PodTermination, name: string): ContainerEnd {
  const found = record.containers?.find((end) => end.name === name)
  if (found === undefined) throw new Error(`no container ${name} in the record`)
  return found
}

export const typesOf = (record: PodTermination): FindingType[] => (record.findings ?? []).map(({ type }) => type)

export function findingOf(record: PodTermination, type: FindingType): Finding {
  const found = record.findings?.find((finding) => finding.type === type)
  if (found === undefined) throw new Error(`no finding ${type}, only ${typesOf(record).join(', ') || 'none'}`)
  return found
}

/** Whether a true time lies within the bounds. */
export const holds = (bounds: Bounds | undefined, at: number): boolean =>
  bounds !== undefined && bounds.earliest <= at && at <= bounds.latest
