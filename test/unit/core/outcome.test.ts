import { describe, expect, test } from 'vitest'
import { aPod, type PodOptions, type PodStory } from '../builders.ts'
import { endOf, findingOf, holds, markOf, marksOf, typesOf } from './reading.ts'

/** Deleted at 0, turned to by the kubelet at 0.1 s. The node's and the API server's clocks are known to 10 ms. */
const stopping = (options: PodOptions = {}): PodStory =>
  aPod(options).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 }).acknowledged({ at: 0.1 })

const over = (pod: PodStory, at: number, phase = 'Failed') =>
  pod
    .reported({ at, phase })
    .removed({ at: at + 0.2 })
    .record()

/** One container that gets its signal at 0.1 s and ends so. */
const ends = (end: { at: number; code: number; reason?: string }, options: PodOptions = {}) =>
  over(stopping(options).killing('app', { at: 0.1 }).exited('app', end), end.at + 0.1)

describe('outcome of a container', () => {
  test('exit 0 is Graceful', () => {
    const record = ends({ at: 1.5, code: 0 })
    expect(record.outcome).toBe('Graceful')
    expect(endOf(record, 'app')).toMatchObject({ role: 'Main', outcome: 'Graceful', exit: { code: 0, reason: 'Completed' } })
    expect(endOf(record, 'app').kill).toBeUndefined()
    expect(typesOf(record)).toEqual([])
  })

  test('exit with the number of the stop signal is Signalled, and the signal was delivered', () => {
    const record = ends({ at: 1.5, code: 143 })
    expect(record.outcome).toBe('Signalled')
    expect(endOf(record, 'app').stopSignal).toMatchObject({ name: 'SIGTERM', result: 'Delivered' })
  })

  test('which number that is depends on the stop signal that the pod or the image chose', () => {
    const options: PodOptions = { containers: [{ name: 'app', stopSignal: 'SIGQUIT' }] }
    expect(ends({ at: 1.5, code: 131 }, options).outcome).toBe('Signalled')
    expect(ends({ at: 1.5, code: 143 }, options).outcome).toBe('Failed')
    const byImage = stopping().stopSignalOf('app', 'SIGINT').reported({ at: 0.1 }).killing('app', { at: 0.1 })
    const record = over(byImage.exited('app', { at: 1.5, code: 130 }), 1.6)
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Signalled', stopSignal: { name: 'SIGINT' } })
  })

  test('where an exec hook may have sent the same signal it is Signalled as well, once the kubelet had turned to the container', () => {
    const containers = [{ name: 'app', preStop: { handler: 'Exec' as const } }]
    expect(ends({ at: 5, code: 143 }, { containers }).outcome).toBe('Signalled')
    const lost = over(stopping({ containers }).exited('app', { at: 5, code: 143 }), 5.1)
    expect(lost.outcome).toBe('Unknown')
    expect(marksOf(lost, 'app')).toEqual(['ContainerExited'])
  })

  test('another exit code is Failed', () => {
    expect(ends({ at: 1.5, code: 1 }).outcome).toBe('Failed')
    expect(ends({ at: 1.5, code: 139 }).outcome).toBe('Failed')
  })

  test('137 when the grace period was over is ForcedKill by the runtime', () => {
    const record = ends({ at: 30.2, code: 137 })
    expect(record.outcome).toBe('ForcedKill')
    expect(endOf(record, 'app')).toMatchObject({
      outcome: 'ForcedKill',
      kill: { by: 'Runtime' },
      stopSignal: { result: 'Unknown' },
    })
    expect(marksOf(record, 'app')).toEqual(['StopSignal', 'Kill', 'ContainerExited'])
  })

  test('137 before that proves no SIGKILL of the runtime: it is Unknown, and no Kill stands in the record', () => {
    const record = ends({ at: 12, code: 137 })
    expect(record.outcome).toBe('Unknown')
    expect(endOf(record, 'app').kill).toBeUndefined()
    expect(marksOf(record, 'app')).not.toContain('Kill')
    expect(typesOf(record)).not.toContain('GraceExhausted')
  })

  test('OOMKilled with 137 before the grace period was over is the kernel, though not known when', () => {
    const record = ends({ at: 5, code: 137, reason: 'OOMKilled' })
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'OOMKilled', kill: { by: 'OOM' } })
    expect(endOf(record, 'app').kill?.at).toBeUndefined()
    expect(marksOf(record, 'app')).not.toContain('Kill')
  })

  test('OOMKilled with exit 0 means that some child was killed once: the end is Graceful', () => {
    expect(ends({ at: 5, code: 0, reason: 'OOMKilled' }).outcome).toBe('Graceful')
  })

  test('OOMKilled with another code is OOMKilled, but nobody is said to have killed PID 1', () => {
    const record = ends({ at: 5, code: 1, reason: 'OOMKilled' })
    expect(record.outcome).toBe('OOMKilled')
    expect(endOf(record, 'app').kill).toBeUndefined()
  })

  test('OOMKilled with the number of the stop signal is Signalled', () => {
    expect(ends({ at: 5, code: 143, reason: 'OOMKilled' }).outcome).toBe('Signalled')
  })

  test('ContainerStatusUnknown of a container that ran is Lost, and says that the kubelet had lost it', () => {
    const record = over(stopping().killing('app', { at: 0.1 }).lost('app'), 3)
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Lost', exit: { code: 137, reason: 'ContainerStatusUnknown' } })
    expect(marksOf(record, 'app')).not.toContain('ContainerExited')
    expect(findingOf(record, 'EvidenceMissing').message).toContain('the kubelet had lost it (ContainerStatusUnknown)')
  })

  test('255 with reason Unknown is Lost: containerd has lost the task', () => {
    expect(ends({ at: 2, code: 255, reason: 'Unknown' }).outcome).toBe('Lost')
  })

  test('255 with reason Error is what the program returned', () => {
    expect(ends({ at: 2, code: 255 }).outcome).toBe('Failed')
  })
})

