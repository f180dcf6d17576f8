/** A record that nobody completed: its pod went while no controller ran. What it says stays; how the pod ended is not known. */
import { MAX_TIMELINE, type PodTermination } from '../../api/pod-termination.ts'
import { formatTime, type Micros, parseTime } from '../time.ts'

/**
 * @param record as it was stored, state Terminating, Overdue or none
 * @param goneBy when a list showed that the pod is no longer there, on the recorder's clock
 * @param watchedUntil when a controller last watched; undefined where that is not known
 */
export function closeUnseen(record: PodTermination, goneBy: Micros, watchedUntil: Micros | undefined): PodTermination {
  const started = parseTime(record.startedAt)
  const earliest = Math.min(goneBy, Math.max(started ?? 0, watchedUntil ?? 0))
  const { outcome: _, finishedAt: __, ...kept } = record
  const settled = record.containers?.map((container) =>
    container.exit === undefined && container.outcome !== 'NeverStarted' ? { ...container, outcome: 'Lost' as const } : container,
  )
  const message =
    'the pod was gone when the recorder looked again: it went while no controller watched, so how and when its containers ended is not known.'
  return {
    ...kept,
    state: 'Complete',
    cause: record.cause ?? { type: 'Unknown' },
    outcome: 'Lost',
    finishedAt: formatTime(goneBy),
    ...(settled === undefined ? {} : { containers: settled }),
    summary:
      record.findings === undefined || record.findings.length === 0 ? 'EvidenceMissing' : (record.summary ?? 'EvidenceMissing'),
    findings: [...(record.findings ?? []), { type: 'EvidenceMissing' as const, severity: 'Info' as const, message }].slice(
      0,
      256,
    ),
    timeline: [
      ...(record.timeline ?? []).slice(0, MAX_TIMELINE - 1),
      {
        mark: 'Removed',
        at: formatTime(goneBy),
        earliest: formatTime(Math.floor(earliest === 0 ? goneBy - 86_400_000_000 : earliest)),
        latest: formatTime(goneBy),
        source: 'Recorder',
        clock: 'Recorder',
        confidence: 'Observed',
      },
    ],
  }
}
