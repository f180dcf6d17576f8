import { expect, it } from 'vitest'
import { displayWidth } from '../../../src/render/text.ts'
import { watchHeader, watchLine } from '../../../src/render/watch.ts'
import { forcedKill, graceful, longNames, lost, overdue, sidecars, terminating } from './records.ts'

const records = [terminating().record, forcedKill(), graceful(), sidecars(), overdue().record, longNames(), lost()]
const { now } = overdue()
const drawn = (width?: number) => {
  const options = { colour: false, namespaces: true, ...(width === undefined ? {} : { width }) }
  return [watchHeader(options), ...records.map((record) => watchLine(record, now, options))]
}

it('says when it was over, and of what is not, when that came to be known', () => {
  expect(drawn(100).slice(0, 3)).toEqual([
    'TIME      POD                        OUTCOME       CAUSE         GRACE   TOOK     FINDINGS',
    '00:43:01  shop/web-7d4b9c-x2x9k      Terminating   Deleted       15 s',
    '21:31:18  shop/web-7d4b9c-x2x9k      ForcedKill    Deleted       15 s    17.4 s   PreStopOverran',
  ])
})

it.each([40, 50, 60, 70, 80, 100, 160])('fits into %d columns, each thing below its title', (width) => {
  const [header = '', ...lines] = drawn(width)
  for (const line of [header, ...lines]) expect(displayWidth(line), line).toBeLessThanOrEqual(width)
  expect(header).toMatch(/^TIME +POD +OUTCOME/)
  expect(lines[1]?.indexOf('ForcedKill')).toBe(header.indexOf('OUTCOME'))
  if (header.includes('FINDINGS')) expect(lines[1]?.indexOf('PreSt')).toBe(header.indexOf('FINDINGS'))
})

it('cuts nothing in a pipe', () => {
  const { pod, summary = '' } = longNames()
  expect(drawn()[6]).toContain(`${pod.namespace}/${pod.name}`)
  expect(drawn()[6]).toContain(summary)
})
