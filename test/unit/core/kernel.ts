/** What an agent on the node of a story's pod writes of it. Times are seconds of the story. */
import type { KernelContainer, KernelFacts } from '../../../src/api/kernel.ts'
import { formatTime } from '../../../src/core/time.ts'
import { micros } from '../builders.ts'

export const moment = (at: number) => ({
  at: formatTime(micros(at)),
  earliest: formatTime(micros(at) - 25),
  latest: formatTime(micros(at) + 25),
})

/** One container, `app`, traced from long before. */
export const kernelOf = (container: Partial<KernelContainer>, change: Partial<KernelFacts> = {}): KernelFacts => ({
  node: 'node-1',
  tracedFrom: formatTime(micros(-100)),
  tracedUntil: formatTime(micros(20)),
  complete: true,
  lostEvents: 0,
  containers: [{ name: 'app', containerID: 'containerd://1', pidNamespace: 'Container', ...container }],
  ...change,
})

export const stopSignal = (
  at: number,
  result: NonNullable<KernelContainer['stopSignal']>['result'] = 'Delivered',
): NonNullable<KernelContainer['stopSignal']> => ({ number: 15, name: 'SIGTERM', ...moment(at), result })
