import { afterEach, describe, expect, test, vi } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { aPod, micros } from '../builders.ts'
import { Bench, begins, ends, gone, killed, quick, refused } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

const UID_2 = '84b61cdb-0000-4c1e-9d3a-5a3f4c2b1a09'

describe('writes of a record', () => {
  test('are one where the termination is over within 2 s, a moment after the object is gone', async () => {
    const bench = new Bench()
    await bench.play(quick())
    await bench.until(100)
    expect(bench.steps).toEqual(['1.1 Complete'])
    expect(bench.last).toMatchObject({
      outcome: 'Graceful',
      metadata: { namespace: 'shop', name: 'web-7d4b9c-x2x9k.84b61cdb' },
      pod: { workload: { kind: 'Pod' } },
    })
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('are two where it is not, the first after 2 s', async () => {
    const bench = new Bench()
    await bench.play(killed())
    await bench.until(100)
    expect(bench.steps).toEqual(['2.0 Terminating', '5.8 Complete'])
  })

  test('are one more for Overdue, which says what the node is like', async () => {
    const bench = new Bench()
    bench.node = 'Unknown'
    const pod = aPod({ grace: 5 }).running().seen().deleted({ at: 0 })
    await bench.play(pod)
    await bench.until(40)
    // 5 s after the latest deadline there may be: the API server's time is only known to the second.
    expect(bench.steps).toEqual(['2.0 Terminating', '11.0 Overdue'])
    expect(bench.asked).toEqual(['/api/v1/nodes/node-1'])
    expect(bench.last.findings?.[0]).toMatchObject({ type: 'StuckTerminating' })
    expect(bench.last.findings?.[0]?.message).toContain('node node-1 is not ready (Unknown)')
    expect(bench.last.cause?.type).toBe('NodeLost')
    await bench.play(aPod({ grace: 5 }).gone({ at: 60 }))
    await bench.until(100)
    expect(bench.steps.slice(2)).toEqual(['60.3 Complete'])
  })

  test('are one more for facts that come within 20 s after Complete', async () => {
    const bench = new Bench()
    await bench.play(gone())
    await bench.until(3)
    expect(bench.steps).toEqual(['0.3 Complete'])
    await bench.play(aPod().killing('app', { at: 4 }))
    await bench.until(100)
    expect(bench.steps).toEqual(['0.3 Complete', '20.3 Complete'])
    expect(bench.last.timeline?.map(({ mark }) => mark)).toContain('PreStopStarted')
  })

  test('hold what arrived before the pod itself was seen to end', async () => {
    const bench = new Bench()
    const pod = aPod({ containers: [{ name: 'app', preStop: { handler: 'Exec' } }] })
      .running()
      .seen()
    pod.deleted({ at: 0, arrives: 0.6 }).killing('app', { at: 0.1, arrives: 0.2 })
    await bench.play(ends(pod, 1))
    await bench.until(100)
    expect(bench.last.timeline?.map(({ mark }) => mark)).toContain('PreStopStarted')
  })

  test('that fail are tried again later, and the record is whole then', async () => {
    const bench = new Bench()
    let failures = 3
    bench.answer = () => (failures-- > 0 ? new KubeError('ServerError', 'etcd is away') : undefined)
    await bench.play(quick())
    await bench.until(60)
    expect(bench.steps.map((step) => step.slice(4))).toEqual([
      'Complete Failed',
      'Complete Failed',
      'Complete Failed',
      'Complete',
    ])
    expect(bench.recorder.stats.written).toBe(1)
  })

  test('are no faster than the settings allow, and none is forgotten', async () => {
    const bench = new Bench({ writesPerSecond: 10 })
    const pods = Array.from({ length: 40 }, (_, index) =>
      quick({ name: `web-${index}`, uid: `${String(index).padStart(8, '0')}-0` }),
    )
    await bench.play(...pods)
    await bench.until(2.2)
    expect(bench.writes.length).toBeLessThan(25)
    await bench.until(30)
    expect(new Set(bench.writes.map(({ name }) => name)).size).toBe(40)
  })
})

describe('a place that takes no record', () => {
  test("of a namespace that is being deleted: the record goes into Gracewatch's own, its namespace before the name", async () => {
    const bench = new Bench()
    bench.answer = ({ metadata }) => (metadata.namespace === 'shop' ? refused('NamespaceTerminating') : undefined)
    await bench.play(killed())
    await bench.until(100)
    expect(bench.writes.map(({ namespace, name, result }) => `${result} ${namespace}/${name}`)).toEqual([
      'Refused shop/web-7d4b9c-x2x9k.84b61cdb',
      'Written gracewatch/shop.web-7d4b9c-x2x9k.84b61cdb',
      'Written gracewatch/shop.web-7d4b9c-x2x9k.84b61cdb',
    ])
    expect(bench.last.pod.namespace).toBe('shop')
  })

  test("where another pod's record has the name: the full UID is taken", async () => {
    const bench = new Bench()
    bench.answer = ({ metadata }) =>
      metadata.name.endsWith('.84b61cdb')
        ? refused('Invalid', 'pod.uid: Invalid value: "string": pod.uid never changes')
        : undefined
    await bench.play(quick({ uid: UID_2 }))
    await bench.until(100)
    expect(bench.writes.map(({ name, result }) => `${result} ${name}`)).toEqual([
      'Refused web-7d4b9c-x2x9k.84b61cdb',
      `Written web-7d4b9c-x2x9k.${UID_2}`,
    ])
  })

  test('for a quota that is full: once more after 5 minutes, and no more; told once an hour', async () => {
    const bench = new Bench()
    bench.answer = () => refused('QuotaExceeded')
    await bench.play(quick(), quick({ uid: UID_2, name: 'web-2' }))
    await bench.until(3000)
    expect(bench.writes.map(({ at, name }) => `${Math.round(at)} ${name}`).sort()).toEqual([
      '1 web-2.84b61cdb',
      '1 web-7d4b9c-x2x9k.84b61cdb',
      '301 web-2.84b61cdb',
      '301 web-7d4b9c-x2x9k.84b61cdb',
    ])
    expect(bench.logged).toEqual(['records refused'])
    expect(bench.recorder.stats.refused).toEqual({ QuotaExceeded: 4 })
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('where it is forbidden: once more soon, as by a server that has just started, and once after 5 minutes', async () => {
    const bench = new Bench()
    bench.answer = () => refused('Forbidden')
    await bench.play(quick())
    await bench.until(3000)
    expect(bench.writes.map(({ at }) => Math.round(at))).toEqual([1, 6, 306])
    expect(bench.logged).toEqual(['records refused'])
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('for what is wrong with the record itself: never again', async () => {
    const bench = new Bench()
    bench.answer = () => refused('TooLarge')
    await bench.play(quick())
    await bench.until(3000)
    expect(bench.writes).toHaveLength(1)
    expect(bench.recorder.stats.tracked).toBe(0)
  })
})

describe('a standby', () => {
  test('writes nothing, and takes up what is under way when it comes to lead', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(begins({ grace: 30 }))
    await bench.until(8)
    expect(bench.steps).toEqual([])
    bench.leading = true
    bench.recorder.takeOver(undefined)
    await bench.until(9)
    expect(bench.steps).toEqual(['8.0 Terminating'])
    await bench.play(ends(begins({ grace: 30 }), 12))
    await bench.until(100)
    expect(bench.steps).toEqual(['8.0 Terminating', '12.6 Complete'])
  })

  test('does not write again what the leader before had completed', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    await bench.until(5)
    bench.leave(quick().record(), 'web-7d4b9c-x2x9k.84b61cdb')
    bench.leading = true
    bench.recorder.takeOver(undefined)
    await bench.until(100)
    expect(bench.steps).toEqual([])
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('completes what the leader before had begun, without beginning it again', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(begins())
    await bench.until(5)
    bench.leave(begins().record(2), 'web-7d4b9c-x2x9k.84b61cdb')
    bench.leading = true
    bench.recorder.takeOver(undefined)
    await bench.until(8)
    expect(bench.steps).toEqual([])
    await bench.play(ends(begins(), 10))
    await bench.until(100)
    expect(bench.steps).toEqual(['10.6 Complete'])
  })

  test('writes what is over and was never written', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    await bench.until(30)
    bench.leading = true
    bench.recorder.takeOver(undefined)
    await bench.until(100)
    expect(bench.steps).toEqual(['30.0 Complete'])
  })

  test('does not bring back a record that somebody has deleted since', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    await bench.until(30)
    bench.leading = true
    bench.recorder.takeOver(micros(20))
    await bench.until(100)
    expect(bench.steps).toEqual([])
  })

  test('keeps what is over for two minutes, and no longer where the leader has dealt with it', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    bench.mark = micros(5)
    await bench.until(119)
    expect(bench.recorder.stats.tracked).toBe(1)
    await bench.until(125)
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('keeps for an hour what no leader has dealt with, and writes it when it comes to lead', async () => {
    const bench = new Bench()
    bench.leading = false
    bench.mark = micros(-5)
    await bench.play(quick(), quick({ name: 'web-2', uid: '11111111-0' }))
    await bench.until(1800)
    expect(bench.recorder.stats.tracked).toBe(2)
    bench.leading = true
    bench.recorder.takeOver(bench.mark)
    await bench.until(1801)
    expect(bench.steps).toEqual(['1800.0 Complete', '1800.0 Complete'])
  })

  test('keeps what took longer than an hour from its end on', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(begins({ grace: 7200 }), ends(begins({ grace: 7200 }), 3700))
    await bench.until(3800)
    expect(bench.recorder.stats.tracked).toBe(1)
    bench.leading = true
    bench.recorder.takeOver(micros(-5))
    await bench.until(3802)
    expect(bench.steps).toEqual(['3800.0 Complete'])
  })

  test('keeps no hour of more than it has room for', async () => {
    const bench = new Bench({}, -100, { many: 3 })
    bench.leading = false
    await bench.play(...Array.from({ length: 4 }, (_, i) => quick({ name: `web-${i}`, uid: `11111111-${i}` })))
    await bench.until(115)
    expect(bench.recorder.stats.tracked).toBe(4)
    await bench.until(300)
    expect(bench.recorder.stats.tracked).toBe(3)
  })

  test('gives up after an hour', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(quick())
    await bench.until(3590)
    expect(bench.recorder.stats.tracked).toBe(1)
    await bench.until(3800)
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('that leads no more stops at once', async () => {
    const bench = new Bench()
    await bench.play(begins({ grace: 30 }))
    await bench.until(3)
    bench.leading = false
    await bench.play(ends(begins({ grace: 30 }), 12))
    await bench.until(60)
    expect(bench.steps).toEqual(['2.0 Terminating'])
  })
})

describe('settings', () => {
  test('record Abnormal leaves out what went well', async () => {
    const bench = new Bench({ record: 'Abnormal' })
    await bench.play(quick())
    await bench.until(100)
    expect(bench.steps).toEqual([])
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('record Abnormal keeps what did not', async () => {
    const bench = new Bench({ record: 'Abnormal' })
    await bench.play(killed())
    await bench.until(100)
    expect(bench.steps).toEqual(['5.8 Complete'])
    expect(bench.last.outcome).toBe('ForcedKill')
  })

  const job = (code = 0) =>
    aPod({ restartPolicy: 'Never' })
      .running()
      .seen()
      .exited('app', { at: 0, code })
      .reported({ at: 0.1, phase: code === 0 ? 'Succeeded' : 'Failed' })

  test('plain completions are left out', async () => {
    const bench = new Bench()
    await bench.play(job())
    await bench.until(60)
    expect(bench.steps).toEqual([])
    expect(bench.recorder.stats.tracked).toBe(0)
  })

  test('plain completions are recorded if asked for', async () => {
    const bench = new Bench({ recordCompletions: true })
    await bench.play(job())
    await bench.until(60)
    expect(bench.steps).toHaveLength(1)
    expect(bench.last).toMatchObject({ cause: { type: 'Completed' }, outcome: 'Graceful' })
  })

  test('a Job that failed is no plain completion', async () => {
    const bench = new Bench()
    await bench.play(job(3))
    await bench.until(60)
    expect(bench.last).toMatchObject({ cause: { type: 'Completed' }, outcome: 'Failed' })
  })

  test.each([
    [{ namespaces: ['shop'] }, 1],
    [{ namespaces: ['other'] }, 0],
    [{ excludeNamespaces: ['shop'] }, 0],
    [{ namespaces: ['shop'], excludeNamespaces: ['shop'] }, 0],
  ])('%o record %i of a pod in shop', async (settings, count) => {
    const bench = new Bench(settings)
    await bench.play(quick())
    await bench.until(60)
    expect(bench.writes).toHaveLength(count)
  })
})

describe('what is no termination', () => {
  test('the delete of a pod that had ended before', async () => {
    const bench = new Bench()
    const pod = aPod({ restartPolicy: 'Never' }).running().exited('app', { at: -50 }).phase('Succeeded').seen({ at: -40 })
    await bench.play(pod.removed({ at: 0 }))
    await bench.until(60)
    expect(bench.steps).toEqual([])
  })

  test("a static pod's mirror", async () => {
    const bench = new Bench()
    await bench.play(quick({ mirror: true }))
    await bench.until(60)
    expect(bench.steps).toEqual([])
  })

  test('a pod that had ended when the recorder began to watch: that is for the catch-up', async () => {
    const bench = new Bench()
    await bench.play(
      aPod({ restartPolicy: 'Never' }).running().exited('app', { at: -50 }).phase('Failed', 'Evicted').listed({ at: 0 }),
    )
    await bench.until(60)
    expect(bench.recorder.stats.tracked).toBe(0)
  })
})

describe('Kubernetes Events about it', () => {
  test('are told of for Complete, and for Overdue before', async () => {
    const bench = new Bench()
    await bench.play(aPod({ grace: 5 }).running().seen().deleted({ at: 0 }))
    await bench.until(30)
    await bench.play(aPod({ grace: 5 }).gone({ at: 60 }))
    await bench.until(100)
    expect(bench.told).toEqual(['Overdue', 'Complete'])
  })

  test('are not told of for a record that was refused for good', async () => {
    const bench = new Bench()
    bench.answer = () => refused('TooLarge')
    await bench.play(killed())
    await bench.until(100)
    expect(bench.told).toEqual([])
  })
})

describe('the end of the process', () => {
  test('writes what is over at once, without waiting for what may still come', async () => {
    const bench = new Bench()
    await bench.play(quick())
    const finished = bench.recorder.finish()
    await bench.until(bench.now + 0.01)
    await finished
    expect(bench.writes.map(({ state }) => state)).toEqual(['Complete'])
    await bench.recorder.stop()
  })

  test('leaves what is under way to the successor, whose mark says where to begin', async () => {
    const bench = new Bench()
    await bench.play(begins())
    await bench.until(1.5)
    // Arrived at 5 ms: what the kubelet told of it may be up to a second older.
    expect(bench.recorder.watchedUntil()).toBe(micros(0.005 - 1))
    const finished = bench.recorder.finish()
    await bench.until(4)
    await finished
    expect(bench.steps).toEqual([])
    await bench.recorder.stop()
  })

  test('has a mark of the end of what is over and not Complete, whatever was written of it', async () => {
    const bench = new Bench()
    await bench.play(begins({ grace: 30 }))
    await bench.until(5)
    expect(bench.recorder.watchedUntil()).toBe(micros(4))
    bench.answer = () => new KubeError('ServerError', 'etcd is away')
    await bench.play(ends(begins({ grace: 30 }), 12))
    await bench.until(60)
    expect(bench.recorder.watchedUntil()).toBeLessThanOrEqual(micros(12.5))
    expect(bench.recorder.watchedUntil()).toBeGreaterThan(micros(11))
  })

  test('has a mark of just now where nothing is under way', async () => {
    const bench = new Bench()
    await bench.until(7)
    expect(bench.recorder.watchedUntil()).toBe(micros(6))
  })
})
