/** 32: sidecars of a Job's pod, whose main container ends by itself. */
import type { Raw } from '../api.ts'
import type { Scenario } from '../scenario.ts'

const ended = (pod: Raw): boolean => ['Succeeded', 'Failed'].includes(pod.status?.phase)

export const jobs: readonly Scenario[] = [
  {
    number: 32,
    title: 'Job with a sidecar',
    did: 'One Job runs to its end, and its sidecar is stopped after it, which is no termination to record; another is deleted while its pod runs.',
    act: async (stage) => {
      const { manifests } = stage
      const sidecar = manifests.shell('sidecar', 'trap "exit 0" TERM; sleep 3600 & wait', { restartPolicy: 'Always' })
      const short = manifests.program('app', { EXIT_WITHOUT_TERM_MS: 1500 })
      const long = manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 1200 })
      const job = (name: string, app: Raw) => manifests.job(name, manifests.podSpec([app], { initContainers: [sidecar] }))
      await stage.create(job('done', short), job('stopped', long))
      const pods = await Promise.all([
        stage.world.observations.waitFor(() => stage.podOf('done', ended), 60, 'the pod of Job done at its end'),
        stage.ready('stopped', 1).then(([pod]) => pod),
      ])
      const [, stopped] = pods
      await stage.settled(stopped)
      const call = await stage.world.api.delete(stage.path('Job', 'stopped'), { propagationPolicy: 'Background' })
      stage.noteAction(stopped, 'end', { sentAt: call.sentAt, answeredAt: Number.POSITIVE_INFINITY })
      await stage.gone(stopped)
      return pods
    },
    unrecorded: /^done-/,
    expect: [
      {
        pod: /^stopped-/,
        cause: 'Deleted',
        outcome: 'Graceful',
        workload: 'Job/stopped',
        containers: {
          app: { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 },
          sidecar: { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 },
        },
      },
    ],
  },
]
