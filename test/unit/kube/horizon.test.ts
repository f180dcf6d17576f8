import { expect, test } from 'vitest'
import { SECOND } from '../../../src/core/time.ts'
import { Horizon } from '../../../src/kube/horizon.ts'

const at = (seconds: number) => seconds * SECOND

/** A watch that was opened at second 10 after a list of second 9 and has caught up. */
function caughtUp(): Horizon {
  const horizon = new Horizon()
  horizon.listed(at(9))
  horizon.opened()
  horizon.tick(at(11))
  horizon.tick(at(12))
  horizon.bookmark()
  return horizon
}

test('nothing is known before the first list', () => {
  expect(new Horizon().until).toBeUndefined()
})

test('a list answers for the time at which it was asked for', () => {
  const horizon = new Horizon()
  horizon.listed(at(9))
  expect(horizon.until).toBe(at(9))
})

test('an event of a watch that has caught up answers for nearly its arrival', () => {
  const horizon = caughtUp()
  horizon.tick(at(13))
  horizon.arrived(at(13.5))
  // The last but one tick, and a second for the server.
  expect(horizon.until).toBe(at(11))
})

test('what arrives first after a resume answers for nothing: it can be as old as the cut', () => {
  const horizon = caughtUp()
  horizon.opened()
  horizon.tick(at(61))
  horizon.tick(at(62))
  horizon.arrived(at(62.1))
  horizon.arrived(at(62.2))
  expect(horizon.until).toBe(at(9))
  horizon.bookmark()
  horizon.arrived(at(62.3))
  expect(horizon.until).toBe(at(60))
})

test('a watch that was silent for three ticks has caught up as well', () => {
  const horizon = caughtUp()
  horizon.opened()
  horizon.arrived(at(60.5))
  for (const second of [61, 62, 63]) horizon.tick(at(second))
  horizon.arrived(at(63.5))
  expect(horizon.until).toBe(at(61))
})

test('after this process was held up, what arrives can have waited since', () => {
  const horizon = caughtUp()
  horizon.tick(at(13))
  horizon.arrived(at(13.2))
  // Five minutes asleep; the timer fires before the socket is read.
  horizon.tick(at(313))
  horizon.arrived(at(313.001))
  expect(horizon.until).toBe(at(12))
})

test('it never goes back', () => {
  const horizon = caughtUp()
  horizon.tick(at(100))
  horizon.tick(at(101))
  horizon.arrived(at(101))
  horizon.listed(at(50))
  expect(horizon.until).toBe(at(99))
})

test('silence alone moves nothing: the connection may be dead', () => {
  const horizon = caughtUp()
  for (let second = 13; second < 60; second++) horizon.tick(at(second))
  expect(horizon.until).toBe(at(9))
})
