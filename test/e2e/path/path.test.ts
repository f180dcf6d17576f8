/**
 * The way of a new user through the README's "Your first forced kill", done as it is written there, on a real node: helm installs, a pod is killed
 * by force, kubectl gracewatch draws it, the page shows it, and the alert fires in a real Prometheus by the rules that the chart installed.
 *
 * What the README takes for granted is made first: an image under its name on the node, the kinds of Prometheus Operator, and the service account
 * of a Prometheus. No operator runs here: the rules that it would mount are read from the cluster.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { helm, helmBinary, helmHome } from '../../chart/helm.ts'
import { emptyForChart } from '../../chart/on-cluster.ts'
import { type Cluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'
import { operatorCrds } from '../../prometheus/operator-crds.ts'
import { scrapeConfig } from '../../prometheus/scrape-config.ts'
import { Prometheus } from '../../prometheus/server.ts'
import type { Raw } from '../api.ts'
import { Bed, type Stage } from '../gates/bed.ts'
import { Guide, type Running } from '../gates/guide.ts'
import { createNamespace } from '../leftovers.ts'

const MINUTES = 60_000
/** As for the scenarios: what runs is somebody else's, and stays. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const SYSTEM = 'gracewatch-system'
const OURS = ['podterminations', 'podreadinessgates', 'podcleanups'].map((kind) => `${kind}.gracewatch.dev`)
/** Names in the README. */
const IMAGE = 'registry.example/gracewatch:0.1.0'
const [MONITORING, PROMETHEUS] = ['monitoring', 'prometheus-k8s']
const POD = 'deaf'
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-path-'))

let cluster: Cluster
let bed: Bed
let guide: Guide
let stage: Stage
let crds: string[] = []
let prometheus: Prometheus | undefined
let page: Running | undefined

const kubectl = (...args: string[]) => cluster.kubectl(args)
/** The commands of the README, in their order. */
const steps = (): [install: string, kill: string, show: string, open: string] => {
  const scripts = guide.scripts('first-kill')
  expect(scripts).toHaveLength(4)
  const [install = '', kill = '', show = '', open = ''] = scripts
  return [install, kill, show, open]
}

beforeAll(async () => {
  if (EXTERNAL) return
  const progress = terminalProgress(process.stderr)
  cluster = await ensureCluster({ shape: 'node', progress, command: "npm test -- e2e (the README's path)" })
  const image = await emptyForChart(cluster, progress)
  await cluster.ctr(['images', 'tag', '--force', image, IMAGE])
  bed = await Bed.start(cluster)
  const binary = await helmBinary('4')
  guide = await Guide.open(bed, 'README.md', {
    path: [dirname(binary), join(folder, 'bin')],
    // What npm links is not left on this machine.
    env: { ...helmHome(binary), npm_config_prefix: folder },
  })
  stage = await bed.stage('path')
  crds = await operatorCrds()
  for (const file of crds) await kubectl('apply', '--server-side', '-f', file)
  for (const file of crds) await kubectl('wait', '-f', file, '--for=condition=Established', '--timeout=60s')
  await createNamespace(bed.api, MONITORING, () => undefined)
  await kubectl('create', 'serviceaccount', PROMETHEUS, '-n', MONITORING)
}, 20 * MINUTES)

afterAll(async () => {
  try {
    await page?.stop()
    await prometheus?.stop()
    if (cluster === undefined) return
    const gone = await helm('4', ['uninstall', 'gracewatch', '-n', SYSTEM, '--ignore-not-found', '--wait', '--timeout=4m'], {
      env: { KUBECONFIG: cluster.kubeconfigPath },
    })
    if (gone.code !== 0) console.error(gone.stderr)
    await kubectl('delete', 'crd', ...OURS, '--ignore-not-found', '--timeout=60s')
    for (const file of crds) await kubectl('delete', '-f', file, '--ignore-not-found', '--timeout=60s')
    await kubectl('delete', 'namespace', MONITORING, SYSTEM, '--ignore-not-found', '--timeout=120s')
    await guide?.close()
    await cluster.ctr(['images', 'remove', IMAGE])
    await bed?.stop()
  } finally {
    rmSync(folder, { recursive: true })
    await cluster?.close()
  }
}, 10 * MINUTES)

