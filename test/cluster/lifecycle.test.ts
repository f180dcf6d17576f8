import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachCluster, type Cluster, ensureCluster, lockCluster, type PartName, type Shape, silentProgress } from './index.ts'
import { layoutOf } from './layout.ts'
import { isWhole, takeDown } from './lifecycle.ts'
import type { Lock } from './lock.ts'
import { type MachineSnapshot, takeSnapshot } from './machine-snapshot.ts'
import { kill, signal } from './processes.ts'
import { type RunResult, tryRun } from './run.ts'
import { readSettings } from './settings.ts'
import { PART_NAMES, partCondition, readState } from './state.ts'

/** The real cluster, from nothing and back; what was up before is up again at the end. */
const settings = readSettings()
const layout = layoutOf(settings.stateDir)
let before: { readonly version: string; readonly shape: Shape } | undefined
let untouched: MachineSnapshot

const cli = (...args: string[]): Promise<RunResult> => tryRun(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args])
const state = () => readState(layout.stateFile)

/** What is there now and was not before. */
async function leftBehind(): Promise<Record<string, string[]>> {
  const now = await takeSnapshot()
  // The keys of an object literal of this shape.
  const kinds = Object.keys(now) as Array<keyof MachineSnapshot>
  return Object.fromEntries(kinds.map((kind) => [kind, now[kind].filter((line) => !untouched[kind].includes(line))]))
}

const NOTHING = {
  mounts: [],
  interfaces: [],
  routes: [],
  namespaces: [],
  nftRules: [],
  cgroups: [],
  traceInstances: [],
  sysctls: [],
  processes: [],
  files: [],
}

/** Held throughout, so that nobody comes in between two tests; the commands below this process share it. */
let lock: Lock
const holdLock = async () => {
  lock = await lockCluster(settings, 'the tests of the cluster', silentProgress)
}

beforeAll(async () => {
  await holdLock()
  const found = state()
  before = found && { version: found.version, shape: found.shape }
  await takeDown(settings, silentProgress)
  untouched = await takeSnapshot()
})

afterAll(async () => {
  await takeDown(settings, silentProgress)
  if (before) await (await ensureCluster({ ...before })).close({ keep: true })
  await lock.release()
})

describe('a control plane', () => {
  it('is up in seconds, takes objects, and says that it has no node', async () => {
    const cluster = await ensureCluster({ shape: 'control-plane' })
    expect(cluster.foundUp).toBe(false)
    expect(cluster.version).toBe((await version(cluster)).server)
    await cluster.kubectl(['create', 'configmap', 'probe', '--from-literal=a=b'])
    expect(await cluster.kubectl(['get', 'configmap', 'probe', '-o', 'jsonpath={.data.a}'])).toBe('b')
    await expect(cluster.startPart('kubelet')).rejects.toThrow(
      /has no kubelet: its parts are etcd, kube-apiserver, kube-controller-manager/,
    )
    await expect(cluster.images()).rejects.toThrow(/control plane has no images/)
    await cluster.close({ keep: true })
  })

  it('forgets the past when etcd is compacted', async () => {
    const cluster = await attachCluster({ shape: 'control-plane' })
    const old = await cluster.kubectl(['get', 'configmap', 'probe', '-o', 'jsonpath={.metadata.resourceVersion}'])
    await cluster.kubectl(['annotate', 'configmap', 'probe', 'touched=1'])
    expect(await cluster.compactEtcd()).toBeGreaterThan(Number(old))
    await cluster.killPart('kube-apiserver')
    await cluster.startPart('kube-apiserver')
    const path = `/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=5&resourceVersion=${old}`
    expect(await cluster.tryKubectl(['get', '--raw', path])).toMatchObject({ stdout: expect.stringContaining('"code":410') })
  })

  it('goes, leaving nothing', async () => {
    expect(await cli('down')).toMatchObject({ code: 0, stdout: '', stderr: 'the cluster is down\n' })
    expect(await leftBehind()).toEqual(NOTHING)
  })
})

