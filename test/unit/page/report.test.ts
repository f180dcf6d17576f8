/** Records as one file: whole, quiet, and with nothing of the cluster as markup. */
import { describe, expect, it } from 'vitest'
import { report } from '../../../src/page/report.ts'
import { PALETTES } from '../../../src/render/svg-style.ts'
import * as records from '../render/records.ts'
import { MARKUP, nasty } from './nasty.ts'
import { byClass, byName, nodesOf, parseMarkup, textOf } from './xml.ts'

const all = () => [
  records.forcedKill(),
  records.graceful(),
  records.noEvents(),
  records.overdue().record,
  records.begunByTheAgent(),
]
const headings = (html: string) =>
  [...nodesOf(parseMarkup(html))].filter(({ name }) => /^h[1-6]$/.test(name)).map((node) => `${node.name} ${textOf(node)}`)

describe('a report', () => {
  it('of one record has it for its title', () => {
    expect(headings(report([records.forcedKill()], { timeZone: 'UTC' }))).toEqual([
      'h1 shop/web-7d4b9c-x2x9kFORCED KILL',
      'h2 Findings',
      'h3 Warning: PreStopOverran (app)',
      'h2 Marks',
    ])
  })

  it('of several has each under a title, in order, and no id twice', () => {
    const html = report(all(), { title: 'Last night', intro: ['What ended between 02:00 and 03:00.'], timeZone: 'Europe/Berlin' })
    const page = parseMarkup(html)
    expect(headings(html).filter((heading) => /^h[12] (?!Findings|Marks)/.test(heading))).toEqual([
      'h1 Last night',
      'h2 shop/web-7d4b9c-x2x9kFORCED KILL',
      'h2 shop/web-7d4b9c-x2x9kGRACEFUL',
      'h2 shop/web-7d4b9c-x2x9kGRACEFUL',
      'h2 shop/web-7d4b9c-x2x9kGRACEFUL, OVERDUE',
      'h2 shop/web-7d4b9c-x2x9kNO VERDICT YET',
    ])
    expect(textOf(page)).toContain('What ended between 02:00 and 03:00.')
    expect(textOf(page)).toContain('Deleted 2026-11-24 22:31:01.2 +01:00 by an API delete')
    // One that holds no time at all has no picture.
    expect(byName(page, 'svg').length).toBe(4)
    const ids = [...nodesOf(page)].flatMap(({ attributes }) => attributes.get('id') ?? [])
    expect(ids).toHaveLength(8)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('loads nothing, leads nowhere and runs nothing, light and dark', () => {
    const page = parseMarkup(report(all(), { title: 'x', timeZone: 'UTC' }))
    for (const { name, attributes } of nodesOf(page)) {
      expect(name).not.toMatch(/^(script|img|link|a|iframe|form)$/)
      for (const key of attributes.keys()) expect(key).not.toMatch(/^(on|href|src)/)
    }
    const style = textOf(byName(page, 'style')[0] ?? page)
    expect(style).not.toMatch(/url\(|@import/)
    for (const { paper } of Object.values(PALETTES)) expect(style).toContain(paper)
    expect(byName(page, 'meta').map(({ attributes }) => attributes.get('content'))).toContain(
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    )
  })

  it('takes markup in any field, and in its title, for text', () => {
    const page = parseMarkup(report([nasty(), nasty()], { title: MARKUP, intro: [MARKUP], timeZone: 'UTC' }))
    expect(byName(page, 'script')).toEqual([])
    expect(byName(page, 'img')).toEqual([])
    expect(textOf(byName(page, 'h1')[0] ?? page)).toBe(MARKUP)
    expect(byClass(page, 'mark').length).toBeGreaterThan(0)
  })

  it('of none says so', () => {
    expect(headings(report([], { timeZone: 'UTC' }))).toEqual([])
    expect(textOf(byName(parseMarkup(report([], { timeZone: 'UTC' })), 'title')[0] ?? '')).toBe('No terminations · Gracewatch')
  })
})
