/** `gracewatch cleanup plan` against a real API server, as a process: real pods, owners and PodCleanups. Nobody runs the pods; their ends are written. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCrd, root, useApiServer } from './connect.ts'
import { eventually } from './waiting.ts'

const bed = useApiServer('cleanup-plan')
const CRD = 'podcleanups.gracewatch.dev'
let broughtCrd = false

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

function gracewatch(...args: string[]): Promise<Result> {
  const all = [join(root, 'src/cli/main.ts'), ...args, '--kubeconfig', bed.cluster.kubeconfigPath]
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    const result: Result = { code: null, stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        result[stream] += text
      })
    child.on('error', fail)
    child.on('close', (code) => done({ ...result, code }))
  })
}

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/NS/serviceaccounts/default',
  ConfigMap: '/api/v1/namespaces/NS/configmaps',
  Pod: '/api/v1/namespaces/NS/pods',
  Job: '/apis/batch/v1/namespaces/NS/jobs',
  ReplicaSet: '/apis/apps/v1/namespaces/NS/replicasets',
  PodCleanup: '/apis/gracewatch.dev/v1alpha1/namespaces/NS/podcleanups',
}
const pathOf = (kind: string) => PATHS[kind]?.replace('NS', bed.namespace) ?? kind

async function create(object: {
  apiVersion: string
  kind: string
  metadata: object
  spec?: object
}): Promise<{ metadata: { uid: string } }> {
  const answer = await bed.http.request({ method: 'POST', path: pathOf(object.kind), body: object })
  return answer.json()
}

const patchStatus = (kind: 'Pod' | 'Job', name: string, status: object) =>
  bed.http.request({
    method: 'PATCH',
    path: `${pathOf(kind)}/${name}/status`,
    contentType: 'application/merge-patch+json',
    body: { status },
  })

interface Owner {
  apiVersion: string
  kind: string
  name: string
  uid: string
}

async function created(object: { apiVersion: string; kind: string; metadata: { name: string }; spec?: object }): Promise<Owner> {
  const { apiVersion, kind, metadata } = object
  const { uid } = (await create(object)).metadata
  return { apiVersion, kind, name: metadata.name, uid }
}

interface PodOptions {
  owner?: Owner
  /** Seconds ago. */
  ended: number
  reason?: string
  metadata?: object
}

/** No pod is older than this test, so that is as long ago as one can have ended: minAge is 0s in its rules. */
async function finished(name: string, { owner, ended, reason, metadata = {} }: PodOptions): Promise<void> {
  await create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      ...metadata,
    },
    // No scheduler takes it.
    spec: { schedulerName: 'nobody', containers: [{ name: 'app', image: 'app' }] },
  })
  const terminated = { exitCode: 1, reason: 'Error', startedAt: ago(ended), finishedAt: ago(ended) }
  const status = { name: 'app', image: 'app', imageID: '', ready: false, restartCount: 0, state: { terminated } }
  await patchStatus('Pod', name, {
    phase: 'Failed',
    ...(reason === undefined ? { containerStatuses: [status] } : { reason, startTime: ago(ended) }),
  })
}

const rule = (name: string, spec: object) =>
  create({
    apiVersion: 'gracewatch.dev/v1alpha1',
    kind: 'PodCleanup',
    metadata: { name },
    spec: { selector: {}, ...spec },
  })

const PODS = ['kept', 'evicted', 'web-1', 'web-2', 'web-3', 'held', 'done', 'running', 'bare', 'set-0']

