import { expect, test } from 'vitest'
import { type Job, Lanes } from '../../../../src/controllers/gatekeeper/checks/lanes.ts'

/** Jobs that run until they are told to end, and the order in which they began. */
function jobs(lanes: Lanes) {
  const began: string[] = []
  const ends = new Map<string, () => void>()
  const made = new Map<string, Job>()
  return {
    began,
    add(namespace: string, name: string, slow = false) {
      const job: Job = {
        namespace,
        slow,
        run() {
          began.push(name)
          return new Promise((resolve) => ends.set(name, resolve))
        },
      }
      made.set(name, job)
      lanes.add(job)
    },
    remove(name: string) {
      const job = made.get(name)
      if (job !== undefined) lanes.remove(job)
    },
    async end(name: string) {
      ends.get(name)?.()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

test('so many run at the same time, and the next begins when one has ended', async () => {
  const lanes = new Lanes(4)
  const { add, began, end } = jobs(lanes)
  for (const name of ['a1', 'b1', 'c1']) add(name[0] ?? '', name)
  expect(began).toEqual(['a1', 'b1'])
  expect(lanes.running).toBe(2)
  await end('b1')
  expect(began).toEqual(['a1', 'b1', 'c1'])
  await end('a1')
  await end('c1')
  expect(lanes.running).toBe(0)
})

test('slow ones fill their own lane only', () => {
  const { add, began } = jobs(new Lanes(8))
  for (let i = 0; i < 64; i++) add(`n${i % 8}`, `slow${i}`, true)
  expect(began).toHaveLength(4)
  add('n0', 'quick')
  expect(began.at(-1)).toBe('quick')
})

test('namespaces take turns, and one alone has half of a lane', async () => {
  const { add, began, end } = jobs(new Lanes(8))
  for (let i = 0; i < 100; i++) add('crowd', `crowd${i}`)
  expect(began).toEqual(['crowd0', 'crowd1'])
  add('one', 'one')
  add('two', 'two')
  expect(began.slice(2)).toEqual(['one', 'two'])
  add('one', 'one again')
  add('three', 'three')
  await end('crowd0')
  // The crowd had been waiting for longer, and is the first to have its turn.
  expect(began.at(-1)).toBe('crowd2')
  await end('crowd1')
  expect(began.at(-1)).toBe('one again')
  await end('crowd2')
  expect(began.at(-1)).toBe('three')
})

test('one that is taken out does not begin', async () => {
  const { add, remove, began, end } = jobs(new Lanes(2))
  add('a', 'first')
  add('b', 'out')
  add('c', 'next')
  remove('out')
  await end('first')
  expect(began).toEqual(['first', 'next'])
})
