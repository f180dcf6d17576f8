import { describe, expect, it } from 'vitest'
import { type PodTermination, podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { drawSvg } from '../../../src/render/svg.ts'
import { PALETTES, SVG_STYLE } from '../../../src/render/svg-style.ts'
import { drawWorkload } from '../../../src/render/svg-workload.ts'
import { timelineOf } from '../../../src/render/timeline.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { readFixtures } from '../../replay/fixture.ts'
import * as records from '../render/records.ts'
import { MARKUP, nasty } from './nasty.ts'
import { byClass, byName, type Node, nodesOf, parseMarkup, textOf } from './xml.ts'

const made: [string, PodTermination, number | undefined][] = [
  ...[
    records.forcedKill,
    records.forcedKillInferred,
    records.graceful,
    records.sidecars,
    records.killedFromInside,
    records.rollingUpdate,
    records.neverStarted,
    records.lost,
    records.evicted,
    records.twelve,
    records.skewed,
    records.noEvents,
    records.restartedKubelet,
    records.begunByTheAgent,
    records.longNames,
  ].map((make): [string, PodTermination, undefined] => [make.name, make(), undefined]),
  ...[records.terminating, records.overdue, records.nodeLost].map((make): [string, PodTermination, number] => {
    const { record, now } = make()
    return [make.name, record, now]
  }),
]
const real = readFixtures().map((fixture): [string, PodTermination, undefined] => {
  const now = (fixture.lines.at(-1)?.arrivedAt ?? 0) + 5 * SECOND
  return [fixture.name, podTerminationSchema.parse(assemble([...factsByLine(fixture).flat(), ...CLOCKS], now)), undefined]
})

const number = (node: Node, key: string) => Number(node.attributes.get(key))

/** Characters of the face are 0.602 em wide. */
function reach(node: Node): [number, number] {
  const classes = node.attributes.get('class')?.split(' ') ?? []
  const width = textOf(node).length * (classes.includes('small') ? 11 : 13) * 0.602
  const x = number(node, 'x')
  if (classes.includes('end')) return [x - width, x]
  return classes.includes('middle') ? [x - width / 2, x + width / 2] : [x, x + width]
}

describe.each([...made, ...real])('%s', (_, record, now) => {
  const options = now === undefined ? {} : { now }
  const svg = drawSvg(record, options)
  const root = parseMarkup(svg)

  it('is a picture with a name, in which all numbers are numbers and all text has room', () => {
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    expect(textOf(byName(root, 'title')[0] ?? '')).toContain(`${record.pod.namespace}/${record.pod.name}`)
    const [, , width = 0, height = 0] = root.attributes.get('viewBox')?.split(' ').map(Number) ?? []
    for (const node of byName(root, 'text')) {
      const [left, right] = reach(node)
      expect(left, textOf(node)).toBeGreaterThanOrEqual(0)
      expect(right, textOf(node)).toBeLessThanOrEqual(width)
      expect(number(node, 'y'), textOf(node)).toBeLessThanOrEqual(height)
    }
    for (const node of byName(root, 'circle')) {
      const [middle, radius] = [number(node, 'cx'), number(node, 'r')]
      expect(middle - radius).toBeGreaterThanOrEqual(0)
      expect(middle + radius).toBeLessThanOrEqual(width)
    }
    for (const node of byName(root, 'rect')) {
      expect(number(node, 'width')).toBeGreaterThan(0)
      const x = Number(node.attributes.get('x') ?? 0)
      expect(x).toBeGreaterThanOrEqual(0)
      expect(x + number(node, 'width')).toBeLessThanOrEqual(width)
    }
  })

  it('has every mark of its lanes, in their order, each with its bounds and its source in words', () => {
    const marks = byClass(root, 'mark')
    const timeline = timelineOf(record, now)
    const drawn = new Set(byName(root, 'text').map((node) => textOf(node)))
    const expected = (timeline?.marks ?? []).filter(({ mark: { container, service } }) => {
      const label = container ?? (service === undefined ? undefined : `service ${service}`)
      // A long label is shortened, and a lane may be left out.
      return label === undefined || drawn.has(label) || label.length > 27
    })
    expect(marks.map(({ attributes }) => attributes.get('tabindex'))).toEqual(expected.map(() => '0'))
    for (const [index, { mark }] of expected.entries()) {
      const words = marks[index]?.attributes.get('aria-label') ?? ''
      expect(words).toMatch(/^(about |by )?[+-]/)
      expect(words).toContain(`on the ${mark.clock === 'APIServer' ? 'API server' : mark.clock.toLowerCase()}'s clock`)
    }
  })

  it('carries no style of its own as a part of a page, and ids under the name it is given', () => {
    const part = parseMarkup(drawSvg(record, { ...options, alone: false, id: 'third' }))
    expect(byName(part, 'style')).toEqual([])
    for (const { attributes } of nodesOf(part)) {
      expect(attributes.has('style')).toBe(false)
      for (const key of attributes.keys()) expect(key).not.toMatch(/^on/)
      expect(attributes.get('id') ?? 'third-').toMatch(/^third-/)
    }
  })
})

describe('positions', () => {
  const root = parseMarkup(drawSvg(records.forcedKillInferred()))
  const box = (node: Node | undefined) => {
    if (node === undefined) throw new Error('not drawn')
    return { from: number(node, 'x'), to: number(node, 'x') + number(node, 'width') }
  }

  it('ends the frame of the killed container at its exit, before that of the pod and after the deadline', () => {
    const [pod, app, logShip] = byClass(root, 'frame').map(box)
    const [deadline] = byClass(root, 'deadline')
    if (pod === undefined || app === undefined || logShip === undefined || deadline === undefined) throw new Error('not drawn')
    expect([app.from, logShip.from]).toEqual([pod.from, pod.from])
    const perSecond = (pod.to - pod.from) / 17.6
    // Places are whole pixels.
    expect(Math.abs(app.to - pod.from - 17.2 * perSecond)).toBeLessThanOrEqual(1)
    expect(Math.abs(logShip.to - pod.from - 1.3 * perSecond)).toBeLessThanOrEqual(1)
    expect(Math.abs(number(deadline, 'x1') - pod.from - 15 * perSecond)).toBeLessThanOrEqual(1)
  })

  it('draws what is not sure as a band over its bounds, and what is sure without one', () => {
    const pod = box(byClass(root, 'frame')[0])
    const perSecond = (pod.to - pod.from) / 17.6
    const bands = byClass(root, 'band').map(box)
    const exit = bands.filter(({ from, to }) => Math.abs((from + to) / 2 - pod.from - 1.3 * perSecond) < 1)
    expect(exit).toHaveLength(1)
    expect(Math.abs((exit[0]?.to ?? 0) - (exit[0]?.from ?? 0) - 1.0 * perSecond)).toBeLessThanOrEqual(1)
    expect(byClass(parseMarkup(drawSvg(records.forcedKill())), 'band')).toEqual([])
  })

  it('keeps the first seconds readable where a finalizer holds the pod for hours', () => {
    const { record, now } = records.overdue()
    const held = parseMarkup(drawSvg(record, { now }))
    const [pod, app] = byClass(held, 'frame').map(box)
    expect((app?.to ?? 0) - (app?.from ?? 0)).toBeGreaterThan(20)
    expect(byClass(held, 'open').map(box)[0]).toEqual(pod)
  })
})

it('keeps as many marks as a record holds in their order, on their lane and in the picture', () => {
  const many = Array.from({ length: 400 }, (_, i) => records.mark('StopSignal', 16.9 + i / 10_000, { container: 'app' }))
  const record = records.forcedKill()
  const root = parseMarkup(drawSvg({ ...record, timeline: [...(record.timeline ?? []), ...many] }))
  const xs = byClass(root, 'mark')
    .slice(-400)
    .map((mark) => number(byClass(mark, 'ring')[0] ?? mark, 'cx'))
  expect(xs).toEqual(xs.toSorted((a, b) => a - b))
  expect(new Set(xs).size).toBeGreaterThan(300)
  expect(Math.max(...xs)).toBeLessThan(880)
})

it('takes markup in any field for text', () => {
  for (const record of [nasty(), nasty(records.killedFromInside()), nasty(records.twelve())]) {
    for (const alone of [true, false]) {
      const svg = drawSvg(record, { alone })
      const names = new Set([...nodesOf(parseMarkup(svg))].map(({ name }) => name))
      expect([...names].filter((name) => !/^(svg|g|title|desc|style|rect|line|path|circle|text)$/.test(name))).toEqual([])
      expect(svg).not.toContain('<script')
      expect(textOf(parseMarkup(svg))).toContain(MARKUP.slice(0, 12))
    }
  }
})

describe('a workload over time', () => {
  const START = Date.parse('2026-11-24T21:30:00Z') * 1000
  const drawn = (...seconds: number[]) => {
    const points = seconds.map((after, i) => ({
      ...{ at: START + after * SECOND, usedPercent: 50, outcome: 'Graceful', name: `web-${i}`, href: `/${i}` },
    }))
    const svg = parseMarkup(drawWorkload('web', points))
    const dots = byClass(svg, 'touch').map(({ attributes }) => Number(attributes.get('cx')))
    const ends = byName(svg, 'text')
      .map(textOf)
      .filter((words) => words.endsWith('UTC'))
    return { dots, ends }
  }

  it('has dots where the axis says that they are', () => {
    const { dots, ends } = drawn(0, 300, 600)
    const [first = 0, middle = 0, last = 0] = dots
    expect(middle - first).toBeCloseTo(last - middle)
    expect(ends).toEqual(['2026-11-24 21:30:00 UTC', '2026-11-24 21:40:00 UTC'])
    // Of pods that end together the axis is a minute long, and says so.
    const together = drawn(0, 2)
    expect(together.ends).toEqual(['2026-11-24 21:30:00 UTC', '2026-11-24 21:31:00 UTC'])
    expect((together.dots[1] ?? 0) - (together.dots[0] ?? 0)).toBeCloseTo((last - first) / 30)
  })
})

describe('colours', () => {
  const luminance = (hex: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const contrast = (one: string, other: string) => {
    const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
  }

  it.each(Object.entries(PALETTES))('can be read, %s', (_, palette) => {
    const { paper, line, ...inks } = palette
    for (const [name, ink] of Object.entries(inks)) expect(contrast(ink, paper), name).toBeGreaterThanOrEqual(4.5)
    // The grid is an ornament; it has to be there, and no more.
    expect(contrast(line, paper)).toBeGreaterThan(1.2)
  })

  it('are all defined', () => {
    for (const [, name = ''] of SVG_STYLE.matchAll(/var\(--gw-(\w+)\)/g)) expect(Object.keys(PALETTES.light)).toContain(name)
  })
})
