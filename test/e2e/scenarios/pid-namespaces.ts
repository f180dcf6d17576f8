/** 50 and 51: containers whose process is no PID 1, so that it ends of a signal that it has no handler for. */
import type { ExpectedContainer, Scenario } from '../scenario.ts'

const SIGNALLED: ExpectedContainer = { outcome: 'Signalled', stopSignal: ['Delivered', 'Unknown'], code: 143 }
const FORCED: ExpectedContainer = { outcome: 'ForcedKill', stopSignal: ['Ignored', 'Unknown'], kill: ['Runtime'], code: 137 }

function shared(number: number, title: string, did: string, spec: object, pidNamespace: 'Pod' | 'Node'): Scenario {
  return {
    number,
    title,
    did,
    act: async (stage) => {
      const { manifests } = stage
      const containers = [manifests.command('app', ['sleep', '3600']), manifests.shell('deaf', 'trap "" TERM; exec sleep 3600')]
      return [await stage.deleted(manifests.pod('app', containers, { terminationGracePeriodSeconds: 4, ...spec }))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/deaf'],
        measured: { warnings: ['GraceExhausted/deaf', 'StopSignalIgnored/deaf'] },
        containers: {
          app: { ...SIGNALLED, kernel: { pidNamespace, disposition: 'Default', kill: 'absent', exit: 'Killed' } },
          deaf: { ...FORCED, kernel: { pidNamespace, disposition: 'Ignored', kill: 'Runtime', exit: 'Killed' } },
        },
      },
    ],
  }
}

export const pidNamespaces: readonly Scenario[] = [
  shared(
    50,
    'shareProcessNamespace',
    'The containers share one PID namespace, whose PID 1 is the pause process: `sleep` without a handler ends of SIGTERM, and one that ignores it is killed after 4 s.',
    { shareProcessNamespace: true },
    'Pod',
  ),
  shared(
    51,
    'hostPID',
    'The containers have the process ids of the node: `sleep` without a handler ends of SIGTERM, and one that ignores it is killed after 4 s.',
    { hostPID: true },
    'Node',
  ),
]
