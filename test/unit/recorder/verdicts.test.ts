/** What others are told of how terminations end, by whom it was found out, and which are under way. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { aPod, micros, type PodOptions } from '../builders.ts'
import { Bench, refused } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

const begins = (options: PodOptions = {}) =>
  aPod(options).running().seen().deleted({ at: 0 }).acknowledged({ at: 0.1 }).killing('app', { at: 0.1 })
const quick = (options: PodOptions = {}) =>
  begins(options).exited('app', { at: 0.5, code: 0 }).reported({ at: 0.6, phase: 'Succeeded' }).removed({ at: 0.8 })

describe('a verdict', () => {
  test('is told once, when the record is written', async () => {
    const bench = new Bench()
    await bench.play(quick())
    await bench.until(100)
    expect(bench.verdicts).toEqual(['1.1 Graceful'])
  })

  test('is told where the record is not kept, or refused for good, too', async () => {
    const left = new Bench({ record: 'Abnormal' })
    await left.play(quick())
    await left.until(100)
    expect([left.verdicts, left.steps]).toEqual([['1.1 Graceful'], []])
    vi.useRealTimers()
    const bench = new Bench()
    bench.answer = () => refused('TooLarge')
    await bench.play(quick())
    await bench.until(100)
    expect(bench.verdicts).toEqual(['1.1 Graceful'])
  })

  test('is news where the record was begun here and cannot be completed', async () => {
    const bench = new Bench()
    bench.answer = ({ state }) => (state === 'Complete' ? refused('TooLarge') : undefined)
    await bench.play(begins({ grace: 30 }).exited('app', { at: 4, code: 0 }).removed({ at: 5 }))
    await bench.until(100)
    expect(bench.steps.map((step) => step.slice(4))).toEqual(['Terminating', 'Complete Refused'])
    expect(bench.verdicts).toHaveLength(1)
    expect(bench.verdicts[0]).not.toContain('no news')
  })

  test('is not told by a replica that stands by', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    await bench.until(60)
    expect(bench.verdicts).toEqual([])
  })

  test('is no news to a new leader where the one before had completed the record', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    bench.leave(quick().record(), 'web-7d4b9c-x2x9k.84b61cdb')
    bench.leading = true
    bench.recorder.takeOver(undefined)
    await bench.until(60)
    expect(bench.verdicts).toHaveLength(1)
    expect(bench.verdicts[0]).toContain('Graceful, no news')
  })

  test('is no news where the one before had left it out, by its high-water mark', async () => {
    const bench = new Bench({ record: 'Abnormal' })
    bench.leading = false
    await bench.play(quick())
    bench.leading = true
    bench.recorder.takeOver(micros(20))
    await bench.until(60)
    expect(bench.verdicts).toHaveLength(1)
    expect(bench.verdicts[0]).toContain('no news')
  })

  test('is news where the one before had only begun the record, or had not got to it', async () => {
    for (const begun of [true, false]) {
      const bench = new Bench()
      bench.leading = false
      await bench.play(quick())
      if (begun) bench.leave(begins().record(2), 'web-7d4b9c-x2x9k.84b61cdb')
      bench.leading = true
      bench.recorder.takeOver(undefined)
      await bench.until(60)
      expect(bench.verdicts).toHaveLength(1)
      expect(bench.verdicts[0]).toMatch(/ Graceful$/)
      vi.useRealTimers()
    }
  })

  test('is told again where later facts have corrected it', async () => {
    const bench = new Bench()
    const pod = aPod({ containers: [{ name: 'app', preStop: { handler: 'Exec' } }] })
      .running()
      .seen()
      .removed({ at: 0 })
    await bench.play(pod)
    await bench.until(3)
    await bench.play(aPod().killing('app', { at: 4 }))
    await bench.until(100)
    expect(bench.verdicts.map((verdict) => verdict.split(' ')[0])).toEqual(['0.3', '20.3'])
  })
})

describe('terminations under way', () => {
  const names = (bench: Bench) =>
    [...bench.recorder.ongoing()].map(({ pod, overdue }) => `${pod.name}${overdue ? ' overdue' : ''}`)

  test('are those that have begun and whose pod is there, past their deadline or not', async () => {
    const bench = new Bench()
    expect(names(bench)).toEqual([])
    await bench.play(begins({ grace: 5 }))
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k'])
    await bench.until(40)
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k overdue'])
    await bench.play(aPod({ grace: 5 }).gone({ at: 60 }))
    expect(names(bench)).toEqual([])
    await bench.until(200)
    expect(names(bench)).toEqual([])
  })

  test('are those as well whose containers have ended and that a finalizer keeps', async () => {
    const bench = new Bench()
    const pod = aPod({ grace: 5, finalizers: ['example.com/wait'] })
    await bench.play(
      pod.running().seen().deleted({ at: 0 }).exited('app', { at: 1, code: 0 }).reported({ at: 1.2, phase: 'Succeeded' }),
    )
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k'])
    await bench.until(40)
    expect(bench.steps.map((step) => step.split(' ')[1])).toEqual(['Terminating', 'Overdue'])
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k overdue'])
    await bench.play(pod.gone({ at: 60 }))
    expect(names(bench)).toEqual([])
  })

  test('are not those that have ended by themselves and lie there', async () => {
    const bench = new Bench()
    const pod = aPod({ restartPolicy: 'Never' }).running().seen()
    await bench.play(pod.exited('app', { at: 1, code: 0 }).reported({ at: 1.2, phase: 'Succeeded' }))
    expect(names(bench)).toEqual([])
  })
})
