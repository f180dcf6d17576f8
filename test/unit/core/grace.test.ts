/**
 * The arithmetic of the grace period (pkg/kubelet/kuberuntime/kuberuntime_container.go): G - floor(hook) - floor(wait), at least 2 s,
 * from StopContainer on. Times are those that were seen on a real node, where one of them stands beside a test.
 */
import { describe, expect, test } from 'vitest'
import type { PreStopHandler } from '../../../src/core/evidence.ts'
import { aPod, type PodOptions, type PodStory } from '../builders.ts'
import { endOf, findingOf, holds, markOf, marksOf, typesOf } from './reading.ts'

const hooked = (handler: PreStopHandler, seconds?: number, grace = 15): PodOptions => ({
  grace,
  containers: [{ name: 'app', preStop: { handler, ...(seconds === undefined ? {} : { seconds }) } }],
})

const stopping = (options: PodOptions): PodStory =>
  aPod(options)
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })

const over = (pod: PodStory, exit: { at: number; code: number }) =>
  pod
    .exited('app', exit)
    .reported({ at: exit.at + 0.1, phase: 'Failed' })
    .removed({ at: exit.at + 0.3 })
    .record()

describe('without a hook', () => {
  test('SIGKILL comes at Killing + grace, and the signal right after Killing', () => {
    const record = over(stopping({ grace: 5 }), { at: 5.13, code: 137 })
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
    expect(holds(markOf(record, 'Kill', 'app'), 5.13)).toBe(true)
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeCloseTo(5.1, 5)
    expect(markOf(record, 'StopSignal', 'app')?.latest).toBeLessThanOrEqual(0.3)
  })

  test('a Killing Event that was lost does not hide the forced kill', () => {
    const pod = aPod({ grace: 5 }).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    const record = over(pod, { at: 5.15, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
    expect(holds(markOf(record, 'Kill', 'app'), 5.14)).toBe(true)
  })

  test.each([0, 1, 2])('a grace period of %i s still gives 2 s', (grace) => {
    const pod = aPod({ grace: 30 }).compared('APIServer').compared('Node').running().seen()
    // With grace 0 the object goes at once; the kubelet's own Events come later, but no status.
    if (grace === 0) {
      const record = pod.removed({ at: 0 }).killing('app', { at: 0.1 }).record()
      expect(record).toMatchObject({ cause: { type: 'ForceDeleted' }, outcome: 'Lost' })
      expect(marksOf(record, 'app')).toEqual([])
      return
    }
    const record = over(pod.deleted({ at: 0, grace }).killing('app', { at: 0.1 }), { at: 2.2, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeCloseTo(2.1, 5)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(0.1, 5)
  })

  test('137 after 1.2 s of a grace period of 1 s is no forced kill, as that comes after 2 s', () => {
    const pod = aPod().compared('APIServer').compared('Node').running().seen().deleted({ at: 0, grace: 1 })
    expect(over(pod.killing('app', { at: 0.1 }), { at: 0.9, code: 137 }).outcome).toBe('Unknown')
  })

  test('the grace period is what the delete asked for, not what the spec says', () => {
    const pod = aPod({ grace: 30 }).compared('APIServer').compared('Node').running().seen().deleted({ at: 0, grace: 4 })
    const record = over(pod.killing('app', { at: 0.1 }), { at: 4.2, code: 137 })
    expect(record.pod.graceSeconds).toBe(4)
    expect(record.outcome).toBe('ForcedKill')
    expect(record.graceUsedPercent).toBeGreaterThan(95)
    expect(record.graceUsedPercent).toBeLessThan(115)
  })
})

describe('without a delete', () => {
  test('a pod past its activeDeadlineSeconds gets the grace period of its spec', () => {
    const pod = aPod({ grace: 20, restartPolicy: 'Never' }).compared('APIServer').compared('Node').running().seen()
    const record = pod
      .killing('app', { at: 0 })
      .exited('app', { at: 20.2, code: 137 })
      .phase('Failed', 'DeadlineExceeded')
      .reported({ at: 20.3 })
      .record()
    expect(record.outcome).toBe('ForcedKill')
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeCloseTo(20, 5)
  })

  test('an evicted pod gets that or less (a hard eviction), so SIGKILL may have been due as early as after 2 s', () => {
    const pod = aPod({ grace: 20 }).compared('APIServer').compared('Node').running().seen()
    const record = pod
      .killing('app', { at: 0 })
      .exited('app', { at: 20.2, code: 137 })
      .phase('Failed', 'Evicted')
      .reported({ at: 20.3 })
      .record()
    expect(holds(markOf(record, 'Kill', 'app'), 20.2)).toBe(true)
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeCloseTo(2, 5)
  })
})

describe('an exec hook', () => {
  test('that overran: SIGTERM at 6.02, SIGKILL at 8.03, reported as failed at 8.05 (grace 6, hook 8 s)', () => {
    const pod = stopping(hooked('Exec', undefined, 6)).preStopFailed('app', { at: 8.15 })
    const record = over(pod, { at: 8.13, code: 137 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'ForcedKill', preStop: { handler: 'Exec', result: 'Overran' } })
    expect(holds(markOf(record, 'PreStopStarted', 'app'), 0.1)).toBe(true)
    expect(holds(markOf(record, 'StopSignal', 'app'), 6.12)).toBe(true)
    expect(holds(markOf(record, 'Kill', 'app'), 8.13)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(6.1, 5)
    expect(markOf(record, 'StopSignal', 'app')?.latest).toBeLessThanOrEqual(6.3)
    expect(marksOf(record, 'app')).toEqual(['PreStopStarted', 'StopSignal', 'Kill', 'ContainerExited', 'PreStopFinished'])
    expect(typesOf(record)).toEqual(['PreStopOverran'])
  })

  test('in time, but with less than 2 s left: SIGTERM at 5.75, SIGKILL at 7.76 (grace 6, hook 5.6 s)', () => {
    const record = over(stopping(hooked('Exec', undefined, 6)), { at: 7.86, code: 137 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'ForcedKill', preStop: { result: 'Unknown' } })
    expect(holds(markOf(record, 'StopSignal', 'app'), 5.85)).toBe(true)
    // Any time before would do, but a kill as late as this is most likely by the 2 s.
    expect(markOf(record, 'StopSignal', 'app')?.at).toBeGreaterThan(5.5)
    expect(holds(markOf(record, 'Kill', 'app'), 7.86)).toBe(true)
    expect(typesOf(record)).toEqual(['GraceExhausted'])
  })

  test('that overran, but ended well in the last 2 s, is reported by nothing: Unknown, never Overran by its time alone', () => {
    const record = over(stopping(hooked('Exec', undefined, 15)), { at: 17.2, code: 137 })
    expect(endOf(record, 'app').preStop?.result).toBe('Unknown')
    expect(holds(markOf(record, 'StopSignal', 'app'), 15.13)).toBe(true)
  })

  test('that overran gives the container 2 s more, so 137 before that is no forced kill', () => {
    const pod = stopping(hooked('Exec', undefined, 5)).preStopFailed('app', { at: 5.95 })
    const record = over(pod, { at: 5.9, code: 137 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Unknown', preStop: { result: 'Overran' } })
    expect(marksOf(record, 'app')).not.toContain('Kill')
  })

  test('that overran, of a container that then ends by the signal: the hook dies with it', () => {
    const pod = stopping(hooked('Exec', undefined, 5)).preStopFailed('app', { at: 6.55 })
    const record = over(pod, { at: 6.5, code: 143 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Signalled', preStop: { result: 'Overran' } })
    expect(holds(markOf(record, 'StopSignal', 'app'), 5.13)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(5.1, 5)
  })

  test('of a container that ends in the 2 s after the grace period: the signal had come by then, whatever the hook did', () => {
    const record = over(stopping(hooked('Exec', undefined, 5)), { at: 6.7, code: 3 })
    const stop = markOf(record, 'StopSignal', 'app')
    expect(holds(stop, 5.13)).toBe(true)
    // Nothing says where in it the signal was.
    expect(stop?.at).toBeCloseTo(((stop?.earliest ?? 0) + (stop?.latest ?? 0)) / 2, 5)
    expect(endOf(record, 'app').outcome).toBe('Failed')
  })

  test('in time with much left: it was over at least 2 s before SIGKILL, and so was the signal', () => {
    const record = over(stopping(hooked('Exec', undefined, 15)), { at: 15.4, code: 137 })
    expect(holds(markOf(record, 'PreStopFinished', 'app'), 10.1)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.latest).toBeLessThanOrEqual(13.52)
    expect(holds(markOf(record, 'StopSignal', 'app'), 10.13)).toBe(true)
  })

  test('that failed is Failed when it was reported, and the signal came after that', () => {
    const pod = stopping(hooked('Exec')).preStopFailed('app', { at: 0.62 })
    const record = over(pod, { at: 2.5, code: 0 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Graceful', preStop: { result: 'Failed' } })
    expect(holds(markOf(record, 'PreStopFinished', 'app'), 0.6)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(0.62, 5)
    expect(findingOf(record, 'PreStopFailed').message).toContain('as failed after 0.5 s')
  })

  test('inside of which the container ended gives no StopSignal: the hook may have ended it', () => {
    const record = over(stopping(hooked('Exec')), { at: 5.5, code: 0 })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Graceful', preStop: { result: 'Unknown' } })
    expect(marksOf(record, 'app')).toEqual(['PreStopStarted', 'ContainerExited'])
  })

  test('that ended PID 1 itself can be reported as failed (kubernetes#39170): still no StopSignal', () => {
    const pod = stopping(hooked('Exec')).preStopFailed('app', { at: 5.56 })
    expect(marksOf(over(pod, { at: 5.5, code: 0 }), 'app')).toEqual(['PreStopStarted', 'PreStopFinished', 'ContainerExited'])
  })

  test('of which only the failure is reported, its Killing Event lost, started after the delete', () => {
    const pod = aPod(hooked('Exec')).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    const record = over(pod.preStopFailed('app', { at: 0.6 }), { at: 2.5, code: 0 })
    expect(endOf(record, 'app').preStop?.result).toBe('Failed')
    expect(marksOf(record, 'app')).not.toContain('PreStopStarted')
  })
})

describe('a sleep hook', () => {
  test('shorter than the grace period succeeded, and the signal came when it was over', () => {
    const record = over(stopping(hooked('Sleep', 3, 8)), { at: 8.2, code: 137 })
    expect(endOf(record, 'app').preStop).toMatchObject({ handler: 'Sleep', result: 'Succeeded' })
    expect(holds(markOf(record, 'PreStopFinished', 'app'), 3.1)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(3.1, 5)
    expect(markOf(record, 'StopSignal', 'app')?.at).toBeCloseTo(3.14, 2)
  })

  test('longer than the grace period overran, and no Event says so', () => {
    const record = over(stopping(hooked('Sleep', 12, 5)), { at: 7.2, code: 137 })
    expect(endOf(record, 'app').preStop?.result).toBe('Overran')
    expect(holds(markOf(record, 'StopSignal', 'app'), 5.13)).toBe(true)
    expect(holds(markOf(record, 'Kill', 'app'), 7.14)).toBe(true)
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeCloseTo(7.1, 5)
    expect(marksOf(record, 'app')).not.toContain('PreStopFinished')
    expect(typesOf(record)).toEqual(['PreStopOverran'])
  })

  test('says nothing while the end of the container has not been reported: a status stays behind until all have ended', () => {
    const record = stopping(hooked('Sleep', 3, 30)).record(10)
    expect(endOf(record, 'app').preStop?.result).toBe('Unknown')
    expect(marksOf(record, 'app')).toEqual(['PreStopStarted'])
  })

  test('that the container did not live to the end of is Unknown, and there was no signal', () => {
    const record = over(stopping(hooked('Sleep', 10, 30)), { at: 4.4, code: 1 })
    expect(endOf(record, 'app').preStop?.result).toBe('Unknown')
    expect(marksOf(record, 'app')).toEqual(['PreStopStarted', 'ContainerExited'])
    expect(endOf(over(stopping(hooked('Sleep', 10, 30)), { at: 4.4, code: 0 }), 'app').preStop?.result).toBe('Unknown')
  })

  test('is waited for also where its Killing Event was lost: an end within it is not by the signal', () => {
    const pod = aPod(hooked('Sleep', 10, 30))
      .compared('APIServer')
      .compared('Node')
      .running()
      .seen()
      .deleted({ at: 0 })
    expect(marksOf(over(pod, { at: 4.4, code: 0 }), 'app')).toEqual(['ContainerExited'])
  })
})

describe('a tcpSocket hook', () => {
  test('always fails, at once', () => {
    const pod = stopping(hooked('TCPSocket')).preStopFailed('app', { at: 0.11 })
    const record = over(pod, { at: 2.5, code: 0 })
    expect(endOf(record, 'app').preStop).toMatchObject({ handler: 'TCPSocket', result: 'Failed' })
  })
})

describe('a grace period that was shortened', () => {
  const twice = (at: number, grace: number) => stopping({ grace: 20 }).deleted({ at, grace })

  test('does not shorten the kill in flight: SIGKILL still comes at 20 s', () => {
    const record = over(twice(2.4, 5), { at: 20.2, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(holds(markOf(record, 'Kill', 'app'), 20.13)).toBe(true)
    expect(holds(markOf(record, 'GraceShortened'), 2.4)).toBe(true)
    expect(findingOf(record, 'GraceShortened').message).toContain('asked for 5 s instead of 20 s')
    expect(record.pod.graceSeconds).toBe(20)
  })

  test('makes 137 at the shorter time no forced kill, as the kubelet kept the longer one', () => {
    expect(over(twice(2.4, 5), { at: 9.5, code: 137 }).outcome).toBe('Unknown')
  })

  test('counts for a kubelet that restarted: SIGKILL at 10.8 (second Killing at 5.8)', () => {
    const record = over(twice(2.4, 5).killing('app', { at: 5.8 }), { at: 10.9, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(holds(markOf(record, 'Kill', 'app'), 10.83)).toBe(true)
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
  })

  test('by a delete after the time had gone by gets a deadline of its own, which says nothing of the first delete', () => {
    const pod = aPod({ grace: 20 }).compared('APIServer').compared('Node').running()
    pod.unseen(() => pod.deleted({ at: 0 }).deleted({ at: 10, grace: 5 }))
    const record = pod.listed({ at: 11 }).record(12)
    expect(holds(markOf(record, 'Terminating'), 0)).toBe(true)
    expect(record.pod.graceSeconds).toBeUndefined()
    expect(record.deadline).toBeUndefined()
  })

  test('may hide behind the last delete where that was seen in a list: then SIGKILL may have been due as early', () => {
    const seenToTheEnd = stopping({ grace: 20 }).exited('app', { at: 20.2, code: 137 })
    const first = seenToTheEnd.reported({ at: 20.3, phase: 'Failed' }).removed({ at: 20.5 }).record()
    expect(markOf(first, 'Kill', 'app')?.earliest).toBeCloseTo(20.1, 5)
    const hidden = stopping({ grace: 20, finalizers: ['example.com/hold'] })
      .gap('Pod', 1, 30)
      .exited('app', { at: 20.2, code: 137 })
    hidden.unseen(() => hidden.reported({ at: 20.3, phase: 'Failed' }).removed({ at: 20.5 }))
    const record = hidden.listed({ at: 30, since: 1 }).record()
    expect(holds(markOf(record, 'Kill', 'app'), 20.13)).toBe(true)
    expect(markOf(record, 'Kill', 'app')?.earliest).toBeLessThanOrEqual(2.1)
  })

  test('by a delete in time keeps the time of the first one in the object', () => {
    const pod = aPod({ grace: 20 }).compared('APIServer').compared('Node').running()
    pod.unseen(() => pod.deleted({ at: 0 }).deleted({ at: 2, grace: 5 }))
    const record = pod.listed({ at: 3 }).record(3)
    expect(holds(markOf(record, 'Terminating'), 0)).toBe(true)
    expect(markOf(record, 'Terminating')?.latest).toBeLessThan(1)
  })
})

describe('a kubelet that begins anew', () => {
  test('after a restart gives the full grace period again: grace 8, restart at 4.5, SIGKILL at 13.7', () => {
    const pod = stopping({ grace: 8 }).killing('app', { at: 5.7 })
    const record = over(pod, { at: 13.75, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(holds(markOf(record, 'Kill', 'app'), 13.74)).toBe(true)
    // containerd sends the stop signal only once.
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
  })

  test('counts its retry on the same Event, whose first time stands in its name', () => {
    const pod = stopping({ grace: 8 }).event('Killing', 'app', { at: 5.7, message: 'Stopping container app', again: true })
    const record = over(pod, { at: 13.75, code: 137 })
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
    expect(markOf(record, 'StopSignal', 'app')?.earliest).toBeCloseTo(0.1, 5)
    expect(holds(markOf(record, 'Kill', 'app'), 13.74)).toBe(true)
  })

  test('counts its retry also where only the last version of the Event arrived', () => {
    const pod = stopping({ grace: 8, containers: [{ name: 'app', preStop: { handler: 'Exec' } }] })
    pod.event('Killing', 'app', { at: 5.7, message: 'Stopping container app', again: true })
    const once = pod.deliveries.findIndex(({ fact }) => fact.type === 'Event' && fact.event.count === 1)
    pod.deliveries.splice(once, 1)
    const record = over(pod, { at: 13.75, code: 137 })
    expect(markOf(record, 'PreStopStarted', 'app')?.at).toBeCloseTo(0.1, 3)
  })

  test('of which the first Event was lost is known by the status that came long before the second', () => {
    const pod = aPod({ grace: 8 })
      .compared('APIServer')
      .compared('Node')
      .running()
      .seen()
      .deleted({ at: 0 })
      .acknowledged({ at: 0.1 })
    const record = over(pod.killing('app', { at: 5.7 }), { at: 13.75, code: 137 })
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.13)).toBe(true)
  })

  test('runs the hook again, and what failed belongs to the run that it was in', () => {
    const pod = stopping(hooked('Exec', undefined, 3))
      .killing('app', { at: 5.7 })
      .preStopFailed('app', { at: 6.2 })
    expect(endOf(over(pod, { at: 8.8, code: 137 }), 'app').preStop?.result).toBe('Failed')
  })
})

describe('Events that were combined', () => {
  const names = Array.from({ length: 12 }, (_, index) => `c${index + 1}`)

  const pod = () => {
    const twelve = aPod({ containers: names.map((name) => ({ name, preStop: { handler: 'Exec' as const } })) })
    const stopped = twelve.compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    for (const name of names.slice(0, 9)) stopped.killing(name, { at: 0.1 })
    // What client-go combines it dates anew, when it comes to it: a little after it was said, and from the second on by the second.
    for (const name of names.slice(9)) {
      stopped.event('Killing', name, { at: 0.13, written: 0.15, message: `Stopping container ${name}`, combined: true })
    }
    for (const name of names) stopped.exited(name, { at: 2.5 })
    return stopped.reported({ at: 2.6, phase: 'Succeeded' }).removed({ at: 2.8 })
  }

  test('name the container in their message, and bound its stop only from above', () => {
    const record = pod().record()
    expect(record.outcome).toBe('Graceful')
    for (const name of names) expect(holds(markOf(record, 'PreStopStarted', name), 0.1), name).toBe(true)
    expect(markOf(record, 'PreStopStarted', 'c1')?.latest).toBeLessThan(0.11)
    expect(typesOf(record)).not.toContain('EvidenceMissing')
  })

  test('leave what they had named before without an Event of its own, where only the last version arrived', () => {
    const told = pod()
    const versions = told.deliveries.filter(({ fact }) => fact.type === 'Event' && fact.event.message.startsWith('(combined'))
    for (const version of versions.slice(0, 2)) told.deliveries.splice(told.deliveries.indexOf(version), 1)
    const record = told.record()
    expect(findingOf(record, 'EvidenceMissing').message).toContain('no Killing event of c10 arrived')
    expect(marksOf(record, 'c12')).toContain('PreStopStarted')
  })
})

describe('several failed hooks and Killing Events of other kinds', () => {
  test('a Killing of a failed probe, which has another message, is no stop of this termination', () => {
    const pod = stopping({ grace: 5 })
    const probe = aPod({ grace: 5 }).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    probe
      .killing('app', { at: 0.05, message: 'Container app failed liveness probe, will be restarted' })
      .killing('app', { at: 0.1 })
    const [one, other] = [over(pod, { at: 5.2, code: 137 }), over(probe, { at: 5.2, code: 137 })]
    expect(markOf(other, 'Kill', 'app')?.earliest).toBeCloseTo(markOf(one, 'Kill', 'app')?.earliest ?? 0, 5)
  })

  test('a Killing by a changed sandbox before the container was started again is not of this termination', () => {
    const pod = aPod(hooked('Exec')).compared('APIServer').compared('Node').running().seen()
    pod.killing('app', { at: -30 }).running(['app'], { since: -28, restarts: 1 }).reported({ at: -27.9 })
    const record = over(pod.deleted({ at: 0 }).killing('app', { at: 0.1 }), { at: 2.5, code: 0 })
    expect(markOf(record, 'PreStopStarted', 'app')?.at).toBeCloseTo(0.1, 3)
  })
})
