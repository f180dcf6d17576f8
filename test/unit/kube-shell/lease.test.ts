import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { formatTime } from '../../../src/core/time.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import { LeaderElector } from '../../../src/kube/lease.ts'
import { LeaseServer } from './lease-server.ts'

const START = Date.parse('2026-03-01T12:00:00Z')
let server: LeaseServer
let electors: LeaderElector[]

beforeEach(() => {
  vi.useFakeTimers({ now: START })
  server = new LeaseServer(() => performance.now())
  electors = []
})
afterEach(async () => {
  try {
    server.heal()
    const stopped = Promise.all(electors.map((elector) => elector.stop()))
    await vi.advanceTimersByTimeAsync(5000)
    await stopped
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

interface Replica {
  elector: LeaderElector
  log: string[]
  warnings: string[]
  /** Moves this replica's clock on without running a timer, as SIGSTOP does. */
  freeze(ms: number): void
}

function replica(identity: string, { random = 0, skewMs = 0 } = {}): Replica {
  const log: string[] = []
  const warnings: string[] = []
  let frozen = 0
  const at = () => `${((performance.now() - begun) / 1000).toFixed(1)}`
  const begun = performance.now()
  const elector = new LeaderElector({
    http: server.connection(identity),
    clock: { now: () => (Date.now() + skewMs) * 1000 },
    log: { debug() {}, info() {}, error() {}, warn: (_fields, message) => void warnings.push(message) },
    namespace: 'gracewatch-system',
    name: 'gracewatch-controller',
    identity,
    leaseDurationMs: 15_000,
    renewDeadlineMs: 10_000,
    retryPeriodMs: 2000,
    onStartedLeading: () => void log.push(`${at()} leads`),
    onStoppedLeading: (reason) => void log.push(`${at()} stopped: ${reason}`),
    monotonic: () => performance.now() + frozen,
    random: () => random,
  })
  const freeze = (ms: number) => {
    frozen += ms
  }
  electors.push(elector)
  elector.start()
  return { elector, log, warnings, freeze }
}

const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000)
const methods = () => server.requests.map(({ method }) => method)

describe('acquiring', () => {
  it('creates the Lease where there is none and renews it every retry period', async () => {
    const { elector, log } = replica('a')
    await seconds(1)
    expect(elector.isLeader()).toBe(true)
    expect(server.lease).toMatchObject({
      metadata: { name: 'gracewatch-controller', namespace: 'gracewatch-system' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        acquireTime: '2026-03-01T12:00:00.001000Z',
        renewTime: '2026-03-01T12:00:00.001000Z',
        leaseTransitions: 0,
      },
    })
    await seconds(9)
    expect(methods()).toEqual(['GET', 'POST', 'PUT', 'PUT', 'PUT', 'PUT', 'PUT'])
    expect(server.lease?.spec).toMatchObject({ acquireTime: '2026-03-01T12:00:00.001000Z' })
    expect(Date.parse(server.lease?.spec.renewTime ?? '')).toBeGreaterThan(START + 7000)
    expect(log).toEqual(['0.0 leads'])
  })

  it('is known to all that see it renewed, until it has run out', async () => {
    const leader = replica('leader')
    expect(leader.elector.isHeld()).toBe(false)
    await seconds(0.1)
    const standby = replica('standby')
    expect(standby.elector.isHeld()).toBe(false)
    await seconds(30)
    expect([leader.elector.isHeld(), standby.elector.isHeld()]).toEqual([true, true])
    // Neither gets an answer any more: the one may not write, the other has not seen the Lease change for as long as it lasts.
    for (const identity of ['leader', 'standby']) server.always(identity, { code: 'ServerError' })
    await seconds(11)
    expect([leader.elector.isHeld(), standby.elector.isHeld()]).toEqual([false, true])
    await seconds(7)
    expect([leader.elector.isHeld(), standby.elector.isHeld()]).toEqual([false, false])
  })

  it('takes a released Lease and counts the transition', async () => {
    const { elector: first } = replica('a')
    await seconds(1)
    const stopped = first.stop()
    await seconds(0.1)
    await stopped
    expect(server.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 })
    const { elector } = replica('b')
    await seconds(2.3)
    expect(elector.isLeader()).toBe(false)
    await seconds(0.2)
    expect(elector.isLeader()).toBe(true)
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 })
  })

  it('leaves a released Lease to the standby that has been watching, where it has just started itself', async () => {
    const leader = replica('leader')
    await seconds(0.1)
    const standby = replica('standby', { random: 0.9 })
    await seconds(2.45) // the standby has just looked: its next look is 2.4 s away
    const stopped = leader.elector.stop()
    await seconds(0.1)
    await stopped
    const fresh = replica('fresh')
    await seconds(2.4)
    expect([standby.elector.isLeader(), fresh.elector.isLeader()]).toEqual([true, false])
  })

  it('lets only one of two win that start together', async () => {
    const replicas = [replica('a'), replica('b')]
    await seconds(30)
    expect(replicas.filter(({ elector }) => elector.isLeader())).toHaveLength(1)
    expect(replicas.flatMap(({ log }) => log)).toEqual(['0.0 leads'])
  })

  it.each(['1999-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z', undefined])(
    "waits the lease duration from when it saw the last renewal, whatever the holder's clock says (%s)",
    async (renewTime) => {
      server.hold({ holderIdentity: 'elsewhere', leaseDurationSeconds: 15, ...(renewTime && { renewTime }) })
      const { elector } = replica('b')
      await seconds(10)
      server.edit((lease) => {
        lease.spec.leaseTransitions = 1
      })
      await seconds(14.9)
      const before = elector.isLeader()
      await seconds(2)
      expect([before, elector.isLeader()]).toEqual([false, true])
    },
  )

  it('does not take annotations that change for a sign of life', async () => {
    server.hold({ holderIdentity: 'dead', leaseDurationSeconds: 15 })
    const { elector } = replica('b')
    for (let second = 0; second < 16; second++) {
      await seconds(1)
      server.edit((lease) => {
        lease.metadata.annotations = { touched: String(second) }
      })
    }
    expect(elector.isLeader()).toBe(true)
  })

  it('waits as long as the holder asked for, where that is another duration than its own', async () => {
    server.hold({ holderIdentity: 'old', leaseDurationSeconds: 40 })
    const { elector } = replica('new')
    await seconds(39)
    expect(elector.isLeader()).toBe(false)
    await seconds(3)
    expect(elector.isLeader()).toBe(true)
  })
})