describe('a cluster with a node', () => {
  it('is brought up once by two commands at the same time, of which one waits and says for whom', async () => {
    await lock.release()
    const both = await Promise.all([cli('up'), cli('up')])
    await holdLock()
    const said = both.map((result) => result.stderr).join('\n---\n')
    expect(
      both.map((result) => result.code),
      said,
    ).toEqual([0, 0])
    expect(said).toMatch(/the cluster is in use by "npm run cluster -- up" \(pid \d+\)/)
    expect(state()).toMatchObject({ shape: 'node', complete: true })
  })

  it('stays as it is when brought up again, in no time', async () => {
    const parts = state()?.parts
    const started = performance.now()
    expect(await cli('up')).toMatchObject({ code: 0, stdout: '' })
    expect(performance.now() - started).toBeLessThan(5_000)
    expect(state()?.parts).toEqual(parts)
  })

  it('env makes this release the kubectl of a shell, and prints nothing but export lines', async () => {
    const { stdout } = await cli('env')
    expect(stdout).toMatch(/^(export [A-Z]+=.*\n)+$/)
    const shell = await tryRun('/bin/sh', [
      '-c',
      `eval "$0"; kubectl version --output=json; kubectl auth can-i '*' '*' -A`,
      stdout,
    ])
    expect(shell.code).toBe(0)
    expect(shell.stdout).toMatch(/"gitVersion": "v1\.\d+\.\d+"/)
    expect(shell.stdout.trimEnd().endsWith('yes')).toBe(true)
  })

  it('images names a busybox and a Node image, one a line', async () => {
    const { stdout } = await cli('images')
    const references = stdout.trimEnd().split('\n')
    expect(references.every((reference) => /^\S+:\S+$/.test(reference) && !reference.endsWith(':latest'))).toBe(true)
    expect(references.filter((reference) => reference.includes('busybox'))).toHaveLength(1)
    expect(references.filter((reference) => reference.includes('node'))).toHaveLength(1)
  })

  it('runs pods: logs, exec, the API server and a Service at their Service addresses, a quick end', async () => {
    const cluster = await attachCluster({ shape: 'node' })
    await runPods(cluster)
    expect(await cluster.kubectl(['logs', 'web', '-c', 'node', '--tail=1'])).toBe('started\n')
    const exec = (script: string) => cluster.kubectl(['exec', 'web', '-c', 'node', '--', 'sh', '-c', script])
    expect(await exec('npm --version && yarn --version && npx --version && node --version')).toMatch(
      /^\d+\..*\n1\.22\.22\n\d+\..*\nv24\./,
    )
    const token = '/var/run/secrets/kubernetes.io/serviceaccount'
    const call = `NODE_EXTRA_CA_CERTS=${token}/ca.crt node -e 'fetch("https://"+process.env.KUBERNETES_SERVICE_HOST+"/version").then(r=>r.json()).then(v=>console.log(v.gitVersion))'`
    expect((await exec(call)).trim()).toBe(cluster.version)
    // By way of the Service to itself and from another pod, and from the host.
    const address = await cluster.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    expect(await exec(`wget -q -O - http://${address}/hello`)).toBe('hello\n')
    expect(await cluster.kubectl(['exec', 'other', '--', 'wget', '-q', '-O', '-', `http://${address}/hello`])).toBe('hello\n')
    expect((await fetch(`http://${address}/hello`)).status).toBe(200)
    const started = performance.now()
    await cluster.kubectl(['delete', 'pod', 'other', '--grace-period=30'])
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  it('is healed after a kill -9 of any part, and its pods run on', async () => {
    const cluster = await attachCluster({ shape: 'node' })
    const container = () => cluster.kubectl(['get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}'])
    const running = await container()
    for (const name of PART_NAMES) {
      await killUnannounced(name)
      const status = await cli('status')
      expect(status.code).toBe(1)
      expect(status.stdout).toMatch(new RegExp(`${name} +died`))
      expect(status.stdout).toContain(`the end of ${join(layout.logs, `${name}.log`)}`)
      const up = await cli('up')
      expect(up).toMatchObject({ code: 0, stderr: expect.stringContaining(`${name} had died and was started again`) })
    }
    expect(await container()).toBe(running)
    await usable(cluster)
  })

  it('is healed after all parts were killed at once, and after one was paused', async () => {
    const cluster = await attachCluster({ shape: 'node' })
    await Promise.all(PART_NAMES.map(killUnannounced))
    expect((await cli('up')).code).toBe(0)
    await usable(cluster)
    const part = state()?.parts['kube-controller-manager']
    expect(part && signal(part, 'SIGSTOP')).toBe(true)
    await sleep(50)
    expect(await cli('up')).toMatchObject({ code: 0, stderr: expect.stringContaining('kube-controller-manager was resumed') })
    await usable(cluster)
  })

  it('lets tests stop, pause and restart single parts', async () => {
    const cluster = await attachCluster({ shape: 'node' })
    const condition = (name: PartName) => {
      const now = state()
      return now && partCondition(now, name)
    }
    await cluster.pausePart('kubelet')
    expect(condition('kubelet')).toBe('paused')
    await cluster.resumePart('kubelet')
    await cluster.stopPart('kubelet')
    expect(condition('kubelet')).toBe('stopped')
    expect((await cli('status')).stdout).not.toContain('the end of')
    await cluster.startPart('kubelet')
    await cluster.killPart('kube-apiserver')
    expect((await cluster.tryKubectl(['get', 'nodes', '--request-timeout=2s'])).code).not.toBe(0)
    await cluster.startPart('kube-apiserver')
    await cluster.restartPart('containerd')
    await usable(cluster)
    expect(await isWhole(settings, cluster.version, 'node')).toBe(true)
  })

  it('shows the log of a part that cannot start', async () => {
    const cluster = await attachCluster({ shape: 'node' })
    await cluster.stopPart('etcd')
    const blocker = await tryRun('/bin/sh', [
      '-c',
      `mv ${layout.root}/etcd ${layout.root}/etcd.away && touch ${layout.root}/etcd`,
    ])
    expect(blocker.code).toBe(0)
    try {
      await expect(cluster.startPart('etcd')).rejects.toThrow(
        /^etcd has died; the end of its log \(.*etcd\.log\):\n(.*\n)*.*etcd/,
      )
    } finally {
      await tryRun('/bin/sh', ['-c', `rm ${layout.root}/etcd && mv ${layout.root}/etcd.away ${layout.root}/etcd`])
    }
    expect((await cli('up')).code).toBe(0)
    await usable(cluster)
  })

  it('goes while its pods run, leaving nothing', async () => {
    await (await attachCluster()).kubectl(['get', 'pod', 'web'])
    await tryRun('mkdir', ['/sys/kernel/tracing/instances/gracewatch-probe'])
    expect(await cli('down')).toMatchObject({ code: 0, stdout: '' })
    expect(await leftBehind()).toEqual(NOTHING)
  })

  it('goes although the record of its processes is lost', async () => {
    expect((await cli('up')).code).toBe(0)
    await runPods(await attachCluster({ shape: 'node' }))
    await tryRun('rm', [layout.stateFile])
    expect((await cli('down')).code).toBe(0)
    expect(await leftBehind()).toEqual(NOTHING)
  })
})

it('a release that has no module here is refused, with those that have', async () => {
  const result = await tryRun(process.execPath, [join(import.meta.dirname, 'main.ts'), 'up'], { env: { KUBE_VERSION: 'v1.2.3' } })
  expect(result).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/no Kubernetes v1\.2\.3 here: set KUBE_VERSION to one of v1\./),
  })
})

