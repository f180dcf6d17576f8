/**
 * The picture: a lane for the pod, one for each container and one for each Service, all on one time axis.
 *
 *   ├──┊──┤  the pod and its deadline      ▒ preStop   T stop signal   ─ after it   ✖ SIGKILL   ● exit
 *   ·        running, not yet told         ░ some time in here
 *   ━ in rotation, ○ taken out of it, ─ out of it and serving, · out of it and not serving, ○ gone
 */
import type { ContainerEnd, EndpointEnd, PodTermination } from '../api/pod-termination.ts'
import { Canvas } from './canvas.ts'
import { type Scale, shownDeadline } from './scale.ts'
import type { Span, Tone } from './span.ts'
import { clean } from './text.ts'
import { type Moment, momentsOf, type Timeline } from './timeline.ts'
import { offsetInText } from './units.ts'
import { exitLabel, handlerWords, OUTCOME_TONE } from './words.ts'

export interface Lane {
  label: string
  cells: Canvas
  /** Stands behind the last cell. */
  end: Span[]
}

/** More containers than this are not drawn; those that ended worst come first. */
const MOST_LANES = 20
const ROLE_ORDER: readonly ContainerEnd['role'][] = ['Main', 'Sidecar', 'Init', 'Ephemeral']

/** The containers in the order in which they are drawn, and how many are left out. */
export function drawnContainers(record: PodTermination): { drawn: ContainerEnd[]; left: number } {
  const started = record.timeline?.[0]?.at ?? record.startedAt
  const all = (record.containers ?? [])
    .filter((container) => !isOldInit(container, started))
    .map((container, index) => ({ container, index, rank: ROLE_ORDER.indexOf(container.role) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ container }) => container)
  if (all.length <= MOST_LANES) return { drawn: all, left: 0 }
  const bad = ({ outcome }: ContainerEnd) => outcome !== 'Graceful' && outcome !== 'Signalled'
  const chosen = new Set([...all.filter(bad), ...all.filter((container) => !bad(container))].slice(0, MOST_LANES))
  return { drawn: all.filter((container) => chosen.has(container)), left: all.length - chosen.size }
}

/** An init container that had done its work long before says nothing about this end. */
const isOldInit = ({ role, exit, outcome }: ContainerEnd, started: string | undefined) =>
  role === 'Init' &&
  exit?.code === 0 &&
  (exit.at === undefined || started === undefined || exit.at < started) &&
  outcome !== 'ForcedKill'

export function podLane(record: PodTermination, timeline: Timeline, scale: Scale): Lane {
  const cells = new Canvas(scale.columns)
  const first = scale.column(0)
  const last = scale.column(timeline.end)
  const deadline = shownDeadline(timeline)
  const due = deadline === undefined ? undefined : scale.column(deadline)
  cells.fill(first, last, '─')
  if (due !== undefined) cells.fill(due, last, '─', record.outcome === undefined ? 'warning' : OUTCOME_TONE[record.outcome])
  cells.set(last, timeline.open ? '→' : '┤')
  cells.set(first, '├')
  if (due !== undefined && due > first) cells.set(due, '┊')
  breakAt(cells, scale)
  const left = timeline.open ? '' : record.timeline?.some(({ mark }) => mark === 'Removed') ? 'gone' : ''
  return { label: 'pod', cells, end: [{ text: left, tone: 'quiet' }] }
}

const breakAt = (cells: Canvas, { break: gap }: Scale) => {
  if (gap !== undefined) cells.fill(gap.column - 1, gap.column + 1, '╱', 'quiet')
}

/** Paints ░ from the earliest to the latest moment, where that is more than the cell itself. */
function band(cells: Canvas, scale: Scale, { at, earliest, latest, arrival }: Moment, tone: Tone = 'plain') {
  if (arrival || latest - earliest <= scale.cell(at)) return
  cells.fill(scale.column(earliest), scale.column(latest) + 1, '░', tone)
}

