/** What others are told of how terminations end, by whom it was found out, and which are under way. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { RecorderSettings } from '../../../src/controllers/recorder/recorder.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import { DEFINITIONS } from '../../../src/metrics/definitions.ts'
import { aPod, micros } from '../builders.ts'
import { Bench, begins, ends, gone, killed, quick, refused } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

/** Takes longer than a record waits for its first write. */
const slow = () => ends(begins(), 4)
const NAME = 'web-7d4b9c-x2x9k.84b61cdb'

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
    bench.leave(quick().record(), NAME)
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
      if (begun) bench.leave(begins().record(2), NAME)
      bench.leading = true
      bench.recorder.takeOver(undefined)
      await bench.until(60)
      expect(bench.verdicts).toHaveLength(1)
      expect(bench.verdicts[0]).toMatch(/ Graceful$/)
      vi.useRealTimers()
    }
  })

  /** One that leads begins the record, leads no more while the pod ends, and leads again. */
  const leadsAgain = async (
    settings: Partial<RecorderSettings>,
    { mark, meanwhile }: { mark: number; meanwhile: (bench: Bench) => void },
  ) => {
    const bench = new Bench(settings)
    await bench.play(begins())
    await bench.until(3)
    bench.leading = false
    await bench.play(slow())
    meanwhile(bench)
    await bench.until(8)
    bench.leading = true
    bench.recorder.takeOver(micros(mark))
    await bench.until(100)
    expect(bench.verdicts).toHaveLength(1)
    return bench
  }

  test('is no news to a leader that had begun the record, where another one completed it before it led again', async () => {
    const bench = await leadsAgain({}, { mark: 7, meanwhile: (one) => one.leave(slow().record(), NAME) })
    expect(bench.steps).toEqual(['2.0 Terminating'])
    expect(bench.verdicts[0]).toContain('Graceful, no news')
  })

  test('is no news to it either where the other one left it out, or its record has been deleted since', async () => {
    const left = await leadsAgain({ record: 'Abnormal' }, { mark: 7, meanwhile: () => {} })
    expect(left.steps).toEqual([])
    expect(left.verdicts[0]).toContain('Graceful, no news')
    vi.useRealTimers()
    const deleted = await leadsAgain({}, { mark: 7, meanwhile: (one) => one.stored.clear() })
    expect(deleted.steps).toEqual(['2.0 Terminating'])
    expect(deleted.verdicts[0]).toContain('Graceful, no news')
  })

  test('is news to it where the other one had not got to it', async () => {
    const bench = await leadsAgain({}, { mark: 3, meanwhile: () => {} })
    expect(bench.steps).toEqual(['2.0 Terminating', '8.0 Complete'])
    expect(bench.verdicts[0]).toMatch(/ Graceful$/)
  })

  test.each([3, 15])(
    'of a kill at 5 s is told and written as well where the leader went at 2 s, with nothing to record yet, and the next one leads from %d s on',
    async (from) => {
      const bench = new Bench({ record: 'Abnormal' })
      bench.leading = false
      await bench.play(from < 5 ? begins({ grace: 5 }) : killed())
      await bench.until(from)
      bench.leading = true
      bench.recorder.takeOver(micros(2))
      await bench.play(killed())
      await bench.until(100)
      expect(bench.writes.map(({ state }) => state)).toEqual(['Complete'])
      expect(bench.verdicts).toHaveLength(1)
      expect(bench.verdicts[0]).toMatch(/ ForcedKill$/)
    },
  )

  test('reaches all there is to be told, and is told once, where one of those that are told throws', async () => {
    for (const observer of ['onEvidence', 'onVerdict'] as const) {
      const bench = new Bench()
      bench.throwing.add(observer)
      await bench.play(killed())
      await bench.until(100)
      expect(bench.writes.map(({ state }) => state)).toEqual(['Terminating', 'Complete'])
      expect(bench.verdicts).toHaveLength(observer === 'onEvidence' ? 1 : 0)
      expect(bench.told).toEqual(['Complete'])
      expect(bench.logged).toEqual(['an observer failed'])
      expect(bench.recorder.stats).toMatchObject({ retries: 0, tracked: 0 })
      vi.useRealTimers()
    }
  })

  test('that was corrected reaches all there is to be told, too, where one of those that are told throws', async () => {
    const bench = new Bench()
    await bench.play(gone())
    await bench.until(3)
    bench.throwing.add('onEvidence')
    await bench.play(aPod().killing('app', { at: 4 }))
    await bench.until(100)
    expect(bench.verdicts.map((verdict) => verdict.split(' ')[0])).toEqual(['0.3', '20.3'])
    expect(bench.told).toEqual(['Complete', 'Complete'])
    expect(bench.recorder.stats).toMatchObject({ retries: 0, tracked: 0 })
  })

  test('of a pod that ran to its end and Succeeded is told only with the setting record-completions, as the metrics say', async () => {
    const completes = () => {
      const pod = aPod({ restartPolicy: 'Never' }).running().seen().exited('app', { at: 1, code: 0 })
      return pod.reported({ at: 1.2, phase: 'Succeeded' })
    }
    for (const recordCompletions of [false, true]) {
      const bench = new Bench({ recordCompletions })
      await bench.play(completes())
      await bench.until(100)
      expect(bench.verdicts.map((verdict) => verdict.split(' ')[1])).toEqual(recordCompletions ? ['Graceful'] : [])
      vi.useRealTimers()
    }
    expect(DEFINITIONS.gracewatch_pod_terminations_total.help).toContain('record-completions')
  })

  test('is told again where later facts have corrected it', async () => {
    const bench = new Bench()
    await bench.play(gone())
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

  test.each([
    ['has no room for', refused('QuotaExceeded')],
    ['never takes', refused('Invalid', 'pod.node: Invalid value')],
    ['does not answer about', new KubeError('Timeout', 'no answer')],
  ])('are past their deadline, too, where the API server %s the record', async (_, answer) => {
    const bench = new Bench()
    bench.answer = () => answer
    await bench.play(begins({ grace: 5 }))
    await bench.until(9)
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k'])
    await bench.until(80)
    expect(names(bench)).toEqual(['web-7d4b9c-x2x9k overdue'])
    await bench.play(aPod({ grace: 5 }).gone({ at: 90 }))
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
