/** `node src/launch.js --run test/bench/plot.ts REPORT.json PLOT.svg`: memory and start against the number of pods, of one report. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type Child, element } from '../../src/render/xml.ts'
import type { Report } from './bench.ts'
import { medianOf, PROGRAMS, type Program, type Size, type Start } from './memory.ts'

const MIB = 1024 * 1024
const [WIDTH, HEIGHT] = [420, 300]
const MARGIN = { left: 56, right: 112, top: 34, bottom: 42 } as const
/** Told apart without colour too: by dash and by name. Dark enough on white, light enough on black. */
const LINES: Readonly<Record<Program, { readonly name: string; readonly colour: string; readonly dash?: string }>> = {
  gracewatch: { name: 'Gracewatch', colour: '#1a7f5a' },
  goStripped: { name: 'Go, stripped', colour: '#b3590a', dash: '6 3' },
  goPlain: { name: 'Go, as it comes', colour: '#6b6f76', dash: '2 3' },
}

interface Chart {
  readonly title: string
  readonly field: keyof Start
  readonly scale: number
}

const CHARTS: readonly Chart[] = [
  { title: 'Resident memory, settled (MiB)', field: 'resident', scale: MIB },
  { title: 'From process start to caches complete (s)', field: 'startMs', scale: 1000 },
]

/** A round number not below, of which quarters are round too. */
function roundedUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 2, 4, 6, 8, 10].find((step) => step * power >= value) ?? 10)
}

export function plotOf(sizes: readonly Size[]): string {
  const text = (x: number, y: number, content: string, more: Readonly<Record<string, string | number>> = {}) =>
    element('text', { x, y, 'font-size': 11, fill: 'currentColor', ...more }, content)
  const most = Math.max(...sizes.map(({ pods }) => pods))
  const chart = ({ title, field, scale }: Chart, place: number): Child => {
    const top = roundedUp(Math.max(...sizes.flatMap((size) => PROGRAMS.map((program) => medianOf(size, program, field) / scale))))
    const inner = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom }
    const x = (pods: number) => MARGIN.left + (pods / most) * inner.width
    const y = (value: number) => MARGIN.top + (1 - value / top) * inner.height
    const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => [
      element('line', {
        ...{ x1: x(0), x2: x(most), y1: y(top * share), y2: y(top * share) },
        ...{ stroke: 'currentColor', 'stroke-opacity': 0.2 },
      }),
      text(x(0) - 6, y(top * share) + 4, String(Math.round(top * share * 100) / 100), { 'text-anchor': 'end' }),
    ])
    const ticks = sizes.map(({ pods }) => text(x(pods), y(0) + 16, String(pods), { 'text-anchor': 'middle' }))
    const lines = PROGRAMS.map((program) => {
      const { name, colour, dash } = LINES[program]
      const points = sizes.map((size) => [x(size.pods), y(medianOf(size, program, field) / scale)] as const)
      const last = points.at(-1) ?? [0, 0]
      return [
        element('polyline', {
          points: points.map((point) => point.map((value) => value.toFixed(1)).join(',')).join(' '),
          ...{ fill: 'none', stroke: colour, 'stroke-width': 2, 'stroke-dasharray': dash },
        }),
        points.map(([cx, cy]) => element('circle', { cx, cy, r: 3, fill: colour })),
        text(last[0] + 8, last[1] + 4, name, { fill: colour }),
      ]
    })
    return element(
      'g',
      { transform: `translate(${place * WIDTH} 0)` },
      text(MARGIN.left - 40, 18, title, { 'font-size': 13, 'font-weight': 600 }),
      ...grid,
      ...ticks,
      text(x(most / 2), HEIGHT - 8, 'pods', { 'text-anchor': 'middle' }),
      ...lines,
    )
  }
  const width = WIDTH * CHARTS.length
  const described = sizes.map(({ pods }) => pods).join(', ')
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      ...{ viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-labelledby': 'title' },
      'font-family': 'system-ui, sans-serif',
    },
    element('title', { id: 'title' }, `Memory and start of Gracewatch and of client-go's informer with ${described} pods`),
    element('style', {}, 'svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}'),
    ...CHARTS.map(chart),
  )}\n`
}

if (import.meta.main) {
  const [report = '', plot = ''] = process.argv.slice(2)
  // Written by the bench.
  writeFileSync(plot, plotOf((JSON.parse(readFileSync(report, 'utf8')) as Report).memory))
}
