/** What the kernel proves of the stop signal, as findings: who dropped or kept it, from whom, and what to change. */
import { describe, expect, test } from 'vitest'
import type { KernelContainer, KernelFacts } from '../../../src/api/kernel.ts'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import type { Fact } from '../../../src/core/evidence.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { aPod, micros } from '../builders.ts'
import { kernelOf, moment, stopSignal } from './kernel.ts'
import { endOf, findingOf, markOf, typesOf } from './reading.ts'

const KILLED: Partial<KernelContainer> = { kill: { ...moment(5.1), by: 'Runtime' }, exit: { ...moment(5.12), how: 'Killed' } }

const stop = (result: 'Delivered' | 'Ignored') => stopSignal(0.11, result)

/** A pod of grace 5 s that is killed, with what its agent says. */
function record(kernel: KernelFacts | undefined, code = 137, more: Fact[] = []): PodTermination {
  const at = code === 137 ? 5.12 : 1
  const story = aPod({ grace: 5 })
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at, code })
    .reported({ at: at + 0.1, phase: code === 0 ? 'Succeeded' : 'Failed' })
    .removed({ at: at + 0.3 })
  const facts: Fact[] = kernel === undefined ? [] : [{ type: 'Kernel', arrivedAt: micros(at + 0.2), kernel }]
  const made = assemble([...story.facts(), ...facts, ...more], micros(at + 1))
  if (made === undefined) throw new Error('no record came of these facts')
  return made
}

const shell = { comm: 'sh', argv0: 'sh' }
const child = [{ pid: 7, parent: 1, comm: 'MainThread', leftBehind: true }]

describe('StopSignalIgnored', () => {
  test('of a shell names it, the app that it kept the signal from, and the exec form', () => {
    const kept = { processes: child, passedOn: { result: 'NotPassedOn' as const } }
    const made = record(
      kernelOf({ ...KILLED, ...kept, process: { ...shell, disposition: 'Default' }, stopSignal: stop('Ignored') }),
    )
    expect(findingOf(made, 'StopSignalIgnored')).toMatchObject({ severity: 'Warning', container: 'app' })
    expect(findingOf(made, 'StopSignalIgnored').message).toMatch(
      /^the kernel dropped SIGTERM, sent about 0\.0 s after the kubelet turned to it, because sh, PID 1 of the container, has no handler for it; node below it never got one\. Start the program itself: in the exec form .* `exec` .* \(tini\)\.$/,
    )
    expect(findingOf(made, 'GraceExhausted').message).not.toContain('Look at what PID 1')
    expect(endOf(made, 'app').stopSignal?.result).toBe('Ignored')
    expect(typesOf(made)).not.toContain('StopSignalNotForwarded')
  })

  test('of a program without a handler asks for one, or for an init', () => {
    const process = { comm: 'sleep', argv0: '/bin/sleep', disposition: 'Default' as const }
    const { message } = findingOf(record(kernelOf({ ...KILLED, process, stopSignal: stop('Ignored') })), 'StopSignalIgnored')
    expect(message).toContain(
      'because sleep, PID 1 of the container, has no handler for it. Give sleep a handler for SIGTERM, or start it',
    )
  })

  test('of a program that is told to ignore it says so', () => {
    const process = { comm: 'sleep', disposition: 'Ignored' as const }
    const { message } = findingOf(record(kernelOf({ ...KILLED, process, stopSignal: stop('Ignored') })), 'StopSignalIgnored')
    expect(message).toContain('has been told to ignore it. Look for what sets SIGTERM to be ignored')
  })

  test('is none where the container ended well all the same', () => {
    const process = { comm: 'nginx', disposition: 'Ignored' as const }
    const exit = { ...moment(1), how: 'Exited' as const }
    expect(typesOf(record(kernelOf({ process, stopSignal: stop('Ignored'), exit }), 0))).not.toContain('StopSignalIgnored')
  })
})

describe('StopSignalNotForwarded', () => {
  const process = { ...shell, disposition: 'Handler' as const }

  test('names who took the signal and who never got one', () => {
    const kept = { processes: child, passedOn: { result: 'NotPassedOn' as const } }
    const { message } = findingOf(
      record(kernelOf({ ...KILLED, ...kept, process, stopSignal: stop('Delivered') })),
      'StopSignalNotForwarded',
    )
    expect(message).toMatch(
      /^sh, PID 1 of the container, took SIGTERM, .* passed it on to none of the processes below it \(node\)/,
    )
  })

  test('is none where the signal was passed on, where nothing is below, and where that is not known', () => {
    for (const result of ['PassedOn', 'NothingBelow', 'Unknown'] as const) {
      const processes = result === 'NothingBelow' ? {} : { processes: child }
      const made = record(kernelOf({ ...KILLED, ...processes, passedOn: { result }, process, stopSignal: stop('Delivered') }))
      expect(typesOf(made)).toEqual(['GraceExhausted'])
      expect(findingOf(made, 'GraceExhausted').message).toContain('The kernel saw the process take SIGTERM')
    }
  })
})

