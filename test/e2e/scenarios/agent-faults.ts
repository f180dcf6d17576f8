/** 52 to 54: the agent, the runtime or the API server is away while pods end. */
import type { Scenario } from '../scenario.ts'
import { FINALIZER, type Stage } from '../stage.ts'

const AWAY_SECONDS = 60
/** Controller, kubelet and agent have found the API server again by then: none waits longer than 10 s between two tries. */
const BACK_SECONDS = 30

function deaf(stage: Stage, grace: number) {
  const { manifests } = stage
  return manifests.pod('app', [manifests.command('app', ['sleep', '3600'])], { terminationGracePeriodSeconds: grace })
}

const FORCED = {
  outcome: 'ForcedKill',
  stopSignal: ['Ignored', 'Unknown'],
  kill: ['Runtime'],
  code: 137,
  kernel: { kill: 'Runtime', exit: 'Killed' },
} as const

export const agentFaults: readonly Scenario[] = [
  {
    number: 52,
    title: 'agent killed -9 in mid-termination',
    did: 'A pod without a handler (grace 12 s) is deleted; 6.5 s later the agent is killed with SIGKILL, and the kubelet starts it again.',
    alone: true,
    agentOnly: true,
    act: async (stage) => {
      const pod = await stage.run(deaf(stage, 12))
      await stage.delete(pod)
      await stage.pass(6.5)
      await stage.world.agent?.kill()
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'],
        containers: { app: FORCED },
        // Written before the kill, or in the gap: what the agent says of it has to be right, and the gap has to be stated.
        unmeasured: ['StopSignal/app'],
        mayInform: ['EvidenceMissing'],
      },
    ],
  },
  {
    number: 53,
    title: 'containerd restarted in mid-termination',
    did: 'A pod without a handler (grace 8 s) is deleted; 2 s later containerd is restarted.',
    alone: true,
    agentOnly: true,
    act: async (stage) => {
      const pod = await stage.run(deaf(stage, 8))
      await stage.delete(pod)
      await stage.pass(2)
      await stage.world.cluster.restartPart('containerd')
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'],
        mayWarn: ['StuckTerminating'],
        containers: { app: FORCED },
      },
    ],
  },
  {
    number: 54,
    title: 'API server away for 60 s while a pod ends',
    did: 'A pod with a finalizer (grace 100 s) is deleted, a second later the API server is killed and stays away for 60 s; meanwhile the app, which took SIGTERM, exits with 0.',
    alone: true,
    agentOnly: true,
    act: async (stage) => {
      const { manifests, world } = stage
      const app = manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 5000 })
      const spec = manifests.pod('app', [app], { terminationGracePeriodSeconds: 100 }, { finalizers: [FINALIZER] })
      const pod = await stage.run(spec)
      await stage.delete(pod)
      await stage.pass(1)
      await world.cluster.killPart('kube-apiserver')
      await stage.pass(AWAY_SECONDS)
      await world.cluster.startPart('kube-apiserver')
      // Without the finalizer the object could be gone before the controller's watch is back, and its exit code with it.
      await stage.pass(BACK_SECONDS)
      await stage.release(pod)
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: {
          app: { outcome: 'Graceful', stopSignal: ['Delivered'], code: 0, kernel: { kill: 'absent', exit: 'Exited' } },
        },
        mayInform: ['EvidenceMissing'],
      },
    ],
  },
]
