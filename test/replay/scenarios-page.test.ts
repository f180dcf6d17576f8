import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PAGE, rowHead } from '../e2e/report.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'

describe('docs/scenarios.md', () => {
  it('has the scenarios that there are, each as it is played (written anew by GRACEWATCH_E2E_DOCS=write npm test -- e2e)', () => {
    const rows = readFileSync(PAGE, 'utf8').split('\n')
    const heads = rows.filter((row) => /^\| \d/.test(row)).map((row) => row.split(' |').slice(0, 2).join(' |').concat(' |'))
    expect(heads).toEqual(SCENARIOS.map(rowHead))
  })
})

describe('the scenarios', () => {
  it('are numbered from 1 to 54', () => {
    expect(SCENARIOS.map(({ number }) => number)).toEqual(Array.from({ length: 54 }, (_, index) => index + 1))
  })
})
