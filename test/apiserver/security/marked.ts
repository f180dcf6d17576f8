/** Pods that carry marks wherever a workload can write something of its own, and a search for them in what somebody is shown. */

/** Begins with a letter and is a name, a label, a header and a path alike. */
export class Marks {
  readonly #word: string
  readonly planted = new Set<string>()

  constructor(word: string) {
    this.#word = word
  }

  /** A text of its own for this place. */
  at(place: string): string {
    const mark = `${this.#word}-${place}`
    this.planted.add(mark)
    return mark
  }

  /** Marks that stand in a text, also in part, or encoded as Secrets and URLs are. */
  in(text: string): string[] {
    const found = [...text.matchAll(new RegExp(`${this.#word}[-a-z0-9]*`, 'gi'))].map(([mark]) => mark)
    // What a word becomes in base64 depends on where in three bytes it begins; its ends hold parts of what is beside it.
    const encoded = [0, 1, 2].map((shift) =>
      Buffer.from(`${'.'.repeat(shift)}${this.#word}`)
        .toString('base64')
        .replace(/=+$/, '')
        .slice(shift === 0 ? 0 : 4, -2),
    )
    return [...new Set([...found, ...encoded.filter((it) => text.includes(it)).map((it) => `base64 ${it}`)])]
  }
}

const IMAGE = 'registry.invalid/none:1'

/** A container with marks in all that it is told. */
function container(name: string, marks: Marks, preStop: object): object {
  const mark = (place: string) => marks.at(`${name}-${place}`)
  const probe = (place: string) => ({
    httpGet: {
      path: `/${mark(`${place}-path`)}`,
      port: 8080,
      host: mark(`${place}-host`),
      httpHeaders: [{ name: 'Authorization', value: mark(`${place}-header`) }],
    },
  })
  return {
    name,
    image: IMAGE,
    command: ['/app', mark('command')],
    args: ['--password', mark('args')],
    workingDir: `/${mark('working-dir')}`,
    env: [
      { name: 'PASSWORD', value: mark('env-value') },
      { name: mark('env-name'), value: 'x' },
      { name: 'KEY', valueFrom: { secretKeyRef: { name: mark('secret-name'), key: mark('secret-key'), optional: true } } },
      { name: 'MAP', valueFrom: { configMapKeyRef: { name: mark('map-name'), key: mark('map-key'), optional: true } } },
    ],
    envFrom: [
      { prefix: mark('env-prefix'), secretRef: { name: mark('env-from-secret'), optional: true } },
      { configMapRef: { name: mark('env-from-map'), optional: true } },
    ],
    volumeMounts: [{ name: 'secret', mountPath: `/${mark('mount')}`, subPath: mark('sub-path') }],
    livenessProbe: { exec: { command: ['sh', '-c', mark('liveness')] } },
    readinessProbe: probe('readiness'),
    startupProbe: probe('startup'),
    lifecycle: { preStop, postStart: { exec: { command: ['sh', '-c', mark('post-start')] } } },
    terminationMessagePath: `/${mark('termination-path')}`,
  }
}

/** What a pod is created from. */
export function markedPod(name: string, marks: Marks, podSpec: object, more: { gates?: readonly string[] } = {}): object {
  const mark = (place: string) => marks.at(`${name}-${place}`)
  const hook = { path: `/${mark('hook-path')}`, port: 8080, httpHeaders: [{ name: 'X-Token', value: mark('hook-header') }] }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { app: 'marked', 'example.com/label': mark('label') },
      annotations: {
        'example.com/note': mark('annotation'),
        'kubectl.kubernetes.io/last-applied-configuration': mark('applied'),
      },
    },
    spec: {
      ...podSpec,
      restartPolicy: 'Never',
      imagePullSecrets: [{ name: mark('pull-secret') }],
      hostAliases: [{ ip: '192.0.2.1', hostnames: [mark('alias')] }],
      hostname: mark('hostname'),
      subdomain: mark('subdomain'),
      dnsConfig: { searches: [mark('search')], options: [{ name: mark('dns-option') }] },
      nodeSelector: { 'example.com/node': mark('node-selector') },
      tolerations: [{ key: 'example.com/taint', value: mark('toleration') }],
      schedulerName: mark('scheduler'),
      volumes: [
        { name: 'secret', secret: { secretName: mark('volume-secret'), optional: true } },
        { name: 'map', configMap: { name: mark('volume-map'), optional: true } },
        { name: 'csi', csi: { driver: 'none.example.com', volumeAttributes: { token: mark('volume-attribute') } } },
      ],
      readinessGates: (more.gates ?? []).map((conditionType) => ({ conditionType })),
      initContainers: [{ ...container(`${name}-init`, marks, { sleep: { seconds: 1 } }), restartPolicy: 'Always' }],
      containers: [
        container(`${name}-exec`, marks, { exec: { command: ['sh', '-c', mark('hook-command')] } }),
        container(`${name}-http`, marks, { httpGet: hook }),
      ],
    },
  }
}

/** What a kubelet reports of its containers, with the containers' own words. */
export function markedStatuses(name: string, marks: Marks, startedAt: string, finishedAt: string): object {
  const status = (container: string) => {
    const ended = (place: string) => ({
      exitCode: 3,
      reason: 'Error',
      message: marks.at(`${container}-${place}`),
      startedAt,
      finishedAt,
      containerID: `containerd://${container}`,
    })
    return {
      name: container,
      image: IMAGE,
      imageID: '',
      ready: false,
      restartCount: 1,
      state: { terminated: ended('termination') },
      lastState: { terminated: ended('last-termination') },
    }
  }
  return {
    conditions: [
      { type: 'Ready', status: 'False', reason: 'PodFailed', lastTransitionTime: finishedAt },
      { type: 'example.com/own', status: 'False', reason: 'Own', message: marks.at(`${name}-condition`) },
    ],
    initContainerStatuses: [status(`${name}-init`)],
    containerStatuses: [status(`${name}-exec`), status(`${name}-http`)],
  }
}
