/** 16 to 18, 23 and 24: pods of more than one container. */
import type { Raw } from '../api.ts'
import type { ExpectedContainer, Scenario } from '../scenario.ts'
import type { Stage } from '../stage.ts'

const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }
const FORCED: ExpectedContainer = { outcome: 'ForcedKill', stopSignal: ['Ignored', 'Unknown'], kill: ['Runtime'], code: 137 }
/** A shell that ends at SIGTERM at once; its child would keep it from its trap if it did not wait for it. */
const POLITE = 'trap "exit 0" TERM; sleep 3600 & wait'

async function deleteAndSee(stage: Stage, pod: Raw): Promise<readonly Raw[]> {
  await stage.delete(pod)
  await stage.gone(pod)
  return [pod]
}

export const manyContainers: readonly Scenario[] = [
  {
    number: 16,
    title: 'sidecars end in reverse order, one of them is killed',
    did: 'Two sidecars beside an app that needs 200 ms: the second is signalled once the app is gone, the first after the second; the first has no handler and is killed.',
    act: async (stage) => {
      const { manifests } = stage
      const pod = await stage.run(
        manifests.pod('app', [manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 200 })], {
          terminationGracePeriodSeconds: 5,
          initContainers: [
            manifests.command('first', ['sleep', '3600'], { restartPolicy: 'Always' }),
            manifests.shell('second', POLITE, { restartPolicy: 'Always' }),
          ],
        }),
      )
      return deleteAndSee(stage, pod)
    },
    expect: [
      { pod: /^app$/, cause: 'Deleted', outcome: 'Graceful', containers: { app: GRACEFUL, first: FORCED, second: GRACEFUL } },
    ],
  },
  {
    number: 17,
    title: 'three containers with different ends',
    did: 'Of three containers one exits with 0 at SIGTERM, one has no handler and is killed after 4 s, one ends last: a preStop sleep of 3 s, then 143 after 1.2 s.',
    act: async (stage) => {
      const { manifests } = stage
      const pod = await stage.run(
        manifests.pod(
          'app',
          [
            manifests.shell('zero', POLITE),
            manifests.program(
              'term',
              { ON_TERM: 'exit', EXIT_CODE: 143, EXIT_AFTER_MS: 1200 },
              { lifecycle: { preStop: { sleep: { seconds: 3 } } } },
            ),
            manifests.command('deaf', ['sleep', '3600']),
          ],
          { terminationGracePeriodSeconds: 4 },
        ),
      )
      return deleteAndSee(stage, pod)
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/deaf', 'GraceNearlyExhausted/term'],
        measured: { warnings: ['GraceExhausted/deaf', 'GraceNearlyExhausted/term', 'StopSignalIgnored/deaf'] },
        containers: {
          zero: GRACEFUL,
          term: { outcome: 'Signalled', preStop: ['Succeeded', 'Unknown'], stopSignal: ['Delivered', 'Unknown'], code: 143 },
          deaf: FORCED,
        },
      },
    ],
  },
  {
    number: 18,
    title: 'twelve containers (events get combined)',
    did: 'A pod of twelve containers that exit with 0 at SIGTERM: the Events of their start have used up what the kubelet may send about one pod, so their Killing Events are combined or dropped.',
    act: async (stage) => {
      const names = Array.from({ length: 12 }, (_, index) => `c${String(index + 1).padStart(2, '0')}`)
      const pod = await stage.run(
        stage.manifests.pod(
          'app',
          names.map((name) => stage.manifests.shell(name, POLITE)),
        ),
      )
      return deleteAndSee(stage, pod)
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: Object.fromEntries(
          Array.from({ length: 12 }, (_, index) => [`c${String(index + 1).padStart(2, '0')}`, GRACEFUL]),
        ),
        // The start of so many containers has used up what the kubelet may send about one pod: no Killing event comes.
        mayInform: ['EvidenceMissing'],
        mayMiss: ['StopSignal'],
      },
    ],
  },
  {
    number: 23,
    title: 'init container running when deleted',
    did: 'A pod is deleted while its init container, which has no handler, still runs; grace 4 s.',
    act: async (stage) => {
      const { manifests } = stage
      await stage.create(
        manifests.pod('app', [manifests.command('app', ['sleep', '3600'])], {
          terminationGracePeriodSeconds: 4,
          initContainers: [manifests.command('setup', ['sleep', '3600'])],
        }),
      )
      const pod = await stage.until(
        'app',
        'init container running',
        ({ status }) => status?.initContainerStatuses?.[0]?.state.running,
      )
      return deleteAndSee(stage, pod)
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        containers: { setup: FORCED, app: { outcome: 'NeverStarted' } },
      },
    ],
  },
  {
    number: 24,
    title: 'ephemeral container present',
    did: 'A pod whose app ends at SIGTERM has an ephemeral container without a handler, which is killed when the grace of 4 s is over.',
    act: async (stage) => {
      const { manifests } = stage
      await stage.run(manifests.pod('app', [manifests.shell('app', POLITE)], { terminationGracePeriodSeconds: 4 }))
      const { resources: _, ...debug } = manifests.command('debug', ['sleep', '3600'])
      await stage.world.api.patch(`${stage.path('Pod', 'app')}/ephemeralcontainers`, { spec: { ephemeralContainers: [debug] } })
      const pod = await stage.until(
        'app',
        'ephemeral container running',
        ({ status }) => status?.ephemeralContainerStatuses?.[0]?.state.running,
      )
      return deleteAndSee(stage, pod)
    },
    expect: [{ pod: /^app$/, cause: 'Deleted', outcome: 'Graceful', containers: { app: GRACEFUL, debug: FORCED } }],
  },
]
