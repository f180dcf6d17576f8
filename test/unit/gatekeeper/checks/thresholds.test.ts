import { describe, expect, test } from 'vitest'
import { Thresholds } from '../../../../src/controllers/gatekeeper/checks/thresholds.ts'

const WHAT = 'GET http://10.0.0.1:80/'
const thresholds = (start: 'New' | 'Kept' | 'Renewed', successThreshold = 1, failureThreshold = 3) =>
  new Thresholds({ successThreshold, failureThreshold, what: WHAT }, start)

/** p: an answer; anything else: a failure of that name. */
function told(it: Thresholds, ...answers: string[]) {
  for (const answer of answers) answer === 'p' ? it.passed() : it.failed(answer)
  return it.result
}
const states = (it: Thresholds, ...answers: string[]) => answers.map((answer) => told(it, answer).state)

describe('a pod that nobody has asked before', () => {
  test('fails until it has answered, which is on its way', () => {
    expect(told(thresholds('New'))).toEqual({
      state: 'Fail',
      reason: 'NotYetProbed',
      message: `${WHAT} has not been answered yet`,
      pending: true,
    })
  })

  test('passes with its first answer, and fails with its first failure', () => {
    expect(told(thresholds('New'), 'p')).toEqual({ state: 'Pass', reason: 'Answered', message: `${WHAT} is answered` })
    expect(told(thresholds('New'), 'refused')).toEqual({
      state: 'Fail',
      reason: 'ProbeFailed',
      message: `${WHAT} failed: refused`,
    })
  })

  test('passes with as many answers in a row as it takes', () => {
    expect(states(thresholds('New', 3), 'p', 'p', 'x', 'p', 'p', 'p')).toEqual(['Fail', 'Fail', 'Fail', 'Fail', 'Fail', 'Pass'])
    expect(told(thresholds('New', 3), 'p').message).toBe(`${WHAT} is answered, which has to be so 3 times in a row`)
  })
})

describe('a pod that passes', () => {
  test('fails with as many failures in a row as it takes', () => {
    expect(states(thresholds('New'), 'p', 'x', 'x', 'p', 'x', 'x', 'x', 'p')).toEqual([
      ...['Pass', 'Pass', 'Pass', 'Pass', 'Pass', 'Pass', 'Fail', 'Pass'],
    ])
    expect(states(thresholds('New', 1, 1), 'p', 'x', 'p')).toEqual(['Pass', 'Fail', 'Pass'])
  })

  test('says the same as long as it passes', () => {
    const it = thresholds('New')
    expect(new Set(['p', 'x', 'y', 'p'].map((answer) => told(it, answer).message)).size).toBe(1)
  })
})

describe('a pod whose condition was True before anybody here had asked', () => {
  test('is left as it is until it answers, or has failed as often as one that passed', () => {
    expect(told(thresholds('Kept'))).toMatchObject({ state: 'Unknown', pending: true })
    expect(told(thresholds('Kept'), 'x', 'x')).toMatchObject({ state: 'Unknown', pending: true })
    expect(told(thresholds('Kept'), 'x', 'x', 'x')).toMatchObject({ state: 'Fail', reason: 'ProbeFailed' })
    expect(told(thresholds('Kept', 3), 'x', 'p')).toMatchObject({ state: 'Pass' })
  })

  test('does not pass if a container has restarted since, and says so', () => {
    const result = told(thresholds('Renewed'))
    expect(result).toMatchObject({ state: 'Fail', reason: 'NotYetProbed' })
    expect(result).not.toHaveProperty('pending')
  })
})

test('a pod that fails now in this way and now in that keeps its message, until it fails in another way for good', () => {
  const it = thresholds('New')
  const messages = ['a', 'b', 'a', 'b', 'b', 'b'].map((failure) => told(it, failure).message)
  expect(messages).toEqual([...new Array<string>(5).fill(`${WHAT} failed: a`), `${WHAT} failed: b`])
})
