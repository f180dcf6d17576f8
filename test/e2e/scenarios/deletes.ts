/** 12 to 15: deletes that are not plain, and containers that end in other ways than by the stop signal. */
import type { Raw } from '../api.ts'
import type { ExpectedContainer, Scenario } from '../scenario.ts'

const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }

/** A limit that the program reaches a moment after it begins to eat. */
const SMALL = { resources: { requests: { cpu: '1m', memory: '8Mi' }, limits: { memory: '160Mi' } } }

export const deletes: readonly Scenario[] = [
  {
    number: 12,
    title: 'force delete (grace 0)',
    did: 'A pod whose app would exit with 0 at SIGTERM is deleted with grace 0: the object is gone at once, the kubelet stops the container after.',
    act: async (stage) => {
      const pod = await stage.run(
        stage.manifests.pod('app', [stage.manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 300 })]),
      )
      await stage.delete(pod, { gracePeriodSeconds: 0 })
      await stage.gone(pod)
      // The kubelet ends the container only now; without this its end would be no part of the truth.
      await stage.pass(3)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'ForceDeleted',
        outcome: 'Lost',
        infos: ['EvidenceMissing'],
        // The kernel saw the process exit, but nobody saw with which code.
        measured: { outcome: 'Unknown', infos: [], mayInform: ['EvidenceMissing'] },
        containers: { app: { outcome: 'Lost', stopSignal: ['Unknown', 'absent'], measured: { outcome: 'Unknown' } } },
        mayMiss: ['StopSignal', 'ContainerExited'],
      },
    ],
  },
  {
    number: 13,
    title: 'delete, then delete with a shorter grace',
    did: 'A pod that ignores SIGTERM is deleted with a grace of 8 s, and 1 s later again with 3 s; the kill in flight is not shortened.',
    act: async (stage) => {
      const { manifests } = stage
      const app = manifests.command('app', ['sleep', '3600'])
      const pod = await stage.run(manifests.pod('app', [app], { terminationGracePeriodSeconds: 8 }))
      await stage.delete(pod)
      await stage.pass(1)
      await stage.shorten(pod, 3)
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app'],
        infos: ['GraceShortened'],
        measured: { warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'] },
        containers: { app: { outcome: 'ForcedKill', stopSignal: ['Ignored', 'Unknown'], kill: ['Runtime'], code: 137 } },
      },
    ],
  },
  {
    number: 14,
    title: 'OOM kill before and during termination',
    did: 'One container runs out of memory at SIGTERM; one was killed for it earlier, was restarted and then ends gracefully; of one a child was killed for it and PID 1 ends gracefully.',
    act: async (stage) => {
      const { manifests } = stage
      const during = manifests.program('app', { ON_TERM: 'ignore', EAT_ON_TERM: 1, EXIT_AFTER_MS: 1200 }, SMALL)
      const before = manifests.program('app', { ON_TERM: 'exit' }, SMALL)
      const child = manifests.program('app', { ON_TERM: 'exit' }, SMALL)
      // The first run finds no mark of an earlier one and eats; the second finds it.
      const eatOnce = `if ! [ -e /gracewatch-e2e/words/$POD_UID.ate ]; then touch /gracewatch-e2e/words/$POD_UID.ate; export EAT_AFTER_MS=1; fi; exec ${before.command.join(' ')}`
      const eatInChild = `EAT_AFTER_MS=1 ${child.command.join(' ')} & exec ${child.command.join(' ')}`
      const [one, two, three] = await Promise.all([
        stage.run(manifests.pod('during', [during], { terminationGracePeriodSeconds: 20 })),
        (async () => {
          await stage.create(manifests.pod('restarted', [{ ...before, command: ['sh', '-c', eatOnce] }]))
          return stage.until('restarted', 'running again after its OOM kill', ({ status }) => {
            const app: Raw = status?.containerStatuses?.[0]
            return app?.restartCount > 0 && app.state.running
          })
        })(),
        stage.run(manifests.pod('child', [{ ...child, command: ['sh', '-c', eatInChild] }])),
      ])
      await stage.pass(2)
      const pods = [one, two, three]
      await Promise.all(pods.map((pod) => stage.delete(pod)))
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: [
      {
        pod: /^during$/,
        cause: 'Deleted',
        outcome: 'OOMKilled',
        containers: { app: { outcome: 'OOMKilled', stopSignal: ['Delivered', 'Unknown'], kill: ['OOM'], code: 137 } },
        // The exit code and the reason say so, but not when, nor that it was PID 1 that the kernel took.
        mayMiss: ['Kill'],
      },
      { pod: /^(restarted|child)$/, cause: 'Deleted', outcome: 'Graceful', containers: { app: GRACEFUL } },
    ],
  },
  {
    number: 15,
    title: 'crash just before the delete',
    did: 'The app exits with 3 by itself; the pod is deleted while the container waits for its next start.',
    act: async (stage) => {
      const { manifests } = stage
      await stage.create(manifests.pod('app', [manifests.program('app', { EXIT_WITHOUT_TERM_MS: 300, EXIT_CODE: 3 })]))
      const pod = await stage.until('app', 'crashed twice', ({ status }) => {
        const app: Raw = status?.containerStatuses?.[0]
        return app?.restartCount > 0 && app.state.running === undefined
      })
      await stage.delete(pod)
      await stage.gone(pod)
      return [pod]
    },
    expect: [{ pod: /^app$/, cause: 'Deleted', outcome: 'Failed', containers: { app: { outcome: 'Failed', code: 3 } } }],
  },
]
