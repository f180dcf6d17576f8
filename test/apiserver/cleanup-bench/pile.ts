/** Thousands of finished pods, as they pile up: of ReplicaSets, of finished Jobs and of nobody, half of them Failed. No kubelet runs them. */
import type { KubeHttp } from '../../../src/kube/http.ts'
import type { TestBed } from '../connect.ts'
import { eventually } from '../waiting.ts'

const WORKERS = 16
const IMAGE = 'registry.invalid/none:1'
const NAMESPACES = 4
/** The pattern of owners repeats after so many pods, in each namespace; the phase changes with every round. */
const ROUND = 20
const PROTECTED_EVERY = 25

export type What = 'mixed' | 'Succeeded'

export interface PilePod {
  readonly uid: string
  readonly namespace: string
  readonly phase: 'Succeeded' | 'Failed'
  readonly protected: boolean
}

interface Owner {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}
type Owners = Readonly<Record<'set' | 'finished' | 'running', Owner>>

const wholeSecond = () => `${new Date().toISOString().slice(0, 19)}Z`

export class Pile {
  readonly #http: KubeHttp
  readonly #node: string
  readonly #owners: ReadonlyMap<string, Owners>
  readonly label: string
  #next = 0

  private constructor(http: KubeHttp, node: string, owners: ReadonlyMap<string, Owners>, label: string) {
    this.#http = http
    this.#node = node
    this.#owners = owners
    this.label = label
  }

  /** Its namespaces, each with a ReplicaSet, a Job that has finished and one that has not. */
  static async prepare(bed: TestBed, node: string): Promise<Pile> {
    const owners = new Map<string, Owners>()
    for (let index = 0; index < NAMESPACES; index += 1) {
      const namespace = `${bed.namespace}-${index}`
      await bed.kubectl('create', 'namespace', namespace)
      const account = { method: 'GET', path: `/api/v1/namespaces/${namespace}/serviceaccounts/default` } as const
      await eventually(() => bed.http.request(account).catch(() => undefined), 30_000, `the default account of ${namespace}`)
      owners.set(namespace, await makeOwners(bed.http, namespace))
    }
    return new Pile(bed.http, node, owners, `cleanup-bench=${bed.suffix}`)
  }

  get namespaces(): string[] {
    return [...this.#owners.keys()]
  }

  /** @returns what was made, by UID */
  async fill(count: number, what: What): Promise<Map<string, PilePod>> {
    const pods = new Map<string, PilePod>()
    let next = 0
    this.#next = count
    const work = async () => {
      for (let index = next++; index < count; index = next++) {
        const pod = await this.#finished(index, what)
        pods.set(pod.uid, pod)
      }
    }
    await Promise.all(Array.from({ length: WORKERS }, work))
    return pods
  }

  /** One more that is nobody's and Succeeded, so that no other controller deletes it and no record is asked for. */
  async add(): Promise<PilePod> {
    do this.#next += 1
    while (kindOf(this.#next) !== 'bare' || isProtected(this.#next))
    return this.#finished(this.#next, 'Succeeded')
  }

  /** Removes all pods of the pile, and the records of its namespaces. */
  async clear(): Promise<void> {
    for (const namespace of this.namespaces) {
      const collections = [
        `/api/v1/namespaces/${namespace}/pods`,
        `/apis/gracewatch.dev/v1alpha1/namespaces/${namespace}/podterminations`,
      ]
      for (const path of collections) {
        const body = { gracePeriodSeconds: 0 }
        await this.#http.request({ method: 'DELETE', path, body, timeoutMs: 120_000 })
      }
    }
  }

  /** UIDs of the pods that are there. */
  async left(): Promise<Set<string>> {
    return new Set((await this.#list('/api/v1', 'pods')).map(({ metadata }) => metadata.uid))
  }

  /** UIDs of the pods of which there is a record that says how they ended. */
  async recorded(): Promise<Set<string>> {
    const records = await this.#list('/apis/gracewatch.dev/v1alpha1', 'podterminations')
    return new Set(
      records.flatMap(({ pod, state, outcome }) => (state === 'Complete' && outcome !== undefined ? [pod?.uid ?? ''] : [])),
    )
  }

  async #list(api: string, resource: string): Promise<ListItem[]> {
    const items: ListItem[] = []
    for (const namespace of this.namespaces) {
      const path = `${api}/namespaces/${namespace}/${resource}`
      let token: string | undefined
      do {
        const answer = await this.#http.request({
          method: 'GET',
          path,
          query: { limit: 500, continue: token },
          timeoutMs: 60_000,
        })
        const list = answer.json<{ items: ListItem[]; metadata: { continue?: string } }>()
        items.push(...list.items)
        token = list.metadata.continue
      } while (token !== undefined && token !== '')
    }
    return items
  }

  async #finished(index: number, what: What): Promise<PilePod> {
    const namespace = this.namespaces[index % NAMESPACES] ?? ''
    const inRound = inRoundOf(index)
    const failed = what === 'mixed' && Math.floor(index / ROUND) % 2 === 0
    const keeps = isProtected(index)
    const owners = this.#owners.get(namespace)
    const kind = kindOf(index)
    const owner = keeps && inRound % 2 === 0 ? owners?.running : kind === 'bare' ? undefined : owners?.[kind]
    const [label = '', value = ''] = this.label.split('=')
    const path = `/api/v1/namespaces/${namespace}/pods`
    const created = await this.#http.request({
      method: 'POST',
      path,
      body: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `${kind}-${String(index).padStart(5, '0')}`,
          labels: { app: kind, [label]: value },
          ...(keeps && owner !== owners?.running ? { annotations: { 'gracewatch.dev/keep': '' } } : {}),
          ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
        },
        spec: {
          nodeName: this.#node,
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          containers: [{ name: 'app', image: IMAGE, resources: { requests: { cpu: '10m', memory: '16Mi' } } }],
        },
      },
    })
    const { uid, name } = created.json<{ metadata: { uid: string; name: string } }>().metadata
    const evicted = failed && inRound === 3
    await this.#http.request({
      method: 'PATCH',
      path: `${path}/${name}/status`,
      contentType: 'application/merge-patch+json',
      body: { status: evicted ? evictedStatus() : endedStatus(failed) },
    })
    return { uid, namespace, phase: failed ? 'Failed' : 'Succeeded', protected: keeps }
  }
}