describe.skipIf(EXTERNAL)("the README's path", () => {
  it(
    'installs with metrics for a Prometheus, and rules that it can load',
    async () => {
      await guide.script(stage, steps()[0])
      const { spec }: Raw = JSON.parse(await kubectl('get', 'prometheusrule', 'gracewatch', '-n', SYSTEM, '-o', 'json'))
      await kubectl('get', 'servicemonitor', 'gracewatch', '-n', SYSTEM)
      const rules = join(folder, 'rules.yaml')
      writeFileSync(rules, stringify(spec))
      const token = (await kubectl('create', 'token', PROMETHEUS, '-n', MONITORING, '--duration=1h')).trim()
      prometheus = await Prometheus.start({
        global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
        rule_files: [rules],
        scrape_configs: [scrapeConfig(cluster.kubeconfigPath, token)],
      })
      await expect.poll(() => prometheus?.query('up == 1'), { timeout: MINUTES }).toHaveLength(2)
    },
    6 * MINUTES,
  )

  it(
    'can be asked how it is, as docs/troubleshooting.md says',
    async () => {
      await expect.poll(() => prometheus?.query('gracewatch_leader == 1'), { timeout: MINUTES }).toHaveLength(1)
      const page = await Guide.open(bed, 'docs/troubleshooting.md')
      const [script = ''] = page.scripts('controller')
      const pod = (await kubectl('get', 'pods', '-n', SYSTEM, '-o', 'jsonpath={.items[0].metadata.name}')).trim()
      const said = await page.script(stage, script.replace('POD', pod))
      expect(said).toContain('"msg":"became leader"')
      expect(said).toMatch(/^\[\+\] cache pods ok$/m)
      expect(said).toMatch(/^\[\+\] lease ok$/m)
    },
    MINUTES,
  )

  it(
    'kills a pod by force, and kubectl gracewatch shows how it ended',
    async () => {
      const [, kill, show] = steps()
      await guide.script(stage, kill)
      // The pod goes before the last write of its record; whoever types the next command is slower than that.
      const record = `podterminations --field-selector=pod.name=${POD} --for=jsonpath={.state}=Complete --timeout=60s`
      await stage.kubectl('wait', ...record.split(' '))
      const shown = await guide.script(stage, show)
      expect(shown).toMatch(new RegExp(`^${stage.namespace}/${POD} .*FORCED KILL$`, 'm'))
      expect(shown).toMatch(/✖░* 137$/m)
      expect(shown).toContain('GraceExhausted')
    },
    4 * MINUTES,
  )

  it(
    'has a page that shows it, to who has the address',
    async () => {
      page = guide.begin(stage, steps()[3])
      const address = new URL(await page.firstLine)
      expect(address.hostname).toMatch(/^127\./)
      const cookie = (await fetch(address, { redirect: 'manual' })).headers.get('set-cookie')?.split(';')[0] ?? ''
      const get = async (path: string) => (await fetch(new URL(path, address.origin), { headers: { cookie } })).text()
      const [, link = ''] = new RegExp(`href="(/records/${stage.namespace}/${POD}\\.[^"]+)"`).exec(await get('/')) ?? []
      expect(link).not.toBe('')
      expect(await get(link)).toMatch(/<svg[\s\S]*SIGKILL/)
      expect(await page.stop()).toBe(0)
      page = undefined
    },
    MINUTES,
  )

  it(
    'has the alert fire, by its own times',
    async () => {
      const [query = ''] = guide.queries('first-kill')
      const firing = async () => (await prometheus?.query(query))?.map(({ metric }) => metric)
      await expect.poll(firing, { timeout: 3 * MINUTES, interval: 500 }).toHaveLength(1)
      expect(await firing()).toMatchObject([{ namespace: stage.namespace, workload_kind: 'Pod', severity: 'warning' }])
    },
    4 * MINUTES,
  )
})