describe('which end counts', () => {
  test('a container that never started is NeverStarted, also where the kubelet writes 137 for it in the end', () => {
    const waiting = aPod().waiting('app', 'ErrImagePull').seen().deleted({ at: 0 })
    expect(over(waiting, 0.3).outcome).toBe('NeverStarted')
    const lost = aPod().waiting('app', 'ContainerCreating').seen().deleted({ at: 0 }).lost('app')
    expect(over(lost, 0.3)).toMatchObject({ outcome: 'NeverStarted', containers: [{ name: 'app', outcome: 'NeverStarted' }] })
  })

  test('137 with ContainerStatusUnknown at first sight may have run or not: Unknown', () => {
    const pod = aPod().running()
    pod.unseen(() => pod.deleted({ at: 0 }))
    expect(over(pod.lost('app').listed({ at: 5 }), 6).outcome).toBe('Unknown')
  })

  test('an unscheduled pod goes at once: NeverStarted', () => {
    const record = aPod({ node: null }).seen().removed({ at: 0 }).record()
    expect(record.outcome).toBe('NeverStarted')
    expect(record.pod.node).toBeUndefined()
  })

  test('the worst of the main containers is the outcome of the pod', () => {
    const pod = stopping({ containers: ['zero', 'term', 'deaf'], grace: 4 })
    for (const name of ['zero', 'term', 'deaf']) pod.killing(name, { at: 0.1 })
    pod.exited('zero', { at: 0.3 }).exited('term', { at: 1.6, code: 143 }).exited('deaf', { at: 4.2, code: 137 })
    const record = over(pod, 4.3)
    expect(record.outcome).toBe('ForcedKill')
    expect(record.containers?.map(({ outcome }) => outcome)).toEqual(['Graceful', 'Signalled', 'ForcedKill'])
  })

  test("a sidecar's or a debug container's forced kill does not count, and is no warning", () => {
    const pod = stopping({
      grace: 4,
      containers: ['app', { name: 'mesh', role: 'Sidecar' }, { name: 'debug', role: 'Ephemeral' }],
    })
    pod.running(['debug']).reported({ at: 0.1 })
    for (const name of ['app', 'mesh', 'debug']) pod.killing(name, { at: 0.1 })
    pod.exited('app', { at: 0.5 }).exited('mesh', { at: 4.6, code: 137 }).exited('debug', { at: 4.2, code: 137 })
    const record = over(pod, 4.7)
    expect(record.outcome).toBe('Graceful')
    expect([endOf(record, 'mesh').outcome, endOf(record, 'debug').outcome]).toEqual(['ForcedKill', 'ForcedKill'])
    expect(typesOf(record)).toEqual([])
  })

  test('an init container that was running decides where no main container ever ran', () => {
    const pod = aPod({ grace: 4, containers: [{ name: 'setup', role: 'Init' }, 'app'] })
      .running(['setup'])
      .waiting('app', 'PodInitializing')
      .seen()
      .deleted({ at: 0 })
      .killing('setup', { at: 0.1 })
      .exited('setup', { at: 4.2, code: 137 })
    const record = over(pod, 4.3)
    expect(record.outcome).toBe('ForcedKill')
    expect(endOf(record, 'app').outcome).toBe('NeverStarted')
  })

  test('an init container that had done its work does not, nor was it stopped', () => {
    const pod = aPod({ containers: [{ name: 'setup', role: 'Init' }, 'app'] })
      .running(['setup'])
      .exited('setup', { at: -50, code: 0 })
    pod.running(['app']).seen().deleted({ at: 0 }).killing('app', { at: 0.1 }).exited('app', { at: 1.5 })
    const record = over(pod, 1.6)
    expect(record.outcome).toBe('Graceful')
    expect(endOf(record, 'setup').stopSignal).toBeUndefined()
    expect(holds(markOf(record, 'ContainerExited', 'setup'), -50)).toBe(true)
  })

  test('a container that waits for its next start after a crash keeps the end that it had, and got no signal', () => {
    const pod = aPod({ restartPolicy: 'Always' })
      .running()
      .waiting('app', 'CrashLoopBackOff', { at: -12, code: 3, restarts: 5 })
      .seen()
      .deleted({ at: 0 })
      .exited('app', { at: -12, code: 3 })
    const record = over(pod, 0.3)
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Failed', exit: { code: 3 }, restarts: 5 })
    expect(endOf(record, 'app').stopSignal).toBeUndefined()
    expect(marksOf(record, 'app')).toEqual(['ContainerExited'])
  })

  test('a container that had ended when the delete came got no signal', () => {
    const pod = aPod({ containers: ['app', 'other'] })
      .running()
      .exited('app', { at: -5, code: 1 })
      .seen({ at: -4 })
      .deleted({ at: 0 })
    const record = over(pod.killing('other', { at: 0.1 }).exited('other', { at: 1.5 }), 1.6)
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Failed', exit: { code: 1 } })
    expect(endOf(record, 'app').stopSignal).toBeUndefined()
  })

  test('a container that had ended with 143 before the delete is Failed; in a list nobody knows what came first', () => {
    const before = aPod({ containers: ['app', 'other'] })
      .running()
      .exited('app', { at: -5, code: 143 })
    const pod = before.seen({ at: -4 }).deleted({ at: 0 }).killing('other', { at: 0.1 }).exited('other', { at: 1.5 })
    expect(endOf(over(pod, 1.6), 'app').outcome).toBe('Failed')
    const listed = aPod({ containers: ['app', 'other'] }).running()
    listed.unseen(() => listed.deleted({ at: 0 })).exited('app', { at: 0.5, code: 143 })
    expect(endOf(over(listed.listed({ at: 2 }).exited('other', { at: 3.5 }), 3.6), 'app').outcome).toBe('Unknown')
  })

  test('a container that is first seen with its end has got a signal only where a Killing Event says so', () => {
    const pod = () => aPod({ restartPolicy: 'Never' }).compared('Node').running()
    const ended = (story: PodStory) =>
      endOf(story.exited('app', { at: 1.5, code: 143 }).phase('Failed', 'Evicted').reported({ at: 1.6 }).record(), 'app')
    expect(ended(pod())).not.toHaveProperty('stopSignal')
    expect(ended(pod().killing('app', { at: 0.1 })).stopSignal?.name).toBe('SIGTERM')
  })

  test('restarts before the end are told', () => {
    const pod = aPod().running(['app'], { restarts: 2 }).seen().deleted({ at: 0 }).killing('app', { at: 0.1 })
    expect(endOf(over(pod.exited('app', { at: 1.5 }), 1.6), 'app').restarts).toBe(2)
  })
})

