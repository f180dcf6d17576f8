/** Which pods a word on the command line means, as kubectl has it: a pod, a label selector, or what a workload selects. */
import { KubeError } from '../kube/errors.ts'
import type { KubeHttp } from '../kube/http.ts'
import { nearest } from '../nearest.ts'
import { CommandError, UsageError } from './arguments.ts'

export interface PodSelection {
  /** For the API server; absent: every pod of the namespace. */
  readonly labelSelector?: string
  readonly fieldSelector?: string
  /** Where it is one pod: its name. */
  readonly pod?: string
  /** For people, as "pods of Deployment web". */
  readonly words: string
}

interface Selectable {
  readonly kind: string
  readonly path: string
}

const apps = (kind: string, plural: string): Selectable => ({ kind, path: `/apis/apps/v1/namespaces/{namespace}/${plural}` })
/** What selects pods, by every word that kubectl knows it by. */
const KINDS: ReadonlyMap<string, Selectable> = new Map(
  (
    [
      [apps('Deployment', 'deployments'), ['deploy', 'deployment', 'deployments']],
      [apps('StatefulSet', 'statefulsets'), ['sts', 'statefulset', 'statefulsets']],
      [apps('DaemonSet', 'daemonsets'), ['ds', 'daemonset', 'daemonsets']],
      [apps('ReplicaSet', 'replicasets'), ['rs', 'replicaset', 'replicasets']],
      [{ kind: 'Job', path: '/apis/batch/v1/namespaces/{namespace}/jobs' }, ['job', 'jobs']],
      [{ kind: 'Service', path: '/api/v1/namespaces/{namespace}/services' }, ['svc', 'service', 'services']],
    ] as const
  ).flatMap(([kind, words]) => words.map((word) => [word, kind] as const)),
)
const PODS = ['po', 'pod', 'pods']

interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

/** Throws UsageError for what means no pods, CommandError where it is not there. */
export async function selectPods(
  { http, namespace }: { http: KubeHttp; namespace: string },
  word: string | undefined,
): Promise<PodSelection> {
  if (word === undefined) return { words: `every pod of namespace ${namespace}` }
  const slash = word.indexOf('/')
  if (slash === -1 && /[=!(,]/.test(word)) return { labelSelector: word, words: `pods with ${word}` }
  const [kindWord, name] = slash === -1 ? ['pod', word] : [word.slice(0, slash).toLowerCase(), word.slice(slash + 1)]
  if (!/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name))
    throw new UsageError(`"${name}" cannot be the name of anything: write KIND/NAME`)
  const plain = kindWord.split('.')[0] ?? ''
  if (PODS.includes(plain)) return { fieldSelector: `metadata.name=${name}`, pod: name, words: `pod ${name}` }
  const kind = KINDS.get(plain)
  if (kind === undefined) {
    const near = nearest(plain, [...KINDS.keys(), ...PODS])
    throw new UsageError(
      `${kindWord}/${name}: ${near === undefined ? 'write pod/, deploy/, sts/, ds/, rs/, job/ or svc/ and a name' : `did you mean ${near}/${name}?`}`,
    )
  }
  const labelSelector = selectorText(await selectorOf(http, namespace, kind, name))
  if (labelSelector === '') throw new CommandError(`${kind.kind} ${name} selects no pods by their labels: name them with -l`)
  return { labelSelector, words: `pods of ${kind.kind} ${name}` }
}

async function selectorOf(http: KubeHttp, namespace: string, { kind, path }: Selectable, name: string): Promise<LabelSelector> {
  const collection = path.replace('{namespace}', namespace)
  try {
    const response = await http.request({ method: 'GET', path: `${collection}/${name}` })
    const { spec } = response.json<{ spec?: { selector?: LabelSelector & Readonly<Record<string, string>> } }>()
    if (kind === 'Service') return { matchLabels: spec?.selector ?? {} }
    return spec?.selector ?? {}
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    if (error.code === 'NotFound') throw new CommandError(`there is no ${kind} ${name} in namespace ${namespace}`)
    if (error.code === 'Forbidden') throw new CommandError(`${error.message}. Name the pods by their labels: -l app=${name}`)
    throw error
  }
}

/** A label selector of the API as the text of one. */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(({ key, operator, values = [] }) => {
      switch (operator) {
        case 'In':
          return `${key} in (${values.join(',')})`
        case 'NotIn':
          return `${key} notin (${values.join(',')})`
        case 'Exists':
          return key
        case 'DoesNotExist':
          return `!${key}`
        default:
          throw new CommandError(`the selector has an operator ${operator}, which this version does not know`)
      }
    }),
  ].join(',')
}
