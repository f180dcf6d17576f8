/** The page that the demo leaves behind. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { writeReport } from '../../demo/records.ts'
import { byName, parseMarkup, textOf } from '../page/xml.ts'
import { forcedKill, graceful } from '../render/records.ts'

const root = resolve(import.meta.dirname, '../../..')

it('is one file with a drawing of each pod, where the demo says that it is', () => {
  const above = mkdtempSync(join(tmpdir(), 'gracewatch-demo-'))
  onTestFinished(() => rmSync(above, { recursive: true }))
  // Made where it is not there, as in a fresh clone.
  const folder = join(above, 'out/demo')
  const told = writeReport([forcedKill(), graceful()], folder)
  expect(resolve(root, told)).toBe(join(folder, 'report.html'))
  expect(readdirSync(folder)).toEqual(['report.html'])
  const page = parseMarkup(readFileSync(join(folder, 'report.html'), 'utf8'))
  expect(byName(page, 'h1').map(textOf)).toEqual(['Six ways in which pods end'])
  expect(
    byName(page, 'h2')
      .map(textOf)
      .filter((text) => text.includes('/')),
  ).toEqual(['shop/web-7d4b9c-x2x9kFORCED KILL', 'shop/web-7d4b9c-x2x9kGRACEFUL'])
  expect(byName(page, 'svg')).toHaveLength(2)
})