export function containerLane(container: ContainerEnd, timeline: Timeline, scale: Scale): Lane {
  const cells = new Canvas(scale.columns)
  const subject = { container: container.name }
  const { preStop, stopSignal, kill, exit } = container
  const hook = momentsOf(timeline, 'PreStopStarted', subject, preStop?.startedAt)
  const hookEnd = momentsOf(timeline, 'PreStopFinished', subject, preStop?.finishedAt).at(-1)
  const signals = momentsOf(timeline, 'StopSignal', subject, stopSignal?.at)
  const kills = momentsOf(timeline, 'Kill', subject, kill?.at)
  const exited = momentsOf(timeline, 'ContainerExited', subject, exit?.at).at(-1)
  const label = `  ${container.name}`
  const role: Span[] = container.role === 'Main' ? [] : [{ text: ` ${container.role.toLowerCase()}`, tone: 'quiet' }]
  const tone = container.outcome === undefined ? 'plain' : OUTCOME_TONE[container.outcome]

  const ended = kills.at(-1) ?? exited
  if (container.outcome === 'NeverStarted') return { label, cells, end: [{ text: 'never started', tone: 'unknown' }, ...role] }
  if (exited !== undefined && exited.latest < 0 && hook.length + signals.length + kills.length === 0) {
    const before = `exited before${exit === undefined ? '' : `: ${exitLabel(exit)}`}`
    return { label, cells, end: [{ text: before, tone }, ...role] }
  }

  const [firstHook] = hook
  const [signal] = signals
  const last = scale.column(ended?.at ?? timeline.end)
  const told = scale.column(firstHook?.at ?? signal?.at ?? ended?.at ?? timeline.end)
  const hookUntil = Math.max(told + 1, scale.column(hookEnd?.at ?? signal?.at ?? ended?.at ?? timeline.end))
  const hookTone = preStop?.result === 'Overran' || preStop?.result === 'Failed' ? 'warning' : 'plain'
  cells.fill(scale.column(0), told, '·', 'quiet')
  if (firstHook !== undefined) {
    cells.fill(told, hookUntil, '▒', hookTone)
    cells.fill(hookUntil, last, '·', 'quiet')
    if (hookEnd !== undefined) band(cells, scale, hookEnd, hookTone)
  }
  if (signal !== undefined) cells.fill(scale.column(signal.at), last, '─')
  // A restarted kubelet runs the hook again; nothing tells how long.
  for (const { at } of hook.slice(1)) cells.set(scale.column(at), '▒')
  for (const moment of signals) band(cells, scale, { ...moment, latest: Math.min(moment.latest, ended?.latest ?? moment.latest) })
  if (ended !== undefined) band(cells, scale, ended, tone)
  const signalTone = stopSignal?.result === 'Ignored' ? 'warning' : 'plain'
  for (const { at, upperBound } of signals) if (!upperBound) cells.set(scale.column(at), 'T', signalTone)
  if (firstHook !== undefined) {
    const words = [` preStop (${handlerWords(container)}) `, ' preStop ']
    cells.write(told + 1, hookUntil - 1, words, hookTone, 'centre')
  }

  if (ended === undefined) return { label, cells, end: [...openEnd(cells, timeline, scale, exit), ...role] }
  breakBefore(cells, scale, last)
  // The signal stays visible where the end falls into the same column.
  const crowded = signal !== undefined && !signal.upperBound && scale.column(signal.at) === last
  const column = Math.min(scale.columns - 1, last + (crowded ? 1 : 0))
  cells.set(column, kills.length > 0 ? '✖' : '●', tone)
  return { label, cells, end: [{ text: exit === undefined ? '' : exitLabel(exit), tone }, ...role] }
}

const breakBefore = (cells: Canvas, scale: Scale, last: number) => {
  if (scale.break !== undefined && scale.break.column < last) breakAt(cells, scale)
}

/** A container of which no end is known: it goes on, or nobody saw how it ended. */
function openEnd(cells: Canvas, timeline: Timeline, scale: Scale, exit: ContainerEnd['exit']): Span[] {
  const last = scale.column(timeline.end)
  breakBefore(cells, scale, last)
  cells.set(last, timeline.open ? '→' : '?', timeline.open ? 'plain' : 'unknown')
  const words = timeline.open ? 'no end seen yet' : 'end not seen'
  return [{ text: exit === undefined ? words : exitLabel(exit), tone: 'unknown' }]
}

export function serviceLane(endpoint: EndpointEnd, timeline: Timeline, scale: Scale): Lane {
  const cells = new Canvas(scale.columns)
  const subject = { service: endpoint.service }
  const [out] = momentsOf(timeline, 'EndpointNotReady', subject, endpoint.notReadyAt)
  const [idle] = momentsOf(timeline, 'EndpointNotServing', subject, endpoint.notServingAt)
  const gone = momentsOf(timeline, 'EndpointRemoved', subject, endpoint.removedAt).at(-1)
  const label = `service ${endpoint.service}`
  const first = scale.column(0)
  const last = scale.column(gone?.at ?? timeline.end)
  const outColumn = out === undefined ? last : Math.min(last, scale.column(out.at))
  const idleColumn = idle === undefined ? last : Math.min(last, Math.max(outColumn, scale.column(idle.at)))

  const ready = endpoint.readyAtStopSignal
  const late = ready === 'True' ? 'warning' : 'plain'
  // Without a mark, only the word on the moment of the stop signal tells whether it was in rotation.
  const known = out !== undefined || ready === 'True'
  const words = known
    ? ' in rotation '
    : ready === 'False'
      ? ' out of rotation, not seen when '
      : ' in or out of rotation, not seen '
  cells.fill(first, outColumn, known ? '━' : '─', known ? late : 'unknown')
  cells.write(first + 1, outColumn - 1, [words], known ? late : 'unknown', 'centre')
  cells.fill(outColumn, idleColumn, '─')
  cells.fill(Math.max(outColumn, idleColumn), last, '·', 'quiet')
  breakBefore(cells, scale, last)
  for (const moment of [out, idle, gone]) if (moment !== undefined) band(cells, scale, moment)
  if (out !== undefined) {
    cells.set(outColumn, '○')
    const when = offsetInText(out.at, 2)
    const serving = idleColumn > outColumn + 1
    const then = serving ? 'still serving' : 'not serving'
    const room = serving ? idleColumn : last
    const texts = [` out of rotation ${when}, ${then} `, ` out of rotation, ${then} `, ` ${then} `]
    cells.write(outColumn + 1, room, texts, 'plain', 'start')
  }
  if (idle !== undefined && idleColumn > outColumn) {
    cells.set(idleColumn, '○')
    cells.write(idleColumn + 1, last, [' not serving '], 'plain', 'start')
  }
  if (gone === undefined) {
    const state = out === undefined && ready === 'True' ? 'in rotation' : 'not gone'
    cells.set(last, timeline.open ? '→' : '?', timeline.open ? 'plain' : 'unknown')
    return { label: clean(label), cells, end: [{ text: timeline.open ? '' : state, tone: 'unknown' }] }
  }
  cells.set(Math.min(scale.columns - 1, last === outColumn && out !== undefined ? last + 1 : last), '○')
  return { label, cells, end: [{ text: 'gone', tone: 'quiet' }] }
}
