/** 30 and 31: what happens to the endpoints of a pod that ends. */
import type { Raw } from '../api.ts'
import type { Scenario } from '../scenario.ts'

/** Serves on 8080, is ready within half a second, and fails its probe once the signal came if `unready` is set. */
export function server(
  stage: { manifests: { program: (name: string, env: Raw, more: Raw) => Raw } },
  env: Raw = {},
  more: Raw = {},
): Raw {
  return stage.manifests.program(
    'app',
    { ON_TERM: 'exit', EXIT_AFTER_MS: 300, PORT: 8080, TICK_MS: 50, ...env },
    { readinessProbe: { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 1, failureThreshold: 1 }, ...more },
  )
}

const rollingUpdate: Scenario = {
  number: 31,
  title: 'rolling update of 3 replicas',
  did: 'A Deployment of 3 behind a Service gets a new template; each of the three old pods ends gracefully with a preStop sleep of 1 s.',
  act: async (stage) => {
    const { manifests } = stage
    const app = server(stage, { EXIT_AFTER_MS: 1200 }, { lifecycle: { preStop: { sleep: { seconds: 1 } } } })
    const spec = manifests.podSpec([app], { terminationGracePeriodSeconds: 15 })
    await stage.create(manifests.service('web', 'web'), manifests.deployment('web', 3, spec))
    const pods = await stage.ready('web', 3)
    for (const pod of pods) await stage.endpointReady('web', pod.metadata.uid)
    const call = await stage.world.api.patch(stage.path('Deployment', 'web'), {
      spec: { template: { metadata: { annotations: { revision: '2' } } } },
    })
    // The controllers delete the pods later, one after the other: only the start is the test's own.
    for (const pod of pods) stage.noteAction(pod, 'end', { sentAt: call.sentAt, answeredAt: Number.POSITIVE_INFINITY })
    for (const pod of pods) await stage.gone(pod)
    return pods
  },
  expect: [
    {
      pod: /^web-/,
      cause: 'Deleted',
      outcome: 'Graceful',
      infos: ['NoDrainTime'],
      workload: 'Deployment/web',
      containers: {
        app: { outcome: 'Graceful', preStop: ['Succeeded', 'Unknown'], stopSignal: ['Delivered', 'Unknown'], code: 0 },
      },
    },
  ],
}

const CONTAINERS = { app: { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 } } as const

export const services: readonly Scenario[] = [
  {
    number: 30,
    title: 'Service endpoints: readiness fails on the signal, two Services, publishNotReadyAddresses',
    did: 'A pod behind two Services fails its readiness probe from the signal on and exits 3 s later; another stands behind a Service with publishNotReadyAddresses.',
    act: async (stage) => {
      const { manifests } = stage
      const failing = server(stage, { UNREADY_ON_TERM: 1, EXIT_AFTER_MS: 3000 })
      const published = server(stage, { EXIT_AFTER_MS: 0 })
      await stage.create(
        manifests.service('one', 'failing'),
        manifests.service('two', 'failing'),
        manifests.service('published', 'published', { publishNotReadyAddresses: true }),
      )
      const pods = await Promise.all([
        stage.run(manifests.pod('failing', [failing], {}, { labels: { app: 'failing' } })),
        stage.run(manifests.pod('published', [published], {}, { labels: { app: 'published' } })),
      ])
      const [first, second] = pods
      await stage.endpointReady('one', first.metadata.uid)
      await stage.endpointReady('two', first.metadata.uid)
      await stage.endpointReady('published', second.metadata.uid)
      await Promise.all(pods.map((pod) => stage.delete(pod)))
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: [
      {
        pod: /^failing$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        infos: ['NoDrainTime', 'NoDrainTime'],
        containers: CONTAINERS,
        also: ({ endpoints = [] }) =>
          ['one', 'two'].flatMap((service) => {
            const end = endpoints.find((it) => it.service === service)
            return end?.notReadyAt && end.notServingAt && end.removedAt ? [] : [`endpoint of Service ${service} lacks a time`]
          }),
      },
      {
        pod: /^published$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        warnings: ['EndpointReadyAtStopSignal/published'],
        containers: CONTAINERS,
        also: ({ endpoints = [] }) =>
          endpoints[0]?.readyAtStopSignal === 'True' ? [] : ['the endpoint is not said to have been ready at the stop signal'],
      },
    ],
  },
  rollingUpdate,
]
