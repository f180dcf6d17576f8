/**
 * How Prometheus comes to the metrics: the ServiceMonitor of the chart asks for what the job of docs/metrics.md does, and with a mounted
 * certificate a real Prometheus scrapes by it, which verifies name and authority, also after the Secret has changed.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { type MetricsServer, startMetricsServer } from '../../src/web/metrics.ts'
import { certificateOfFiles } from '../../src/web/metrics-files.ts'
import { NAMESPACE, template } from '../chart/manifests.ts'
import { Prometheus } from '../prometheus/server.ts'
import { Authority } from '../unit/kube/support/certificates.ts'

/** What is looked at of what the chart renders. */
interface Rendered {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>> }
  readonly spec: {
    readonly endpoints: readonly [Endpoint]
    readonly selector: { readonly matchLabels: object }
    readonly namespaceSelector?: { readonly matchNames: readonly string[] }
    readonly ports: readonly { readonly name: string; readonly targetPort: string }[]
    readonly template: { readonly spec: { readonly containers: readonly [Container] } }
  }
}
interface Container {
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly ports: readonly { readonly name: string }[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
}
interface Endpoint {
  readonly port: string
  readonly relabelings: readonly { readonly sourceLabels: readonly string[]; readonly targetLabel: string }[]
  readonly tlsConfig: {
    readonly insecureSkipVerify?: boolean
    readonly serverName?: string
    readonly ca?: { readonly secret: { readonly key: string } }
  }
  readonly [field: string]: unknown
}

async function rendered(...settings: string[]) {
  // What helm wrote, and each test looks closer.
  const objects = parseAllDocuments(await template(['serviceMonitor.enabled=true', ...settings])).map(
    (it) => it.toJS() as Rendered,
  )
  return (name: string): Rendered => {
    const found = objects.find((it) => it !== null && `${it.kind} ${it.metadata.name}` === name)
    if (found === undefined) throw new Error(`the chart renders no ${name}`)
    return found
  }
}

const [, block = ''] =
  /```yaml\n(scrape_configs:[^`]*)```/.exec(readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8')) ?? []
const { job_name: _, kubernetes_sd_configs: discovery, relabel_configs: relabelings, ...job } = parse(block).scrape_configs[0]

describe.each([
  ['controller', 'ServiceMonitor gracewatch', 'Service gracewatch-metrics', 'Deployment gracewatch-controller'],
  ['agent', 'ServiceMonitor gracewatch-agent', 'Service gracewatch-agent-metrics', 'DaemonSet gracewatch-agent'],
])('the ServiceMonitor of the %s', (component, monitor, service, workload) => {
  it('asks for what the job of the page does', async () => {
    const { port, relabelings: own, ...endpoint } = (await rendered('agent.enabled=true'))(monitor).spec.endpoints[0]
    // Fields of the one in the words of the other; what neither names is Prometheus' own: the path /metrics, the interval.
    expect({
      scheme: endpoint.scheme,
      honor_labels: endpoint.honorLabels,
      authorization: { credentials_file: endpoint.bearerTokenFile },
      tls_config: { insecure_skip_verify: endpoint.tlsConfig.insecureSkipVerify },
    }).toEqual(job)
    expect(Object.keys(endpoint).sort()).toEqual(['bearerTokenFile', 'honorLabels', 'scheme', 'tlsConfig'])
    // By its port the operator keeps the targets, which the page has a rule for.
    const asRules = own.map(({ sourceLabels, targetLabel }) => ({ source_labels: sourceLabels, target_label: targetLabel }))
    const keep = { source_labels: ['__meta_kubernetes_pod_container_port_name'], regex: port, action: 'keep' }
    expect([keep, ...asRules]).toEqual(relabelings)
  })

  it('finds the pods that the job finds: by a Service of that port, in a namespace that the page names', async () => {
    const find = await rendered('agent.enabled=true')
    const { metadata, spec } = find(monitor)
    const [{ port }] = spec.endpoints
    expect(find(service).spec.ports).toMatchObject([{ name: port, targetPort: port }])
    expect(find(service).metadata.labels).toMatchObject(spec.selector.matchLabels)
    expect(find(service).spec.selector).toEqual({ ...spec.selector.matchLabels })
    expect(find(workload).spec.template.spec.containers[0].ports).toContainEqual(expect.objectContaining({ name: port }))
    const [namespace] = spec.namespaceSelector?.matchNames ?? [metadata.namespace]
    expect(find(service).metadata.namespace).toBe(namespace)
    expect(discovery).toEqual([{ role: 'pod', namespaces: { names: [NAMESPACE, 'gracewatch-agent-system'] } }])
    expect(discovery[0].namespaces.names).toContain(namespace)
    expect(namespace).toBe(component === 'agent' ? 'gracewatch-agent-system' : NAMESPACE)
  })
})

describe('a mounted certificate', { timeout: 120_000 }, () => {
  const SCRAPED = { timeout: 60_000 }
  const TOKEN = 'of-prometheus'
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const [first, next] = [new Authority('first'), new Authority('next')]
  let folder: string
  let mount: string
  let name: string
  let server: MetricsServer
  let prometheus: Prometheus

  /** As the kubelet brings it: all files of a version at once, by the exchange of one link. */
  function bring(version: string, authority: Authority): void {
    const { cert, key } = authority.issue('gracewatch', [name])
    const files = { 'tls.crt': cert, 'tls.key': key, 'ca.crt': authority.cert }
    mkdirSync(join(mount, version))
    for (const [file, text] of Object.entries(files)) writeFileSync(join(mount, version, file), text)
    symlinkSync(version, join(mount, '..data_tmp'))
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gracewatch-scrape-'))
    const find = await rendered('metrics.tls.secretName=metrics-tls')
    const [{ tlsConfig }] = find('ServiceMonitor gracewatch').spec.endpoints
    const [{ env, volumeMounts }] = find('Deployment gracewatch-controller').spec.template.spec.containers
    const [mounted] = volumeMounts
    name = tlsConfig.serverName ?? ''
    mount = join(folder, mounted?.mountPath ?? '')
    mkdirSync(mount)
    bring('..first', first)
    for (const file of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(join('..data', file), join(mount, file))
    const path = (setting: string) => join(folder, env.find((it) => it.name === `GRACEWATCH_METRICS_TLS_${setting}`)?.value ?? '')
    server = await startMetricsServer({
      address: { host: '127.0.0.1', port: 0 },
      certificate: await certificateOfFiles({ cert: path('CERT_FILE'), key: path('KEY_FILE') }, log, 250),
      access: { check: async (authorization) => (authorization === `Bearer ${TOKEN}` ? 'Allowed' : 'Unauthorized') },
      exposition: { contentType: 'text/plain; version=0.0.4', scrape: async () => ({ text: 'gracewatch_leader 1\n' }) },
      log,
    })
    const ca = join(mount, tlsConfig.ca?.secret.key ?? '')
    writeFileSync(join(folder, 'next.crt'), next.cert)
    const verifying = (job_name: string, tls_config: object) => ({
      ...{ ...job, job_name, tls_config, authorization: { credentials: TOKEN } },
      static_configs: [{ targets: [`127.0.0.1:${server.port}`] }],
    })
    prometheus = await Prometheus.start({
      global: { scrape_interval: '2s', scrape_timeout: '2s' },
      scrape_configs: [
        verifying('verifying', { server_name: name, ca_file: ca }),
        verifying('of-another-name', { server_name: 'gracewatch-metrics.other.svc', ca_file: ca }),
        verifying('of-the-next-authority', { server_name: name, ca_file: join(folder, 'next.crt') }),
      ],
    })
  })
  afterAll(async () => {
    await prometheus?.stop()
    await server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const targets = async () =>
    Object.fromEntries(
      (await prometheus.targets()).map(({ scrapePool, health, lastError }) => [scrapePool, `${health} ${lastError}`]),
    )
  const wrongName = expect.stringMatching(
    /^down .*certificate is valid for gracewatch-metrics\S+, not gracewatch-metrics\.other\.svc/,
  )

  it('is verified by name and authority', async () => {
    expect(name).toBe(`gracewatch-metrics.${NAMESPACE}.svc`)
    await expect.poll(targets, SCRAPED).toEqual({
      verifying: 'up ',
      'of-another-name': wrongName,
      'of-the-next-authority': expect.stringMatching(/^down .*certificate signed by unknown authority/),
    })
    // A target is told to be up a moment before its samples can be read.
    await expect
      .poll(() => prometheus.query('gracewatch_leader'), SCRAPED)
      .toMatchObject([{ metric: { job: 'verifying' }, value: 1 }])
  })

  it('is the new one after the Secret has changed, and its authority with it', async () => {
    bring('..next', next)
    await expect.poll(targets, SCRAPED).toEqual({
      verifying: 'up ',
      'of-another-name': wrongName,
      'of-the-next-authority': 'up ',
    })
  })
})
