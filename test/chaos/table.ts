/** What a long run gave, a row for each fault. */
import type { Outcome } from './round.ts'

const COLUMNS = ['rounds', 'ended', 'records', 'traceless', 'missing', 'double', 'groundless', 'bounds', 'wrong', 'MiB'] as const

export function table(outcomes: readonly Outcome[], run: { minutes: number; seed: number; broken: number }): string {
  const sum = (some: readonly Outcome[], of: (outcome: Outcome) => number) => some.reduce((total, one) => total + of(one), 0)
  const cells = (some: readonly Outcome[]) => [
    some.length,
    sum(some, ({ terminations }) => terminations),
    sum(some, ({ records }) => records),
    sum(some, ({ traceless }) => traceless),
    ...(['missing', 'double', 'groundless', 'bounds', 'wrong'] as const).map((kind) => sum(some, (one) => one[kind].length)),
    Math.max(0, ...some.flatMap(({ memory }) => memory.map(({ now }) => now))),
  ]
  const rows = [...Map.groupBy(outcomes, ({ fault }) => fault)].map(([fault, some]) => ({ fault, cells: cells(some) }))
  rows.push({ fault: 'all', cells: cells(outcomes) })
  const width = Math.max(...rows.map(({ fault }) => fault.length))
  const row = (fault: string, values: readonly unknown[]) =>
    `${fault.padEnd(width)}${values.map((value, index) => String(value).padStart((COLUMNS[index]?.length ?? 0) + 2)).join('')}`
  return [
    `${run.minutes} minutes, seed ${run.seed}, ${run.broken} rounds that did not come to their end`,
    row('fault', COLUMNS),
    ...rows.map(({ fault, cells }) => row(fault, cells)),
  ].join('\n')
}