async function version(cluster: Cluster): Promise<{ server: string }> {
  const text = await cluster.kubectl(['version', '--output=json'])
  return { server: /"serverVersion"[^}]*"gitVersion": "([^"]+)"/s.exec(text)?.[1] ?? '' }
}

/** SIGKILL to the process as anybody could send it, so that the harness knows nothing of it. */
async function killUnannounced(name: PartName): Promise<void> {
  const part = state()?.parts[name]
  if (!part) throw new Error(`there is no ${name}`)
  await kill(part)
}

/** A new pod runs and ends. */
async function usable(cluster: Cluster): Promise<void> {
  const images = await cluster.images()
  const busybox = images.find((reference) => reference.includes('busybox')) ?? ''
  await cluster.kubectl(['run', 'probe', `--image=${busybox}`, '--restart=Never', '--', 'true'])
  await cluster.kubectl(['wait', 'pod/probe', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s'])
  await cluster.kubectl(['delete', 'pod', 'probe', '--timeout=60s'])
}

async function runPods(cluster: Cluster): Promise<void> {
  const images = await cluster.images()
  const image = (name: string) => images.find((reference) => reference.includes(name)) ?? ''
  const server = 'mkdir /www; echo hello > /www/hello; httpd -p 8080 -h /www; trap "exit 0" TERM; while true; do sleep 0.1; done'
  const program = 'console.log("started"); setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0))'
  const objects = [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        containers: [
          { name: 'server', image: image('busybox'), command: ['sh', '-c', server] },
          { name: 'node', image: image('/node'), command: ['node', '-e', program] },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'other' },
      spec: { containers: [{ name: 'node', image: image('/node'), command: ['node', '-e', program] }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ]
  await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) })
  await cluster.kubectl(['wait', 'pod/web', 'pod/other', '--for=condition=Ready', '--timeout=90s'])
}