describe('losing', () => {
  it('stops at the renew deadline, aborts writes in flight, and another takes over only after that', async () => {
    const first = replica('a')
    await seconds(0.1)
    const write = first.elector.guard()
    const second = replica('b')
    await seconds(2) // a renews at 2.0
    server.always('a', { method: 'PUT', code: 'ServerError' })
    await seconds(9.8)
    expect([first.elector.isLeader(), write.aborted]).toEqual([true, false])
    await seconds(0.2)
    expect([first.elector.isLeader(), write.aborted, second.elector.isLeader()]).toEqual([false, true, false])
    expect(() => first.elector.guard()).toThrow(KubeError)
    await seconds(4.8) // 16.9: b saw the renewal of 2.0 at 2.1 or later
    expect(second.elector.isLeader()).toBe(false)
    await seconds(3)
    expect([first.elector.isLeader(), second.elector.isLeader()]).toEqual([false, true])
    expect(first.log[1]).toBe('12.0 stopped: the Lease could not be renewed in time')
  })

  it('finds itself not leading after a stop of the whole process, before any timer has run', async () => {
    const { elector, freeze, log } = replica('a')
    await seconds(0.1)
    const write = elector.guard()
    freeze(9000)
    expect(elector.isLeader()).toBe(true)
    freeze(1001)
    expect(() => elector.guard()).toThrow(/not the leader/)
    expect(write.aborted).toBe(true)
    expect(log.at(-1)).toMatch(/stopped/)
  })

  it('does not count a renewal from when its answer came, but from when it was sent', async () => {
    const { elector, freeze } = replica('a')
    await seconds(0.1)
    server.next({ method: 'PUT', delayMs: 4000 }) // sent at 2.0, answered at 6.0
    server.always('a', { code: 'Network' })
    await seconds(11.8)
    expect(elector.isLeader()).toBe(true)
    freeze(150)
    expect(elector.isLeader()).toBe(false)
  })

  it('stops at once when another holds the Lease', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    server.edit((lease) => {
      lease.spec = { holderIdentity: 'thief', leaseDurationSeconds: 15 }
    })
    await seconds(2)
    expect(elector.isLeader()).toBe(false)
    expect(log.at(-1)).toBe('2.0 stopped: thief has taken the Lease')
    expect(methods().slice(2)).toEqual(['PUT', 'GET'])
  })

  it('leads again after a new acquisition, with a new signal', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    const old = elector.guard()
    server.always('a', { code: 'Network' })
    await seconds(12)
    server.heal()
    await seconds(3)
    expect(log.map((line) => line.replace(/^\S+ /, ''))).toEqual([
      'leads',
      'stopped: the Lease could not be renewed in time',
      'leads',
    ])
    expect([old.aborted, elector.guard().aborted]).toEqual([true, false])
    expect(elector.stats).toMatchObject({ leading: true, terms: 2, holder: 'a' })
  })
})

