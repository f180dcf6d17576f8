/** 4 to 8: what PID 1 does with the stop signal. */
import type { Expectation, ExpectedContainer, Scenario } from '../scenario.ts'
import type { Stage } from '../stage.ts'

/** One pod with one container, deleted once it runs. */
function oneContainer(
  number: number,
  title: string,
  did: string,
  container: (stage: Stage) => unknown,
  expected: ExpectedContainer,
  more: Partial<Expectation> = {},
): Scenario {
  return {
    number,
    title,
    did,
    act: async (stage) => {
      return [await stage.deleted(stage.manifests.pod('app', [container(stage)], { terminationGracePeriodSeconds: 5 }))]
    },
    expect: [{ pod: /^app$/, cause: 'Deleted', outcome: expected.outcome, containers: { app: expected }, ...more }],
  }
}

const EXHAUSTED = { warnings: ['GraceExhausted/app'] }
const IGNORED = { ...EXHAUSTED, measured: { warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'] } }
const KILLED: ExpectedContainer = { outcome: 'ForcedKill', stopSignal: ['Delivered', 'Unknown'], kill: ['Runtime'], code: 137 }

export const signals: readonly Scenario[] = [
  oneContainer(
    4,
    'a parent shell does not pass the signal on',
    'PID 1 is a shell that waits for its child, a program that would end at SIGTERM; the pod (grace 5 s) is deleted.',
    ({ manifests }) => {
      const app = manifests.program('app', { ON_TERM: 'exit' })
      return { ...app, command: ['sh', '-c', `${app.command.join(' ')} & wait`] }
    },
    { ...KILLED, stopSignal: ['Ignored', 'Unknown'] },
    IGNORED,
  ),
  oneContainer(
    5,
    'graceful exit 0',
    'The app takes SIGTERM, says so and exits with 0.',
    ({ manifests }) => manifests.program('app', { ON_TERM: 'exit', TICK_MS: 50 }),
    { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 },
  ),
  oneContainer(
    6,
    'PID 1 ignores the signal',
    'PID 1 is `sleep`, which sets no handler, so the kernel drops SIGTERM; grace 5 s.',
    ({ manifests }) => manifests.command('app', ['sleep', '3600']),
    { ...KILLED, stopSignal: ['Ignored', 'Unknown'] },
    IGNORED,
  ),
  oneContainer(
    7,
    'exits 143',
    'The app takes SIGTERM and exits with 143, as the JVM and many shells do.',
    ({ manifests }) => manifests.program('app', { ON_TERM: 'exit', EXIT_CODE: 143 }),
    { outcome: 'Signalled', stopSignal: ['Delivered', 'Unknown'], code: 143 },
  ),
  oneContainer(
    8,
    'exits 1 on SIGTERM',
    'The app takes SIGTERM and exits with 1 after 1.2 s.',
    // Within the second of the signal it could as well have crashed by itself.
    ({ manifests }) => manifests.program('app', { ON_TERM: 'exit', EXIT_CODE: 1, EXIT_AFTER_MS: 1200 }),
    { outcome: 'Failed', stopSignal: ['Delivered', 'Unknown'], code: 1 },
  ),
]
