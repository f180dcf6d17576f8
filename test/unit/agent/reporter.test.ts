/** What the reporter keeps while the API server is away: so many and no more, and what had to go is counted. */
import { expect, test, vi } from 'vitest'
import type { Collector } from '../../../src/agent/collector.ts'
import type { NodeClock } from '../../../src/agent/node-clock.ts'
import type { NodePod } from '../../../src/agent/node-pod.ts'
import type { ContainerEntry, Processes } from '../../../src/agent/processes.ts'
import { Reporter } from '../../../src/agent/reporter.ts'
import { ClockEstimate } from '../../../src/core/clock-estimate.ts'
import type { RecordClient } from '../../../src/kube/apply.ts'
import { KubeError } from '../../../src/kube/errors.ts'

const MAX = 2000

const pod = (index: number): NodePod => ({
  uid: `uid-${index}`,
  namespace: 'shop',
  name: `web-${index}`,
  resourceVersion: String(index),
  deletionTimestamp: '2026-11-24T21:31:16Z',
  deletionGracePeriodSeconds: 15,
  phase: 'Running',
  containers: [],
  statuses: [],
})

test('2,000 pods at most; the oldest goes, is forgotten, counted and told of once', async () => {
  const forgotten: string[] = []
  const warn = vi.fn()
  const away = () => Promise.reject(new KubeError('Network', 'connection refused'))
  // Only what the reporter asks of each: the parts themselves need a kernel.
  const reporter = new Reporter({
    node: 'node-1',
    clock: { mono: () => performance.now() * 1000, now: () => Date.now() * 1000 } as NodeClock,
    log: { debug() {}, info() {}, warn, error() {} },
    records: { apply: away, get: away } as unknown as RecordClient,
    collector: { look() {}, forget: (id: string) => forgotten.push(id), gapsSince: () => [] } as unknown as Collector,
    processes: {
      containersOf: (podUid: string) => [{ id: `container-of-${podUid}`, podUid, sandbox: false, ended: true } as ContainerEntry],
    } as unknown as Processes,
    trace: { tracedFrom: () => undefined, catchUp: async () => 0 },
    apiClock: new ClockEstimate(),
    recordsNamespace: 'gracewatch-system',
    recordCompletions: false,
    namespaces: [],
    excludeNamespaces: [],
  })
  const delete_ = (index: number) => reporter.onPod({ type: 'Modified', object: pod(index), arrivedAt: 0 })
  for (let index = 0; index < MAX; index++) delete_(index)
  expect(reporter.stats).toMatchObject({ ending: MAX, dropped: 0 })
  expect(forgotten).toEqual([])
  // One that is known takes no room of another.
  delete_(0)
  delete_(MAX)
  delete_(MAX + 1)
  expect(reporter.stats).toMatchObject({ ending: MAX, dropped: 2, written: 0 })
  expect(forgotten).toEqual(['container-of-uid-0', 'container-of-uid-1'])
  expect(warn.mock.calls.filter(([, message]) => String(message).startsWith('too many pods'))).toHaveLength(1)
  await reporter.stop(10)
})
