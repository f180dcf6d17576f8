/** The pages that people write: their links lead somewhere, and the messages that they quote are those of the programs. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CAUSES, FINDINGS, OUTCOMES } from '../../../src/api/pod-termination.ts'

const root = resolve(import.meta.dirname, '../../..')
const below = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true })
    .map((path) => join(folder, String(path)))
    .filter((path) => path.endsWith(ending))
const PAGES = ['README.md', 'CHANGELOG.md', 'deploy/chart/README.md', 'test/cluster/README.md', ...below('docs', '.md')]
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const withoutBlocks = (text: string) => text.replaceAll(/^```.*?^```$/gms, '')

/** As GitHub makes them of headings. */
function anchors(path: string): string[] {
  const headings = [...withoutBlocks(read(path)).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('links', () => {
  it.each(PAGES)('of %s lead to files and headings that are there', (page) => {
    const links = [...withoutBlocks(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    const broken = links.filter((link) => {
      if (/^[a-z]+:/.test(link)) return false
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? page : relative(root, resolve(root, dirname(page), file))
      if (!existsSync(join(root, target))) return true
      return anchor !== undefined && statSync(join(root, target)).isFile() && !anchors(target).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

describe('docs/troubleshooting.md', () => {
  /** What is quoted is ours, but for what helm says. */
  const [ours = ''] = read('docs/troubleshooting.md').split('## Helm')
  const cells = [...ours.matchAll(/^\| (.+?) \|/gm)].map(([, cell = '']) => cell)
  const quoted = cells
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text))
    .filter((text) => / /.test(text))
  const sources = below('src', '.ts').map(read).join('\n').replaceAll("\\'", "'")

  it('quotes messages', () => expect(quoted.length).toBeGreaterThan(25))
  it.each(quoted)('has "%s" from the programs', (text) => {
    const parts = text.split(/…|"|^\[-\] |: /).map((part) => part.trim())
    for (const part of parts.filter((it) => it.length > 3)) expect(sources.includes(part), part).toBe(true)
  })
})

describe('what a record can say', () => {
  const firstCells = (text: string) => [...text.matchAll(/^\| (\w+)(?: \(Info\))? \|/gm)].map(([, cell = '']) => cell)
  const section = (page: string, from: string, to: string) => read(page).split(from)[1]?.split(to)[0] ?? ''

  it('has a row each, with what it means: outcomes and findings in the README, causes on the page of concepts', () => {
    const outcomes = section('README.md', '**Outcome**', '**Cause**')
    const findings = section('README.md', '**Findings**', '\n## ')
    const causes = section('docs/concepts.md', '## Who ended the pod', '\n## ')
    // But for the heads of the tables.
    expect(firstCells(outcomes).slice(1)).toEqual([...OUTCOMES])
    expect(firstCells(findings).slice(1).sort()).toEqual(Object.keys(FINDINGS).sort())
    expect(firstCells(causes).slice(1).sort()).toEqual([...CAUSES].sort())
  })

  it('is told of in the README by all causes', () => {
    const named = section('README.md', '**Cause**', '**Findings**')
    for (const cause of CAUSES) expect(named).toMatch(new RegExp(`\\b${cause}\\b`))
  })
})