beforeAll(async () => {
  broughtCrd = (await bed.cluster.tryKubectl(['get', 'crd', CRD])).code !== 0
  if (broughtCrd) await createCrd(bed, 'gracewatch.dev', undefined, 'podcleanups')
  const account = { method: 'GET', path: pathOf('ServiceAccount') } as const
  await eventually(() => bed.http.request(account).catch(() => undefined), 20_000, 'the default account')
  // An owner that no controller looks after, so that nobody takes its pods away; the garbage collector wants it to be there.
  const web = await created({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'web' } })
  const jobSpec = {
    managedBy: 'example.com/nobody',
    template: { spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'app' }] } },
  }
  const done = await created({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'done' }, spec: jobSpec })
  const running = await created({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'running' }, spec: jobSpec })
  const condition = (type: string) => ({ type, status: 'True', lastProbeTime: ago(0), lastTransitionTime: ago(0) })
  await patchStatus('Job', 'done', {
    startTime: ago(9),
    completionTime: ago(1),
    conditions: [condition('SuccessCriteriaMet'), condition('Complete')],
  })
  await finished('web-1', { owner: web, ended: 0 })
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await finished('web-2', { owner: web, ended: 0 })
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await finished('web-3', { owner: web, ended: 0 })
  await finished('evicted', { owner: web, ended: 0, reason: 'Evicted' })
  await finished('kept', { owner: web, ended: 0, metadata: { annotations: { 'gracewatch.dev/keep': '' } } })
  await finished('held', { owner: web, ended: 0, metadata: { finalizers: ['example.com/held'] } })
  await finished('done', { owner: done, ended: 0 })
  await finished('running', { owner: running, ended: 0 })
  await finished('bare', { ended: 0 })
  await finished('set-0', { owner: { ...web, kind: 'StatefulSet', apiVersion: 'example.com/v1' }, ended: 0 })
})

afterAll(async () => {
  await bed.cluster.tryKubectl([
    'patch',
    'pod',
    'held',
    '-n',
    bed.namespace,
    '--type=merge',
    '-p',
    '{"metadata":{"finalizers":null}}',
  ])
  if (broughtCrd) await bed.cluster.tryKubectl(['delete', 'crd', CRD, '--wait=false'])
})