describe('answers, each for what it is', () => {
  it('Conflict: reads again and renews at once where it is still the holder', async () => {
    const { elector } = replica('a')
    await seconds(0.1)
    server.edit((lease) => {
      lease.metadata.annotations = { 'other.dev/note': 'kept' }
    })
    await seconds(2)
    expect(methods().slice(2)).toEqual(['PUT', 'GET', 'PUT'])
    expect(elector.isLeader()).toBe(true)
    expect(server.lease?.metadata.annotations).toEqual({ 'other.dev/note': 'kept' })
  })

  it('a renewal whose answer was lost: the conflict that follows is its own', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    server.next({ method: 'PUT', code: 'Network', applied: true })
    await seconds(12)
    expect(elector.isLeader()).toBe(true)
    expect(log).toEqual(['0.0 leads'])
  })

  it('a lost answer to the first write: knows its own name and leads', async () => {
    server.next({ method: 'POST', code: 'Timeout', applied: true })
    const { elector } = replica('a')
    await seconds(3)
    expect(elector.isLeader()).toBe(true)
    expect(server.lease?.spec.leaseTransitions).toBe(0)
  })

  it('NotFound on renewal: makes the Lease again, with its annotations', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    elector.setAnnotation('gracewatch.dev/high-water-mark', 'x')
    await seconds(2)
    server.lease = undefined
    await seconds(2)
    expect(methods().slice(-2)).toEqual(['PUT', 'POST'])
    expect(server.lease).toMatchObject({ metadata: { annotations: { 'gracewatch.dev/high-water-mark': 'x' } } })
    expect(log).toEqual(['0.0 leads'])
    expect(elector.isLeader()).toBe(true)
  })

  it('a deleted Lease is no invitation to a standby while its holder may still lead', async () => {
    const first = replica('a')
    await seconds(0.1)
    const second = replica('b', { random: 0.9 })
    await seconds(0.1)
    server.lease = undefined
    await seconds(10)
    expect([first.elector.isLeader(), second.elector.isLeader()]).toEqual([true, false])
    expect(server.lease).toMatchObject({ spec: { holderIdentity: 'a' } })
  })

  it('Forbidden: says so once, asks more and more rarely, and leads when it is allowed', async () => {
    server.always('a', { code: 'Forbidden' })
    const { elector, warnings } = replica('a')
    await seconds(120)
    expect(warnings).toEqual(['Lease attempt failed'])
    // 2, 4, 8, then every 15 s
    expect(server.requests.length).toBeLessThan(12)
    expect(elector.stats.failures).toEqual({ Forbidden: server.requests.length })
    server.heal()
    await seconds(16)
    expect(elector.isLeader()).toBe(true)
  })

  it('TooManyRequests: a standby waits as long as it was told', async () => {
    server.next({ code: 'TooManyRequests', retryAfterMs: 30_000 })
    const { elector } = replica('a')
    await seconds(29.9)
    expect(server.requests).toHaveLength(1)
    await seconds(0.2)
    expect(elector.isLeader()).toBe(true)
  })

  it('TooManyRequests: a leader that was told to wait past its deadline asks once more before it', async () => {
    const { elector } = replica('a')
    await seconds(0.1)
    server.next({ method: 'PUT', code: 'TooManyRequests', retryAfterMs: 60_000 })
    await seconds(20)
    expect(server.requests.slice(2, 4).map(({ at }) => Math.round((at - (server.requests[0]?.at ?? 0)) / 1000))).toEqual([2, 8])
    expect(elector.isLeader()).toBe(true)
  })

  it('a server error or no answer at all: goes on until the deadline, each call with a deadline of its own', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    server.next({ method: 'PUT', code: 'ServerError' }, { method: 'PUT', delayMs: 3_600_000 })
    await seconds(30)
    expect(elector.stats.failures).toEqual({ ServerError: 1, Timeout: 1 })
    expect(log).toEqual(['0.0 leads'])
    expect(elector.isLeader()).toBe(true)
  })
})

