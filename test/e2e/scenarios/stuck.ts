/** 28 and 29: terminations that pass their deadline, and why. */
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import type { Raw } from '../api.ts'
import type { Scenario } from '../scenario.ts'
import { FINALIZER } from '../stage.ts'

/** What the record said while the termination was overdue. */
function overdueProblems(history: readonly Raw[], reason: RegExp): string[] {
  const overdue: PodTermination[] = history.filter(({ state }) => state === 'Overdue')
  if (overdue.length === 0) return ['the record never was Overdue']
  const messages = overdue.flatMap(({ findings = [] }) => findings.filter(({ type }) => type === 'StuckTerminating'))
  if (messages.some(({ message }) => reason.test(message))) return []
  return [`while it was Overdue the record did not say why: ${messages.map(({ message }) => message).join(' / ') || 'nothing'}`]
}

export const stuck: readonly Scenario[] = [
  {
    number: 28,
    title: 'kubelet stopped',
    did: 'The kubelet is stopped, the pod (grace 3 s) is deleted, and nothing happens until the kubelet is started again after its deadline.',
    alone: true,
    act: async (stage) => {
      const { cluster, observations } = stage.world
      const { manifests } = stage
      const app = manifests.program('app', { ON_TERM: 'exit' })
      const pod = await stage.run(manifests.pod('app', [app], { terminationGracePeriodSeconds: 3 }))
      await cluster.stopPart('kubelet')
      try {
        await stage.delete(pod)
        await stage.recordState(pod, 'Overdue', 30)
      } finally {
        await cluster.startPart('kubelet')
      }
      await stage.gone(pod)
      observations.check()
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        warnings: ['StuckTerminating'],
        containers: { app: { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 } },
        also: (_, __, history) => overdueProblems(history, /kubelet/),
      },
    ],
  },
  {
    number: 29,
    title: 'stuck by a finalizer',
    did: 'The pod has a finalizer: its container ends in time, but the object stays past its deadline, until the finalizer is removed.',
    act: async (stage) => {
      const { manifests } = stage
      const app = manifests.program('app', { ON_TERM: 'exit' })
      const pod = await stage.run(manifests.pod('app', [app], { terminationGracePeriodSeconds: 3 }, { finalizers: [FINALIZER] }))
      await stage.delete(pod)
      await stage.recordState(pod, 'Overdue', 30)
      await stage.release(pod)
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        warnings: ['StuckTerminating'],
        containers: { app: { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 } },
        also: (_, __, history) => overdueProblems(history, new RegExp(FINALIZER)),
      },
    ],
  },
]