const inRoundOf = (index: number): number => Math.floor(index / NAMESPACES) % (ROUND / 2)
const isProtected = (index: number): boolean => index % PROTECTED_EVERY < 1

function kindOf(index: number): 'set' | 'finished' | 'bare' {
  const inRound = inRoundOf(index)
  if (inRound < 5) return 'set'
  return inRound < 8 ? 'finished' : 'bare'
}

interface ListItem {
  readonly metadata: { readonly uid: string }
  readonly pod?: { readonly uid: string }
  readonly state?: string
  readonly outcome?: string
}

/** As the kubelet writes it of a pod that it refused to run on: no container has a status. */
function evictedStatus(): object {
  return {
    phase: 'Failed',
    reason: 'Evicted',
    message: 'The node was low on resource: ephemeral-storage.',
    startTime: wholeSecond(),
    qosClass: 'Burstable',
  }
}

function endedStatus(failed: boolean): object {
  const now = wholeSecond()
  const reason = failed ? 'PodFailed' : 'PodCompleted'
  const condition = (type: string, status: string) => ({ type, status, reason, lastProbeTime: null, lastTransitionTime: now })
  const terminated = {
    exitCode: failed ? 1 : 0,
    reason: failed ? 'Error' : 'Completed',
    startedAt: now,
    finishedAt: now,
    containerID: 'containerd://none',
  }
  const container = { name: 'app', image: IMAGE, imageID: IMAGE, ready: false, started: false, restartCount: 0 }
  return {
    phase: failed ? 'Failed' : 'Succeeded',
    startTime: now,
    conditions: [
      condition('PodScheduled', 'True'),
      condition('Initialized', 'True'),
      condition('ContainersReady', 'False'),
      condition('Ready', 'False'),
    ],
    containerStatuses: [{ ...container, containerID: 'containerd://none', state: { terminated } }],
    qosClass: 'Burstable',
  }
}

/** Of no pod a controller makes another one: the ReplicaSets want none, and the Jobs are nobody's. */
async function makeOwners(http: KubeHttp, namespace: string): Promise<Owners> {
  const make = async (api: string, plural: string, body: object): Promise<Owner> => {
    const answer = await http.request({ method: 'POST', path: `/apis/${api}/namespaces/${namespace}/${plural}`, body })
    const { kind, metadata } = answer.json<{ kind: string; metadata: { name: string; uid: string } }>()
    return { apiVersion: api, kind, name: metadata.name, uid: metadata.uid }
  }
  const spec = { restartPolicy: 'Never', containers: [{ name: 'app', image: IMAGE }] }
  const job = (name: string) => ({ metadata: { name }, spec: { managedBy: 'example.com/nobody', template: { spec } } })
  const labels = { app: 'set' }
  const set = await make('apps/v1', 'replicasets', {
    metadata: { name: 'set' },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...spec, restartPolicy: 'Always' } },
    },
  })
  const finished = await make('batch/v1', 'jobs', job('finished'))
  const now = wholeSecond()
  const condition = (type: string) => ({ type, status: 'True', lastProbeTime: now, lastTransitionTime: now })
  await http.request({
    method: 'PATCH',
    path: `/apis/batch/v1/namespaces/${namespace}/jobs/finished/status`,
    contentType: 'application/merge-patch+json',
    body: {
      status: { startTime: now, completionTime: now, conditions: [condition('SuccessCriteriaMet'), condition('Complete')] },
    },
  })
  return { set, finished, running: await make('batch/v1', 'jobs', job('running')) }
}