describe('annotations', () => {
  it('are read from the Lease, written with the next renewal and kept by the next leader', async () => {
    const first = replica('a')
    await seconds(0.1)
    first.elector.setAnnotation('gracewatch.dev/high-water-mark', formatTime(START * 1000))
    expect(server.requests).toHaveLength(2)
    await seconds(2)
    expect(server.lease?.metadata.annotations).toEqual({ 'gracewatch.dev/high-water-mark': '2026-03-01T12:00:00.000000Z' })
    first.elector.setAnnotation('gracewatch.dev/high-water-mark', 'last')
    const stopped = first.elector.stop()
    await seconds(0.1)
    await stopped
    const second = replica('b')
    await seconds(2.5)
    expect(second.elector.annotations).toEqual({ 'gracewatch.dev/high-water-mark': 'last' })
    expect(server.lease).toMatchObject({ spec: { holderIdentity: 'b' }, metadata: { annotations: second.elector.annotations } })
  })

  it('of a term that has ended are not written over those of the next leader', async () => {
    const { elector } = replica('a')
    await seconds(0.1)
    elector.setAnnotation('k', 'stale')
    server.edit((lease) => {
      lease.spec = { holderIdentity: 'b', leaseDurationSeconds: 15 }
      lease.metadata.annotations = { k: 'fresh' }
    })
    await seconds(2.1)
    elector.setAnnotation('k', 'not the leader')
    await seconds(20)
    expect(elector.isLeader()).toBe(true)
    expect(server.lease?.metadata.annotations).toEqual({ k: 'fresh' })
  })
})

describe('stop', () => {
  it('releases even where the last renewal was still under way', async () => {
    const { elector, log } = replica('a')
    await seconds(0.1)
    server.next({ method: 'PUT', delayMs: 4000, applied: true })
    await seconds(2)
    const stopped = elector.stop()
    expect(elector.isLeader()).toBe(false)
    await seconds(0.1)
    await stopped
    expect(server.lease?.spec.holderIdentity).toBe('')
    expect(log.at(-1)).toMatch(/shutting down/)
  })

  it('ends within 3 s where the API server does not answer', async () => {
    const { elector, warnings } = replica('a')
    await seconds(0.1)
    server.always('a', { delayMs: 3_600_000 })
    let done = false
    void elector.stop().then(() => {
      done = true
    })
    await seconds(3.1)
    expect(done).toBe(true)
    expect(warnings.at(-1)).toMatch(/not released/)
  })

  it("leaves another holder's Lease alone", async () => {
    replica('a')
    await seconds(0.1)
    const { elector } = replica('b')
    await seconds(1)
    const stopped = elector.stop()
    await seconds(0.1)
    await stopped
    expect(server.lease?.spec.holderIdentity).toBe('a')
  })
})