describe('what an agent says', () => {
  const kernel = kernelOf({ ...KILLED, process: { ...shell, disposition: 'Default' }, stopSignal: stop('Ignored') })
  const owed: Fact = { type: 'Agent', arrivedAt: micros(6), node: 'node-1' }

  test('is Measured, in the bounds that it gives', () => {
    const made = record(kernel)
    expect(markOf(made, 'StopSignal', 'app')?.at).toBeCloseTo(0.11, 5)
    expect(made.timeline?.find(({ mark }) => mark === 'Kill')).toMatchObject({ confidence: 'Measured', source: 'Kernel' })
    expect(made).toMatchObject({ outcome: 'ForcedKill' })
  })

  test('of another node is not believed, and the record says so', () => {
    const made = record({ ...kernel, node: 'node-2' })
    expect(endOf(made, 'app').stopSignal?.result).toBe('Unknown')
    expect(findingOf(made, 'EvidenceMissing').message).toContain('another node, node-2')
  })

  test('is missed where it said nothing, or not all, and no longer once it has', () => {
    expect(findingOf(record(undefined, 137, [owed]), 'EvidenceMissing').message).toMatch(
      /^the agent on node-1 had said nothing of the pod/,
    )
    expect(findingOf(record({ ...kernel, complete: false }, 137, [owed]), 'EvidenceMissing').message).toContain(
      'not said that all',
    )
    expect(typesOf(record(kernel, 137, [owed]))).not.toContain('EvidenceMissing')
  })

  test('is enough for a record of a pod that nobody else saw', () => {
    const pod = { namespace: 'shop', name: 'web-1', uid: '84b61cdb-3b4f-4c1e-9d3a-5a3f4c2b1a09' }
    const arrivedAt = micros(60)
    const made = assemble(
      [
        { type: 'Absent', arrivedAt, pod },
        { type: 'Kernel', arrivedAt, kernel },
      ],
      arrivedAt + SECOND,
    )
    expect(made).toMatchObject({ state: 'Complete', outcome: 'Lost', pod })
    expect(findingOf(made ?? record(kernel), 'EvidenceMissing').message).toContain(
      'only what an agent measured of the pod was left',
    )
    expect(assemble([{ type: 'Absent', arrivedAt, pod }], arrivedAt + SECOND)).toBeUndefined()
  })
})

describe('GraceExhausted', () => {
  const late = (at: number) =>
    findingOf(
      record(
        kernelOf({
          ...KILLED,
          process: { ...shell, disposition: 'Handler' },
          stopSignal: stop('Delivered'),
          processes: child,
          passedOn: { result: 'PassedOn', first: moment(at), last: moment(at) },
        }),
      ),
      'GraceExhausted',
    ).message

  test('says where the signal was passed on too late to be of use', () => {
    expect(late(4.5)).toContain(
      'The kernel saw SIGTERM passed on to the processes below PID 1 only 4.4 s after PID 1 had got it, 0.6 s before SIGKILL',
    )
    expect(late(4)).toContain('The kernel saw the process take SIGTERM')
  })
})

describe('ProcessesLeftBehind', () => {
  const process = { ...shell, disposition: 'Handler' as const }
  const exit = { ...moment(1), how: 'Exited' as const }
  const kernel = (change: Partial<KernelContainer>) =>
    kernelOf({ process, stopSignal: stop('Delivered'), exit, processes: child, passedOn: { result: 'NotPassedOn' }, ...change })

  test('names PID 1 that ended well, and what it left to the kernel', () => {
    const made = record(kernel({}), 0)
    expect(made.outcome).toBe('Graceful')
    expect(findingOf(made, 'ProcessesLeftBehind')).toMatchObject({ severity: 'Info', container: 'app' })
    expect(findingOf(made, 'ProcessesLeftBehind').message).toMatch(
      /^sh, PID 1 of the container, ended 0\.9 s after SIGTERM and passed the signal on to none .* still ran \(node\)\. If one of them is the app/,
    )
  })

  test('is none where all below had ended, had got the signal, only waited, or are not its own', () => {
    const types = (change: Partial<KernelContainer>) => typesOf(record(kernel(change), 0))
    expect(types({ processes: [{ pid: 7, parent: 1, comm: 'node' }] })).not.toContain('ProcessesLeftBehind')
    // A script that traps the signal and exits while it waits is the common case, and nothing is lost by it.
    expect(types({ processes: [{ pid: 7, parent: 1, comm: 'sleep', leftBehind: true }] })).not.toContain('ProcessesLeftBehind')
    expect(types({ passedOn: { result: 'PassedOn' } })).not.toContain('ProcessesLeftBehind')
    expect(types({ passedOn: { result: 'Unknown' } })).not.toContain('ProcessesLeftBehind')
    expect(types({ pidNamespace: 'Pod' })).not.toContain('ProcessesLeftBehind')
    expect(typesOf(record(kernel({ ...KILLED })))).not.toContain('ProcessesLeftBehind')
  })
})
