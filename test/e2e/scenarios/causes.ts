/** 19 to 22 and 25: who ended the pod, where that was no plain delete of it. */
import type { Raw } from '../api.ts'
import type { ExpectedContainer, Scenario } from '../scenario.ts'

const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }
const POLITE = { ON_TERM: 'exit' }

/** On the only node: the controller has to stand it, or it would have to go as well. */
const TAINT = 'gracewatch-e2e/out'

export const causes: readonly Scenario[] = [
  {
    number: 19,
    title: 'eviction API (drain)',
    did: 'The pod is evicted through the API, as `kubectl drain` does it.',
    act: async (stage) => {
      const pod = await stage.run(stage.manifests.pod('app', [stage.manifests.program('app', POLITE)]))
      await stage.evict(pod)
      await stage.gone(pod)
      return [pod]
    },
    expect: [{ pod: /^app$/, cause: 'EvictedByAPI', outcome: 'Graceful', containers: { app: GRACEFUL } }],
  },
  {
    number: 20,
    title: 'activeDeadlineSeconds',
    did: 'The pod may live for 4 s; the kubelet stops it then, and the object stays, Failed, until somebody deletes it.',
    act: async (stage) => {
      const { manifests } = stage
      // Without a restart policy of Always an exit within the second of the signal could as well be the app's own.
      const app = manifests.program('app', { ...POLITE, EXIT_AFTER_MS: 1200 })
      const pod = await stage.run(manifests.pod('app', [app], { activeDeadlineSeconds: 4, restartPolicy: 'Never' }))
      await stage.until('app', 'stopped by its deadline', ({ status }) => status?.containerStatuses?.[0]?.state.terminated)
      return [pod]
    },
    expect: [{ pod: /^app$/, cause: 'DeadlineExceeded', outcome: 'Graceful', containers: { app: GRACEFUL } }],
  },
  {
    number: 21,
    title: 'NoExecute taint',
    did: 'The node gets a NoExecute taint that the pod does not tolerate.',
    alone: true,
    act: async (stage) => {
      const { world } = stage
      await world.controller?.tolerate(TAINT)
      const node = `/api/v1/nodes/${world.cluster.nodeName}`
      const pod = await stage.run(stage.manifests.pod('app', [stage.manifests.program('app', POLITE)]))
      const { taints = [] } = (await world.api.get(node)).spec
      const call = await world.api.patch(node, { spec: { taints: [...taints, { key: TAINT, effect: 'NoExecute' }] } }, 'merge')
      try {
        stage.noteAction(pod, 'end', { sentAt: call.sentAt, answeredAt: Number.POSITIVE_INFINITY })
        await stage.gone(pod)
      } finally {
        await world.api.patch(node, { spec: { taints } }, 'merge')
        await world.controller?.tolerate(undefined)
      }
      return [pod]
    },
    expect: [{ pod: /^app$/, cause: 'Tainted', outcome: 'Graceful', containers: { app: GRACEFUL } }],
  },
  {
    number: 22,
    title: 'never started (image cannot be pulled)',
    did: 'The image does not exist; the pod is deleted while its container still waits for it.',
    act: async (stage) => {
      const app = {
        ...stage.manifests.command('app', ['sleep', '3600']),
        imagePullPolicy: 'Never',
        image: 'localhost/gracewatch-e2e/no-such-image:1',
      }
      await stage.create(stage.manifests.pod('app', [app]))
      const pod = await stage.until('app', 'its image not found', ({ status }) => {
        const waiting: Raw = status?.containerStatuses?.[0]?.state.waiting
        return /^ErrImage/.test(waiting?.reason ?? '')
      })
      await stage.delete(pod)
      await stage.gone(pod)
      return [pod]
    },
    expect: [{ pod: /^app$/, cause: 'Deleted', outcome: 'NeverStarted', containers: { app: { outcome: 'NeverStarted' } } }],
  },
  {
    number: 25,
    title: 'namespace deletion',
    did: "The pod's namespace is deleted: the kubelet's events are refused, and the record goes into Gracewatch's own namespace.",
    act: async (stage) => {
      const pod = await stage.run(stage.manifests.pod('app', [stage.manifests.program('app', POLITE)]))
      const call = await stage.world.api.delete(`/api/v1/namespaces/${stage.namespace}`)
      stage.noteAction(pod, 'end', { sentAt: call.sentAt, answeredAt: Number.POSITIVE_INFINITY })
      await stage.gone(pod)
      return [pod]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        infos: ['EvidenceMissing'],
        containers: { app: GRACEFUL },
        ownNamespace: true,
        // Without the Killing event an exit in that second could as well be the app's own.
        mayMiss: ['StopSignal'],
      },
    ],
  },
]
