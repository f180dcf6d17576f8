/** 9 to 11: preStop hooks of every kind, and how they can go wrong. */
import type { Scenario } from '../scenario.ts'
import { server } from './services.ts'

export const hooks: readonly Scenario[] = [
  {
    number: 9,
    title: 'preStop exec fails',
    did: 'The exec preStop exits with 1 after 500 ms; the app then takes SIGTERM and exits with 0.',
    act: async (stage) => {
      const { manifests } = stage
      const app = manifests.program('app', { ON_TERM: 'exit', EXIT_AFTER_MS: 1200 }, { lifecycle: manifests.execHook(0.5, 1) })
      return [await stage.deleted(manifests.pod('app', [app], { terminationGracePeriodSeconds: 10 }))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        warnings: ['PreStopFailed/app'],
        containers: { app: { outcome: 'Graceful', preStop: ['Failed'], stopSignal: ['Delivered', 'Unknown'], code: 0 } },
      },
    ],
  },
  {
    number: 10,
    title: 'preStop httpGet: 200, 500, connection refused',
    did: 'Three pods whose preStop is an httpGet: the server answers with 200, with 500 (which counts as success), and nobody listens.',
    act: async (stage) => {
      const hook = (path: string, port: number) => ({ lifecycle: { preStop: { httpGet: { path, port } } } })
      const pods = await Promise.all(
        [
          ['ok', hook('/hook/200', 8080)],
          ['error', hook('/hook/500', 8080)],
          ['refused', hook('/hook/200', 8081)],
        ].map(([name, lifecycle]) =>
          stage.run(
            stage.manifests.pod(String(name), [server(stage, { EXIT_AFTER_MS: 1200 }, lifecycle)], {
              terminationGracePeriodSeconds: 10,
            }),
          ),
        ),
      )
      await Promise.all(pods.map((pod) => stage.delete(pod)))
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: [
      {
        pod: /^(ok|error)$/,
        // An exit with 0 may have come of the hook as well as of the signal.
        mayMiss: ['StopSignal/app'],
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: {
          app: { outcome: 'Graceful', preStop: ['Succeeded', 'Unknown'], stopSignal: ['Delivered', 'Unknown'], code: 0 },
        },
      },
      {
        pod: /^refused$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        warnings: ['PreStopFailed/app'],
        containers: { app: { outcome: 'Graceful', preStop: ['Failed'], stopSignal: ['Delivered', 'Unknown'], code: 0 } },
      },
    ],
  },
  {
    number: 11,
    title: 'preStop sleep, shorter and longer than a shortened grace',
    did: 'Two pods with a grace of 30 s in their spec: one with a preStop sleep of 3 s is deleted with a grace of 8 s, one with a sleep of 12 s with a grace of 5 s; both ignore SIGTERM.',
    act: async (stage) => {
      const { manifests } = stage
      const pods = await Promise.all(
        [
          { name: 'shorter', seconds: 3 },
          { name: 'longer', seconds: 12 },
        ].map(({ name, seconds }) => {
          const lifecycle = { preStop: { sleep: { seconds } } }
          return stage.run(manifests.pod(name, [manifests.command('app', ['sleep', '3600'], { lifecycle })]))
        }),
      )
      const [shorter, longer] = pods
      await Promise.all([stage.delete(shorter, { gracePeriodSeconds: 8 }), stage.delete(longer, { gracePeriodSeconds: 5 })])
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: [
      {
        pod: /^shorter$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['GraceExhausted/app'],
        measured: { warnings: ['GraceExhausted/app', 'StopSignalIgnored/app'] },
        containers: {
          app: {
            outcome: 'ForcedKill',
            preStop: ['Succeeded', 'Unknown'],
            stopSignal: ['Ignored', 'Unknown'],
            kill: ['Runtime'],
            code: 137,
          },
        },
      },
      {
        pod: /^longer$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings: ['PreStopOverran/app'],
        measured: { warnings: ['PreStopOverran/app', 'StopSignalIgnored/app'] },
        containers: {
          app: { outcome: 'ForcedKill', preStop: ['Overran'], stopSignal: ['Ignored', 'Unknown'], kill: ['Runtime'], code: 137 },
        },
      },
    ],
  },
]
