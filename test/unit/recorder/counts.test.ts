/** What is told of writes of records: those of the recorder, of its catch-up, and of others who write some. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RecordKeeper } from '../../../src/controllers/cleaner/record-keeper.ts'
import { RateLimit } from '../../../src/controllers/rate-limit.ts'
import { catchUp } from '../../../src/controllers/recorder/catch-up.ts'
import { RecordWriter } from '../../../src/controllers/recorder/writer.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import { SECOND } from '../../../src/core/time.ts'
import { aPod } from '../builders.ts'
import { Bench, refused } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

const NAME = 'web-7d4b9c-x2x9k.84b61cdb'
const counts = ({ recorder: { stats } }: Bench) => ({ written: stats.written, refused: stats.refused })

describe('of the catch-up', () => {
  const close = async (bench: Bench) => {
    bench.leave(aPod().running().seen().deleted({ at: -200 }).record(-190), NAME)
    const { http, recorder, records, clock, log } = bench
    const pods = new Map<string, PodSnapshot>()
    await catchUp(
      {
        ...{ http, recorder, records, clock, log, pods },
        missed: { ended: () => [] },
        namespace: 'gracewatch',
        reach: SECOND,
        onVerdict() {},
      },
      0,
      undefined,
    )
    expect(bench.steps).toHaveLength(1)
  }

  test('those that the API server takes', async () => {
    const bench = new Bench()
    await close(bench)
    expect(counts(bench)).toEqual({ written: 1, refused: {} })
  })

  test('those that it refuses', async () => {
    const bench = new Bench()
    bench.answer = () => refused('QuotaExceeded')
    await close(bench)
    expect(counts(bench)).toEqual({ written: 0, refused: { QuotaExceeded: 1 } })
    // What the alert of refused records has one look for in the log.
    expect(bench.logged).toEqual([expect.stringContaining('records refused')])
  })
})

describe('of what keeps records before a cleanup', () => {
  const remains = (): PodSnapshot => {
    const story = aPod({ restartPolicy: 'Never' })
      .running()
      .exited('app', { at: -300, code: 1 })
      .reported({ at: -299, phase: 'Failed' })
    const [pod] = story.deliveries.flatMap(({ fact }) => (fact.type === 'Pod' ? [fact.pod] : []))
    if (pod === undefined) throw new Error('the pod was reported')
    return pod
  }
  const keeperOf = ({ recorder, records, clock, log }: Bench) => {
    const limit = new RateLimit(1000)
    const writer = new RecordWriter({ ...{ records, clock, log, limit }, namespace: 'gracewatch', counts: recorder.counts })
    return new RecordKeeper({ recorder, writer, clock })
  }

  test('those that the API server takes, and none where the record was found', async () => {
    const bench = new Bench()
    const keeper = keeperOf(bench)
    expect(await keeper.keep(remains())).toBe('Stands')
    expect([keeper.written, counts(bench)]).toEqual([1, { written: 1, refused: {} }])
    const other = keeperOf(bench)
    expect(await other.keep(remains())).toBe('Stands')
    expect([other.written, counts(bench)]).toEqual([0, { written: 1, refused: {} }])
  })

  test('those that it refuses', async () => {
    const bench = new Bench()
    bench.answer = () => refused('QuotaExceeded')
    const keeper = keeperOf(bench)
    expect(await keeper.keep(remains())).toMatchObject({ reason: 'QuotaExceeded' })
    expect([keeper.written, counts(bench)]).toEqual([0, { written: 0, refused: { QuotaExceeded: 1 } }])
  })

  test('none of its own while the recorder writes others', async () => {
    const bench = new Bench()
    bench.leave(aPod().running().seen().removed({ at: -300 }).record(), NAME)
    const found = bench.records.get
    bench.records.get = async (namespace, name) => {
      // Another one writes while it is looked for.
      bench.recorder.counts.add({ result: 'Written', created: true, uid: 'other', resourceVersion: '1' })
      return found(namespace, name)
    }
    const keeper = keeperOf(bench)
    expect(await keeper.keep(remains())).toBe('Stands')
    expect([keeper.written, counts(bench).written]).toEqual([0, 1])
  })
})
