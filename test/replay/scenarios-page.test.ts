import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PAGE, rowHead } from '../e2e/report.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'

/** What was on the page before there was an agent; the scenarios after these come with the next whole run of both halves. */
const FEWEST_ROWS = 33

describe('docs/scenarios.md', () => {
  it('has the rows of the last whole run, each as it is played (written anew by GRACEWATCH_E2E_DOCS=write npm test -- e2e)', () => {
    const rows = readFileSync(PAGE, 'utf8').split('\n')
    const heads = rows.filter((row) => /^\| \d/.test(row)).map((row) => row.split(' |').slice(0, 2).join(' |').concat(' |'))
    expect(heads.length).toBeGreaterThanOrEqual(FEWEST_ROWS)
    expect(heads).toEqual(SCENARIOS.slice(0, heads.length).map(rowHead))
  })
})

describe('the scenarios', () => {
  it('are numbered from 1 to 54', () => {
    expect(SCENARIOS.map(({ number }) => number)).toEqual(Array.from({ length: 54 }, (_, index) => index + 1))
  })
})
