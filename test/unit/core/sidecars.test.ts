/** Sidecars stop after the main containers and in reverse order (pkg/kubelet/kuberuntime, kuberuntime_termination_order.go). */
import { describe, expect, test } from 'vitest'
import { aPod, type PodOptions } from '../builders.ts'
import { endOf, holds, markOf, marksOf } from './reading.ts'

const CONTAINERS: PodOptions['containers'] = [{ name: 'first', role: 'Sidecar' }, { name: 'second', role: 'Sidecar' }, 'app']

const stopping = (options: PodOptions = {}) => {
  const pod = aPod({ containers: CONTAINERS, ...options })
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()
    .deleted({ at: 0 })
  for (const { name } of pod.pod.containers) pod.killing(name, { at: 0.1 })
  return pod
}

describe('a sidecar', () => {
  test('gets its signal when the main containers have ended, the last one first', () => {
    const pod = stopping().exited('app', { at: 2.27 }).exited('second', { at: 3.5 }).exited('first', { at: 5.5 })
    const record = pod.reported({ at: 5.6, phase: 'Succeeded' }).removed({ at: 5.8 }).record()
    expect(holds(markOf(record, 'StopSignal', 'second'), 2.33)).toBe(true)
    expect(markOf(record, 'StopSignal', 'second')?.earliest).toBeGreaterThan(1.4)
    expect(holds(markOf(record, 'StopSignal', 'first'), 3.55)).toBe(true)
    expect(markOf(record, 'StopSignal', 'first')?.earliest).toBeGreaterThan(2.4)
    expect(endOf(record, 'first').role).toBe('Sidecar')
  })

  test('waits no longer than the grace period, then gets 2 s, also while a main container still runs', () => {
    const pod = stopping({ grace: 5 }).exited('app', { at: 7.3, code: 137 }).exited('second', { at: 7.2, code: 137 })
    const record = pod.exited('first', { at: 5.15 }).reported({ at: 7.4, phase: 'Failed' }).removed({ at: 7.6 }).record()
    expect(holds(markOf(record, 'StopSignal', 'second'), 5.12)).toBe(true)
    expect(holds(markOf(record, 'Kill', 'second'), 7.13)).toBe(true)
  })

  test('that ignores its signal delays the one before it to its SIGKILL', () => {
    const pod = stopping({ grace: 10 }).exited('app', { at: 1.3 }).exited('second', { at: 10.2, code: 137 })
    const record = pod.exited('first', { at: 11.9 }).reported({ at: 12, phase: 'Succeeded' }).removed({ at: 12.2 }).record()
    expect(endOf(record, 'second').outcome).toBe('ForcedKill')
    expect(holds(markOf(record, 'StopSignal', 'first'), 10.15)).toBe(true)
    expect(markOf(record, 'StopSignal', 'first')?.earliest).toBeGreaterThan(9.4)
    expect(record.outcome).toBe('Graceful')
  })

  test('is waited for by nobody where it does not run', () => {
    const pod = aPod({ containers: CONTAINERS })
      .compared('APIServer')
      .compared('Node')
      .running(['first', 'app'])
      .waiting('second', 'CrashLoopBackOff', { at: -30, code: 1, restarts: 4 })
      .seen()
      .deleted({ at: 0 })
    for (const name of ['first', 'app']) pod.killing(name, { at: 0.1 })
    pod.exited('app', { at: 2.3 }).exited('second', { at: -30, code: 1 }).exited('first', { at: 4.5 })
    const record = pod.reported({ at: 4.6, phase: 'Succeeded' }).removed({ at: 4.8 }).record()
    expect(holds(markOf(record, 'StopSignal', 'first'), 2.35)).toBe(true)
    expect(marksOf(record, 'second')).toEqual(['ContainerExited'])
  })

  test('whose signal has a hook before it gets that after both', () => {
    const containers: PodOptions['containers'] = [
      { name: 'mesh', role: 'Sidecar', preStop: { handler: 'Sleep', seconds: 4 } },
      'app',
    ]
    const pod = stopping({ containers, grace: 30 }).exited('app', { at: 1.3 }).exited('mesh', { at: 5.6 })
    const record = pod.reported({ at: 5.7, phase: 'Succeeded' }).removed({ at: 5.9 }).record()
    expect(holds(markOf(record, 'StopSignal', 'mesh'), 4.15)).toBe(true)
    expect(markOf(record, 'StopSignal', 'mesh')?.earliest).toBeCloseTo(4.1, 3)
    expect(holds(markOf(record, 'PreStopStarted', 'mesh'), 0.1)).toBe(true)
  })

  test('that has a hook waits up to a second longer, as the kubelet counts what the hook took in whole seconds', () => {
    const containers: PodOptions['containers'] = [{ name: 'mesh', role: 'Sidecar', preStop: { handler: 'Exec' } }, 'app']
    // A hook of 1.9 s counts as 1 s, so its wait ends at 0.1 + 1.9 + 4 s. It crashed before.
    const pod = stopping({ containers, grace: 5 }).exited('mesh', { at: 5.75, code: 1 }).exited('app', { at: 6.9 })
    const record = pod.reported({ at: 7, phase: 'Succeeded' }).removed({ at: 7.2 }).record()
    expect(marksOf(record, 'mesh')).toEqual(['PreStopStarted', 'ContainerExited'])
  })

  test('of a Job that has run to its end is stopped without a delete, which is no termination', () => {
    const pod = aPod({ restartPolicy: 'Never', containers: CONTAINERS })
      .running()
      .seen()
      .exited('app', { at: 0 })
      .reported({ at: 0.1 })
    for (const name of ['first', 'second']) pod.killing(name, { at: 0.2 }).exited(name, { at: 1.2, code: 143 })
    const record = pod.reported({ at: 1.4, phase: 'Succeeded' }).record()
    expect(record).toMatchObject({ cause: { type: 'Completed' }, outcome: 'Graceful' })
    expect(marksOf(record, 'first')).not.toContain('StopSignal')
  })
})
