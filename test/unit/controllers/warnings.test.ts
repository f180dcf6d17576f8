/** Kubernetes Events about records: what is told, how often, and what is told when the time of a window is over. */
import { expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { Warnings } from '../../../src/controllers/recorder/warnings.ts'
import { SECOND } from '../../../src/core/time.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { KubernetesEvent } from '../../../src/kube/events.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

function setup(window?: number) {
  const written: KubernetesEvent[] = []
  const clock = { now: 1_000 * SECOND }
  const warnings = new Warnings({
    writer: {
      write: async (event) => {
        written.push(event)
        return { result: 'Written' }
      },
    },
    log: quiet,
    now: () => clock.now,
    ...(window === undefined ? {} : { window }),
  })
  return { written, clock, warnings }
}

function forcedKill(name: string, workload = 'web'): PodTermination {
  return {
    pod: {
      namespace: 'shop',
      name,
      uid: `uid-of-${name}`,
      graceSeconds: 15,
      workload: { kind: 'Deployment', name: workload, uid: `uid-of-${workload}`, apiVersion: 'apps/v1' },
    },
    state: 'Complete',
    outcome: 'ForcedKill',
    findings: [
      { type: 'GraceExhausted', severity: 'Warning', container: 'app', message: `${name} did not end` },
      { type: 'NoDrainTime', severity: 'Info', message: 'none' },
    ],
  }
}

const told = (event: KubernetesEvent) => `${event.object.kind}/${event.object.name} ${event.reason} ${event.count}`

it('the first of a workload and finding is told at once, on the pod and on the workload by its UID', async () => {
  const { written, warnings } = setup()
  await warnings.tell(forcedKill('web-1'))
  expect(written.map(told)).toEqual(['Pod/web-1 GraceExhausted 1', 'Deployment/web GraceExhausted 1'])
  expect(written[1]).toMatchObject({
    object: { uid: 'uid-of-web', apiVersion: 'apps/v1', namespace: 'shop' },
    type: 'Warning',
    message: 'pod web-1: app: web-1 did not end',
  })
})

it('a hundred within the window are one, whose count is told when the window is over and under the same name', async () => {
  const { written, clock, warnings } = setup()
  for (let index = 0; index < 100; index++) {
    await warnings.tell(forcedKill(`web-${index}`))
    clock.now += SECOND / 10
  }
  expect(written).toHaveLength(2)
  clock.now += 289 * SECOND
  await warnings.flush()
  expect(written).toHaveLength(2)
  clock.now += SECOND
  await warnings.flush()
  expect(written.slice(2).map(told)).toEqual(['Deployment/web GraceExhausted 100'])
  expect(written[2]?.name).toBe(written[1]?.name)
  expect(written[2]?.message).toBe(
    '100 pods within 10 s (web-0, web-1, web-2, web-3, web-4 and 95 more); the last: app: web-99 did not end',
  )
  expect(written[2]?.lastAt).toBe(1_000 * SECOND + 9.9 * SECOND)
})

it('the next after the window opens a new one, and tells what the old one counted', async () => {
  const { written, clock, warnings } = setup(10 * SECOND)
  await warnings.tell(forcedKill('web-1'))
  await warnings.tell(forcedKill('web-2'))
  clock.now += 10 * SECOND
  await warnings.tell(forcedKill('web-3'))
  expect(written.map(told)).toEqual([
    'Pod/web-1 GraceExhausted 1',
    'Deployment/web GraceExhausted 1',
    'Deployment/web GraceExhausted 2',
    'Pod/web-3 GraceExhausted 1',
    'Deployment/web GraceExhausted 1',
  ])
  expect(written[4]?.name).not.toBe(written[1]?.name)
})

it('a termination that tells of a finding while it is Overdue does not tell of it again when it is Complete', async () => {
  const { written, warnings } = setup()
  const told = new Set<string>()
  const stuck = { type: 'StuckTerminating' as const, severity: 'Warning' as const, message: 'held by a finalizer' }
  const { outcome: _, ...overdue } = { ...forcedKill('web-1'), state: 'Overdue' as const, findings: [stuck] }
  await warnings.tell(overdue, told)
  await warnings.tell({ ...forcedKill('web-1'), outcome: 'Graceful', findings: [stuck] }, told)
  await warnings.close()
  expect(written.map(({ object, reason, count }) => `${object.name} ${reason} ${count}`)).toEqual([
    'web-1 StuckTerminating 1',
    'web StuckTerminating 1',
  ])
})

it('workloads and findings have windows of their own', async () => {
  const { written, warnings } = setup()
  await warnings.tell(forcedKill('web-1'))
  await warnings.tell(forcedKill('api-1', 'api'))
  const hook = { type: 'PreStopFailed' as const, severity: 'Warning' as const, message: 'hook' }
  await warnings.tell({ ...forcedKill('web-2'), outcome: 'Failed', findings: [hook] })
  expect(written.map(({ object, reason }) => `${object.name} ${reason}`)).toEqual([
    'web-1 GraceExhausted',
    'web GraceExhausted',
    'api-1 GraceExhausted',
    'api GraceExhausted',
    'web-2 PreStopFailed',
    'web PreStopFailed',
  ])
})

it('a stop tells the counts of open windows, and nothing of those that counted one', async () => {
  const { written, warnings } = setup()
  await warnings.tell(forcedKill('web-1'))
  await warnings.tell(forcedKill('web-2'))
  await warnings.tell(forcedKill('api-1', 'api'))
  const before = written.length
  await warnings.close()
  expect(written.slice(before).map(told)).toEqual(['Deployment/web GraceExhausted 2'])
})

it('a bare pod gets one Event, and a record without a Warning none', async () => {
  const { written, warnings } = setup()
  const { workload: _, ...bare } = forcedKill('alone').pod
  await warnings.tell({ ...forcedKill('alone'), pod: bare })
  await warnings.tell({ pod: bare, state: 'Complete', outcome: 'Graceful', findings: [] })
  expect(written.map(told)).toEqual(['Pod/alone GraceExhausted 1'])
})

it('an Event that cannot be written is counted and holds nothing up', async () => {
  const warnings = new Warnings({ writer: { write: () => Promise.reject(new Error('no')) }, log: quiet, now: () => 0 })
  await warnings.tell(forcedKill('web-1'))
  expect(warnings.failed).toBe(2)
})

it('what the API server cannot take is written later, the same Event; what it forbids is not', async () => {
  const written: KubernetesEvent[] = []
  const answers = [new KubeError('ServerError', 'etcd is away'), new KubeError('Forbidden', 'no')]
  const write = async (event: KubernetesEvent) => {
    const answer = answers.shift()
    if (answer !== undefined) throw answer
    written.push(event)
    return { result: 'Written' as const }
  }
  const warnings = new Warnings({ writer: { write }, log: quiet, now: () => SECOND })
  await warnings.tell(forcedKill('web-1'))
  expect(written).toEqual([])
  await warnings.flush()
  await warnings.flush()
  expect(written.map(told)).toEqual(['Pod/web-1 GraceExhausted 1'])
  expect(warnings.failed).toBe(1)
})