describe('an exit within the second of the Killing Event', () => {
  test('with another code may be a crash just before it: there is no StopSignal, but there is the exit', () => {
    const record = ends({ at: 0.3, code: 1 })
    expect(record.outcome).toBe('Failed')
    expect(marksOf(record, 'app')).toEqual(['ContainerExited'])
    expect(endOf(record, 'app').stopSignal?.at).toBeUndefined()
  })

  test('with 0 or the number of the stop signal is what the signal does', () => {
    for (const code of [0, 143]) {
      const record = ends({ at: 0.3, code })
      expect(holds(markOf(record, 'StopSignal', 'app'), 0.14)).toBe(true)
      expect(holds(markOf(record, 'ContainerExited', 'app'), 0.3)).toBe(true)
    }
  })

  test('with 0 of a container that may end by itself tells nothing', () => {
    expect(marksOf(ends({ at: 0.3, code: 0 }, { restartPolicy: 'Never' }), 'app')).toEqual(['ContainerExited'])
  })

  test('in a later second the signal had been sent, whatever the code', () => {
    for (const code of [0, 1, 143]) expect(marksOf(ends({ at: 2.3, code }), 'app')).toEqual(['StopSignal', 'ContainerExited'])
  })

  test('before the second of the Killing Event there was no signal: 143 is Failed then', () => {
    const pod = stopping().exited('app', { at: -1.9, code: 143 }).killing('app', { at: 0.1 })
    const record = over(pod, 0.3)
    expect(record.outcome).toBe('Failed')
    expect(marksOf(record, 'app')).toEqual(['ContainerExited'])
  })

  test('without a Killing Event, an exit that is not like one by the signal proves none: the kubelet may have been away', () => {
    const record = over(stopping().exited('app', { at: 10, code: 1 }), 40)
    expect(marksOf(record, 'app')).toEqual(['ContainerExited'])
    expect(findingOf(record, 'EvidenceMissing').message).toContain('no Killing event of app arrived')
  })

  test('without a Killing Event, exit 0 of a container that always runs, after the delete, is by the signal', () => {
    const record = over(stopping().exited('app', { at: 2.5, code: 0 }), 2.6)
    expect(holds(markOf(record, 'StopSignal', 'app'), 0.2)).toBe(true)
  })
})
