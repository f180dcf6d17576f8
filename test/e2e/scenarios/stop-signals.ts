/** 47 to 49: stop signals other than SIGTERM, and a hook that ends PID 1 before it gets one. */
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import type { ExpectedContainer, Scenario } from '../scenario.ts'
import type { Truth } from '../truth/truth.ts'

const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }
const GATE = '--feature-gates=ContainerStopSignals=true'

/** Where it was measured, the record has to name the signal that was sent, whatever was asked for. */
function namedAsSent({ containers, kernel }: PodTermination, truth: Truth): readonly string[] {
  const name = containers?.[0]?.stopSignal?.name
  const sent = truth.containers[0]?.stopSignal?.signal
  return kernel === undefined || name === sent ? [] : [`the stop signal is named ${name}, not ${sent}`]
}

/** What is measured and Unknown all the same has its reason in the agent's notes. */
function unknownWithReason({ containers, kernel }: PodTermination): readonly string[] {
  const unknown = kernel !== undefined && containers?.[0]?.stopSignal?.result === 'Unknown'
  const reason = kernel?.containers?.[0]?.notes?.some((note) => note.endsWith('was gone before it could be looked at'))
  return unknown && !reason ? ['the stop signal is Unknown, and the agent does not say why'] : []
}

export const stopSignals: readonly Scenario[] = [
  {
    number: 47,
    title: 'STOPSIGNAL of the image',
    did: 'The image asks for SIGQUIT, as the one of nginx does; PID 1 takes it and exits with 0 after 1.2 s.',
    act: async (stage) => {
      const { manifests, world } = stage
      const app = manifests.shell('app', 'trap "sleep 1.2; exit 0" QUIT; sleep 3600 & wait', { image: world.images.quit })
      return [await stage.deleted(manifests.pod('app', [app]))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: { app: { ...GRACEFUL, kernel: { disposition: 'Handler', kill: 'absent', exit: 'Exited' } } },
        also: namedAsSent,
      },
    ],
  },
  {
    number: 48,
    title: 'lifecycle.stopSignal',
    did: 'With the gate ContainerStopSignals switched on, the pod asks for SIGUSR1, which the containerd of these tests does not know of: SIGTERM is sent. The app takes it and exits with 0 after 1.2 s.',
    alone: true,
    act: async (stage) => {
      const { manifests, world } = stage
      const restart = async (more: readonly string[]) => {
        for (const part of ['kube-apiserver', 'kubelet'] as const) {
          await world.cluster.killPart(part)
          await world.cluster.startPart(part, more)
        }
      }
      await restart([GATE])
      try {
        const lifecycle = { stopSignal: 'SIGUSR1' }
        const app = manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 1200 }, { lifecycle })
        const pod = await stage.run(manifests.pod('app', [app], { os: { name: 'linux' } }))
        await stage.delete(pod)
        await stage.gone(pod)
        return [pod]
      } finally {
        await restart([])
      }
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: { app: { ...GRACEFUL, kernel: { disposition: 'Handler', kill: 'absent', exit: 'Exited' } } },
        // The watches may come back from the restart of the API server while the pod ends.
        mayInform: ['EvidenceMissing'],
        also: namedAsSent,
      },
    ],
  },
  {
    number: 49,
    title: 'the preStop hook ends PID 1',
    did: 'The exec preStop sends SIGTERM to PID 1, which exits with 0, and the hook dies with the container; no stop signal is sent.',
    act: async (stage) => {
      const { manifests } = stage
      const lifecycle = { preStop: { exec: { command: ['sh', '-c', 'kill -TERM 1; sleep 5'] } } }
      const app = manifests.shell('app', 'trap "sleep 1; exit 0" TERM; sleep 3600 & wait', { lifecycle })
      return [await stage.deleted(manifests.pod('app', [app]))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: {
          app: {
            outcome: 'Graceful',
            preStop: ['Failed'],
            stopSignal: ['Unknown', 'absent'],
            code: 0,
            // Where the agent could not tell who sent what PID 1 got, the record must not say that it was no stop signal.
            measured: { stopSignal: ['absent', 'Unknown'] },
            kernel: { disposition: 'Handler', kill: 'absent', exit: 'Exited' },
          },
        },
        mayWarn: ['PreStopFailed'],
        also: unknownWithReason,
      },
    ],
  },
]
