import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROGRAMS_NAME } from './experiments.ts'
import { type KubeObject, type Objects, until } from './objects.ts'

const PROGRAMS_FOLDER = join(import.meta.dirname, 'workload')
const RECORDS = '/apis/gracewatch.dev/v1alpha1'

export const newNamespaceName = (): string => `gracewatch-demo-${randomBytes(3).toString('hex')}`

/** Makes the demo's namespace with its programs, and returns once pods can be made in it. */
export async function createNamespace(objects: Objects, name: string): Promise<void> {
  await objects.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'app.kubernetes.io/name': 'gracewatch-demo' } },
  })
  const data = Object.fromEntries(
    readdirSync(PROGRAMS_FOLDER).map((file) => [file, readFileSync(join(PROGRAMS_FOLDER, file), 'utf8')]),
  )
  const programs: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: PROGRAMS_NAME, namespace: name }, data }
  await objects.apply(programs)
  await until(async () => objects.find(`/api/v1/namespaces/${name}/serviceaccounts/default`), {
    what: `the service account of namespace ${name}`,
    withinMs: 30_000,
  })
}

/**
 * Removes the namespace and all that came of it. Its pods end first, while it still takes records: those of a namespace that is
 * being deleted go into Gracewatch's own, where nobody would look for the demo's.
 */
export async function removeNamespace(objects: Objects, name: string, systemNamespace: string): Promise<void> {
  const empty = (path: string) =>
    until(async () => ((await objects.read<{ items: unknown[] }>(path)).items.length === 0 ? true : undefined), {
      what: `${path} to be empty`,
      withinMs: 120_000,
    })
  const deployments = `/apis/apps/v1/namespaces/${name}/deployments`
  const pods = `/api/v1/namespaces/${name}/pods`
  // Foreground: a ReplicaSet that is still there would make new pods.
  await objects.delete(deployments, { propagationPolicy: 'Foreground' })
  await empty(deployments)
  await objects.delete(pods)
  await empty(pods)
  const path = `/api/v1/namespaces/${name}`
  await objects.delete(path)
  await objects.gone(path)
  // One that ended in the last moment can still have got there.
  await objects.delete(`${RECORDS}/namespaces/${systemNamespace}/podterminations`, { fieldSelector: `pod.namespace=${name}` })
}
