/** 34 to 42: what becomes of the stop signal where the program is not PID 1, or PID 1 will not have it. */

import type { Raw } from '../api.ts'
import { MOUNT } from '../manifests.ts'
import type { Expectation, ExpectedContainer, ExpectedKernel, Scenario } from '../scenario.ts'
import type { Stage } from '../stage.ts'

const GRACE = 5
const POLITE = { ON_TERM: 'exit', EXIT_AFTER_MS: 300 }

interface Story {
  readonly number: number
  readonly title: string
  readonly did: string
  readonly container: (stage: Stage) => Raw
  readonly app: ExpectedContainer
  readonly kernel: ExpectedKernel
  readonly more?: Partial<Expectation>
}

function story({ number, title, did, container, app, kernel, more }: Story): Scenario {
  return {
    number,
    title,
    did,
    act: async (stage) => {
      return [await stage.deleted(stage.manifests.pod('app', [container(stage)], { terminationGracePeriodSeconds: GRACE }))]
    },
    expect: [{ pod: /^app$/, cause: 'Deleted', outcome: app.outcome, containers: { app: { ...app, kernel } }, ...more }],
  }
}

/** A package whose start script is this, in a folder of the container's own. */
function packaged({ manifests }: Stage, starter: string, script: string): Raw {
  // npm asks its registry for news of itself, which pods do not reach, and does not end while it tries again.
  const app = manifests.program('app', { ...POLITE, npm_config_update_notifier: 'false' })
  const json = JSON.stringify({ name: 'app', version: '1.0.0', license: 'MIT', scripts: { start: script } })
  return { ...app, command: ['sh', '-c', `mkdir /app && cd /app && echo '${json}' > package.json && exec ${starter}`] }
}

const start = `node ${MOUNT}/bin/workload.mjs`
const FORCED: ExpectedContainer = { outcome: 'ForcedKill', stopSignal: ['Delivered', 'Unknown'], kill: ['Runtime'], code: 137 }
const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }
const EXHAUSTED = { warnings: ['GraceExhausted/app'] }

export const parents: readonly Scenario[] = [
  story({
    number: 34,
    title: 'PID 1 is told to ignore the signal',
    did: 'PID 1 is `sleep`, started by a shell with `trap "" TERM`: it inherits that SIGTERM is ignored; grace 5 s.',
    container: ({ manifests }) => manifests.shell('app', 'trap "" TERM; exec sleep 3600'),
    app: { ...FORCED, stopSignal: ['Ignored', 'Unknown'] },
    kernel: { disposition: 'Ignored', passedOn: 'NothingBelow', kill: 'Runtime', exit: 'Killed' },
    more: { ...EXHAUSTED, measured: { warnings: ['StopSignalIgnored/app', 'GraceExhausted/app'] } },
  }),
  story({
    number: 35,
    title: 'PID 1 takes the signal and keeps it',
    did: 'PID 1 is a shell with a trap for SIGTERM that goes on waiting for its child, a program that would end at SIGTERM; grace 5 s.',
    container: ({ manifests }) => {
      const app = manifests.program('app', POLITE)
      return { ...app, command: ['sh', '-c', `trap : TERM; ${app.command.join(' ')} & wait; wait`] }
    },
    app: FORCED,
    kernel: { disposition: 'Handler', passedOn: 'NotPassedOn', kill: 'Runtime', exit: 'Killed', leftBehind: true },
    more: { ...EXHAUSTED, measured: { warnings: ['StopSignalNotForwarded/app', 'GraceExhausted/app'] } },
  }),
  story({
    number: 36,
    title: 'npm start',
    did: 'PID 1 is npm; its start script is one command, the program, which takes SIGTERM and exits with 0.',
    container: (stage) => packaged(stage, 'npm start', start),
    app: GRACEFUL,
    kernel: { disposition: 'Handler', passedOn: 'PassedOn', kill: 'absent', exit: 'Exited', leftBehind: false },
  }),
  story({
    number: 37,
    title: 'npm start, with a shell in between',
    did: 'PID 1 is npm; its start script is two commands, so that a shell stands between npm and the program: it dies of the SIGTERM that npm passes on, and npm exits with 1.',
    container: (stage) => packaged(stage, 'npm start', `true && ${start}; true`),
    app: { outcome: 'Failed', stopSignal: ['Delivered', 'Unknown'], code: 1 },
    kernel: { disposition: 'Handler', passedOn: 'PassedOn', kill: 'absent', exit: 'Exited', leftBehind: true },
    // Without the agent an exit with 1 in the second of the signal could as well be a crash.
    more: { mayMiss: ['StopSignal'] },
  }),
  story({
    number: 38,
    title: 'yarn start',
    did: 'PID 1 is yarn; its start script is the program, which takes SIGTERM and exits with 0 after 300 ms.',
    container: (stage) => packaged(stage, 'yarn start', start),
    app: { outcome: 'Failed', stopSignal: ['Delivered', 'Unknown'], code: 1 },
    kernel: { disposition: 'Handler', passedOn: 'PassedOn', kill: 'absent', exit: 'Exited', leftBehind: true },
    // Without the agent an exit with 1 in the second of the signal could as well be a crash.
    more: { mayMiss: ['StopSignal'] },
  }),
  story({
    number: 39,
    title: 'tini in front',
    did: 'PID 1 is tini, which passes SIGTERM on to the program; that exits with 0.',
    container: ({ manifests }) => ({
      ...manifests.program('app', POLITE),
      command: manifests.programCommand('workload.mjs', `${MOUNT}/bin/tini`, '--'),
    }),
    app: GRACEFUL,
    kernel: { disposition: 'Blocked', passedOn: 'PassedOn', kill: 'absent', exit: 'Exited', leftBehind: false },
  }),
  story({
    number: 40,
    title: 'a program passes the signal on',
    did: 'PID 1 is a program that passes SIGTERM on to its child and ends with it.',
    container: ({ manifests }) => ({
      ...manifests.program('app', { ...POLITE, FORWARD_AFTER_MS: 0 }),
      command: manifests.programCommand('parent.mjs'),
    }),
    app: GRACEFUL,
    kernel: { disposition: 'Handler', passedOn: 'PassedOn', kill: 'absent', exit: 'Exited', leftBehind: false },
  }),
  story({
    number: 41,
    title: 'passed on too late',
    did: 'PID 1 passes SIGTERM on 4.4 s after it got it, 0.6 s before SIGKILL; the child would need 2 s.',
    container: ({ manifests }) => ({
      ...manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 2000, FORWARD_AFTER_MS: 4400 }),
      command: manifests.programCommand('parent.mjs'),
    }),
    app: FORCED,
    kernel: { disposition: 'Handler', passedOn: 'PassedOn', kill: 'Runtime', exit: 'Killed', leftBehind: true },
    more: EXHAUSTED,
  }),
  story({
    number: 42,
    title: 'PID 1 exits before its child',
    did: 'PID 1 takes SIGTERM, passes nothing on and exits with 0 after 1.2 s; the kernel kills the child it leaves behind.',
    container: ({ manifests }) => ({
      ...manifests.program('app', { ...POLITE, LEAVE_AFTER_MS: 1200 }),
      command: manifests.programCommand('parent.mjs'),
    }),
    app: GRACEFUL,
    kernel: { disposition: 'Handler', passedOn: 'NotPassedOn', kill: 'absent', exit: 'Exited', leftBehind: true },
    more: { measured: { infos: ['ProcessesLeftBehind'] } },
  }),
]
