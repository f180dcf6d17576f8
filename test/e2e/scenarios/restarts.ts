/** 26, 27 and 33: the watch, the kubelet or the controller is away while pods end. */
import type { Scenario } from '../scenario.ts'
import type { Stage } from '../stage.ts'

const FORCED = { outcome: 'ForcedKill', stopSignal: ['Ignored', 'Unknown'], kill: ['Runtime'], code: 137 } as const
/** Nobody saw how it ended: only the kubelet's Event tells that it was to end. */
const LOST = { outcome: 'Lost', stopSignal: ['Unknown', 'absent'] } as const
const UNSEEN = ['Terminating', 'StopSignal', 'ContainerExited', 'Kill', 'Acknowledged', 'PodFinished'] as const

/** A pod whose PID 1 has no handler, so that it runs to the end of its grace period. */
function deaf(stage: Stage, name: string, grace: number) {
  const { manifests } = stage
  return manifests.pod(name, [manifests.command('app', ['sleep', '3600'])], { terminationGracePeriodSeconds: grace })
}

export const restarts: readonly Scenario[] = [
  {
    number: 26,
    title: 'StatefulSet pod deleted and recreated under the same name while the watch is cut',
    did: 'The controller is cut off from the API server; meanwhile a pod of a StatefulSet is deleted and comes back under its name, and the history of that is compacted away.',
    alone: true,
    act: async (stage) => {
      const { manifests, world } = stage
      const app = manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 300 })
      await stage.create(manifests.statefulSet('web', 1, manifests.podSpec([app])))
      const [pod] = await stage.ready('web', 1)
      await stage.settled(pod)
      await world.controller?.cut()
      try {
        await stage.delete(pod)
        await stage.gone(pod)
        await stage.ready('web', 1)
        await world.cluster.compactEtcd()
        await world.cluster.killPart('kube-apiserver')
        await world.cluster.startPart('kube-apiserver')
      } finally {
        await world.controller?.mend()
      }
      return [pod]
    },
    expect: [
      {
        pod: /^web-0$/,
        cause: 'Unknown',
        outcome: 'Lost',
        infos: ['EvidenceMissing'],
        mayInform: ['EvidenceMissing'],
        workload: 'StatefulSet/web',
        // The kernel saw it end itself; its exit code nobody saw.
        measured: { outcome: 'Unknown' },
        containers: { app: { ...LOST, measured: { outcome: 'Unknown', stopSignal: ['Delivered'] }, kernel: { exit: 'Exited' } } },
        mayMiss: UNSEEN,
      },
    ],
  },
  {
    number: 27,
    title: 'kubelet restarted in mid-termination',
    did: 'A pod without a handler (grace 8 s) is deleted; 1.5 s later the kubelet is restarted, takes the pod up again and gives it the whole grace period once more.',
    alone: true,
    act: async (stage) => {
      const pod = await stage.run(deaf(stage, 'app', 8))
      await stage.delete(pod)
      await stage.pass(1.5)
      await stage.world.cluster.restartPart('kubelet')
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app'],
        measured: { warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'] },
        mayWarn: ['StuckTerminating'],
        containers: { app: FORCED },
      },
    ],
  },
  {
    number: 33,
    title: 'controller killed -9 in mid-termination, and away during a whole termination',
    did: 'Both replicas are killed with SIGKILL 3 s into a termination of 8 s; later both are scaled away while another pod is deleted and ends.',
    alone: true,
    act: async (stage) => {
      const { controller } = stage.world
      const killed = await stage.run(deaf(stage, 'killed', 8))
      await stage.delete(killed)
      await stage.pass(3)
      controller?.killAll()
      await stage.gone(killed)
      await stage.recordState(killed, 'Complete', 60)

      const away = await stage.run(deaf(stage, 'away', 2))
      await controller?.away()
      await stage.delete(away)
      await stage.gone(away)
      await controller?.back()
      return [killed, away]
    },
    expect: [
      {
        pod: /^killed$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app'],
        measured: { warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'] },
        infos: ['EvidenceMissing'],
        containers: { app: FORCED },
      },
      {
        pod: /^away$/,
        cause: 'Unknown',
        outcome: 'Lost',
        infos: ['EvidenceMissing'],
        mayInform: ['EvidenceMissing'],
        workload: 'Unknown',
        containers: {},
        mayMiss: [...UNSEEN, 'Removed'],
      },
    ],
  },
]