interface Planned {
  pods: { name: string; action: string; reason: string; rules: string[]; dryRun: boolean; record: boolean }[]
  rules: { name: string; candidates: number; toDelete: number; kept: { reason: string; count: number }[] }[]
}
const planned = async (...args: string[]) => {
  const { code, stdout, stderr } = await gracewatch('cleanup', 'plan', '-n', bed.namespace, '-o', 'json', ...args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Planned
}
const deleted = ({ pods }: Planned) => pods.filter(({ action }) => action === 'Delete').map(({ name }) => name)

describe('cleanup plan', () => {
  it('says that there is no rule, and plans nothing', async () => {
    const { code, stdout, stderr } = await gracewatch('cleanup', 'plan', '-n', bed.namespace)
    expect(code).toBe(0)
    expect(stderr).toMatch(/^No PodCleanup in namespace .*--per-namespace=COUNT tries one\.\n$/)
    expect(stdout).toMatch(/^10 finished pods: 0 would be deleted \(0 with a record first\), 10 would stay\.$/m)
  })

  it('shows what a threshold would do: nothing to pods of the last minute', async () => {
    const result = await planned('--per-namespace=0', '--bare-pods', '--finished-job-pods')
    expect(deleted(result)).toEqual([])
    expect(result.rules).toMatchObject([{ name: 'threshold', candidates: 10, toDelete: 0 }])
    expect(result.rules[0]?.kept).toContainEqual(expect.objectContaining({ reason: 'TooYoung', count: 6 }))
  })

  it('deletes what is past what a PodCleanup keeps, the evicted first, and tells why the others stay', async () => {
    await rule('nightly', { keep: { total: 7 }, minAge: '0s' })
    const result = await planned()
    expect(deleted(result)).toEqual(['evicted', 'web-1', 'web-2'])
    expect(Object.fromEntries(result.pods.map(({ name, reason }) => [name, reason]))).toEqual({
      evicted: 'PastKeepTotal',
      'web-1': 'PastKeepTotal',
      'web-2': 'PastKeepTotal',
      'web-3': 'WithinKeepTotal',
      kept: 'KeepAnnotation',
      held: 'HasFinalizers',
      done: 'JobFinished',
      running: 'JobNotFinished',
      bare: 'BarePod',
      'set-0': 'OwnedByStatefulSet',
    })
    expect(result.pods.filter(({ action }) => action === 'Delete').every(({ record }) => record)).toBe(true)
  })

  it('draws it in a hundred columns', async () => {
    const { code, stdout, stderr } = await gracewatch('cleanup', 'plan', '-n', bed.namespace, '--kept')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = stdout.split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    expect(lines[0]).toMatch(/^AGE +POD +PHASE +PLAN +REASON +BY$/)
    expect(lines[1]).toMatch(/^\d+ (ms|s|min) +evicted +Evicted +delete +PastKeepTotal +PodCleanup /)
    expect(stdout).toMatch(/^10 finished pods: 3 would be deleted \(3 with a record first\), 7 would stay\.$/m)
    expect(stdout).toMatch(/nightly: 10 candidates, 3 to delete; stay: /)
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'BarePod: it has no owner, so nothing makes it again; barePods: true lets it go.',
    )
  })

  it('asks every PodCleanup that selects a pod; one on dry run only tells', async () => {
    await rule('all-but-evicted', { keep: { total: 0 }, minAge: '0s', finishedJobPods: true, barePods: true, dryRun: true })
    await rule('evidence', { keep: { total: 9 }, reasons: ['Evicted'], minAge: '1h' })
    const result = await planned()
    expect(deleted(result)).toEqual(['web-1', 'web-2'])
    expect(result.pods.filter(({ dryRun }) => dryRun)).toHaveLength(10)
    const counts = (name: string) => result.rules.find((report) => report.name.endsWith(`/${name}`))
    expect(counts('nightly')).toMatchObject({ candidates: 10, toDelete: 2 })
    expect(counts('evidence')?.kept).toMatchObject([{ reason: 'TooYoung', count: 1 }])
    // By its path: another file's CRD of this kind, which is going, is not to be taken for it.
    await bed.http.request({ method: 'DELETE', path: pathOf('PodCleanup') })
  })

  it('has changed nothing', async () => {
    const names = await bed.kubectl('get', 'pods', '-n', bed.namespace, '-o', 'jsonpath={.items[*].metadata.name}')
    expect(names.trim().split(' ').sort()).toEqual([...PODS].sort())
  })

  it('counts by what the ReplicaSets belong to', async () => {
    const app = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'app' } }
    const top = await created(app)
    for (const name of ['app-1', 'app-2']) {
      const labels = { rs: name, counted: 'yes' }
      await create({
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: { name, ownerReferences: [{ ...top, controller: true }] },
        spec: {
          replicas: 1,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { schedulerName: 'nobody', containers: [{ name: 'app', image: 'app' }] } },
        },
      })
      const pods = ['get', 'pods', '-n', bed.namespace, '-l', `rs=${name}`, '-o', 'jsonpath={.items[*].metadata.name}']
      const pod = await eventually(async () => (await bed.kubectl(...pods)).trim() || undefined, 30_000, `a pod of ${name}`)
      await patchStatus('Pod', pod, { phase: 'Failed', reason: 'Evicted', startTime: ago(0) })
    }
    await rule('one-each', { selector: { matchLabels: { counted: 'yes' } }, keep: { perOwner: 1 }, minAge: '0s' })
    const { rules } = await planned()
    const kept = [expect.objectContaining({ reason: 'WithinKeepPerOwner', count: 1 })]
    expect(rules).toMatchObject([{ candidates: 2, toDelete: 1, kept }])
  })

  it.concurrent.each([
    [['cleanup'], 'write gracewatch cleanup plan: it is all that there is'],
    [['cleanup', 'run'], 'write gracewatch cleanup plan: it is all that there is'],
    [['cleanup', 'plan', '--total=5'], '--total counts the pods of the whole cluster: add -A'],
    [['cleanup', 'plan', '--per-namespace=many'], '--per-namespace many: write a number of pods from 0 to 9999999'],
    [['cleanup', 'plan', '--bare-pods'], '--bare-pods is about a threshold: add --total or --per-namespace'],
    [['cleanup', 'plan', '-A', '-n', 'shop'], '-A is every namespace and -n is one: leave one of them out'],
  ])('%j is refused: %s', async (args, words) => {
    expect(await gracewatch(...args)).toEqual({ code: 2, stdout: '', stderr: `gracewatch: ${words}\n` })
  })
})
