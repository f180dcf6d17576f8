/** A kubeconfig's server and credentials, read by the Kubernetes client with every kind of authentication that it knows. */
import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Credentials, TlsMaterial } from './api-http.ts'
import { KubeError } from './errors.ts'
import { oneLine } from './failures.ts'

export interface KubeconfigSource {
  /** A file; without it $KUBECONFIG (which may name several) or ~/.kube/config. */
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
}

export interface LoadedKubeconfig {
  readonly server: string
  readonly context: string
  readonly namespace: string
  readonly proxy?: string
  credentials(rejected: boolean): Promise<Credentials>
}

/** Certificates and tokens in files, and tokens that a program gave, can change at any time; reading them costs little. */
const MAX_AGE_MS = 10_000
const SERVERS = ['http:', 'https:']
const PROXIES = ['http:', 'https:', 'socks:', 'socks5:']

export async function loadKubeconfig(
  source: KubeconfigSource,
  monotonicMs: () => number = () => performance.now(),
): Promise<LoadedKubeconfig> {
  let config = await load(source)
  const cluster = config.getCurrentCluster()
  const context = config.getContextObject(config.getCurrentContext())
  if (cluster === null || context === null) {
    throw new Error(`context "${config.getCurrentContext()}" of ${nameOf(source)} names no cluster that the file has`)
  }
  let current: Credentials | undefined
  let readAt = 0
  const proxy = cluster.proxyUrl
  if (!isUrlOf(cluster.server, SERVERS)) {
    throw new Error(`server "${cluster.server}" of cluster "${cluster.name}" in ${nameOf(source)} must be an http or https URL`)
  }
  if (proxy && !isUrlOf(proxy, PROXIES)) {
    throw new Error(`proxy-url "${proxy}" of cluster "${cluster.name}" must be an http, https or socks5 URL`)
  }

  async function read(): Promise<Credentials> {
    const next = await credentialsOf(config)
    readAt = monotonicMs()
    if (current === undefined || !same(current.headers, next.headers) || !same(current.tls, next.tls)) {
      current = { headers: next.headers, tls: current !== undefined && same(current.tls, next.tls) ? current.tls : next.tls }
    }
    return current
  }

  return {
    server: cluster.server,
    context: config.getCurrentContext(),
    namespace: context.namespace || 'default',
    ...(proxy && { proxy }),
    async credentials(rejected) {
      if (current !== undefined && !rejected && monotonicMs() - readAt < MAX_AGE_MS) return current
      // What a program once gave is kept inside the client's object until it says that it expired: begin with a new one.
      if (rejected) config = await load(source)
      return read()
    },
  }
}

/** Of files only what is a URL is one: YAML has numbers and lists as well. */
function isUrlOf(text: unknown, protocols: readonly string[]): boolean {
  return typeof text === 'string' && URL.canParse(text) && protocols.includes(new URL(text).protocol)
}

async function load(source: KubeconfigSource): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    if (source.kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(source.kubeconfig)
  } catch (cause) {
    // Below the first line the parser of YAML quotes the file, and what it quotes can be a token.
    throw new Error(`cannot read ${nameOf(source)}: ${messageOf(cause).split('\n')[0]}`)
  }
  // Without any file the client falls back on the pod's account or on http://localhost:8080; both surprise whoever named neither.
  if (source.kubeconfig === undefined && ['inClusterContext', 'loaded-context'].includes(config.getCurrentContext())) {
    throw new Error(
      'there is no kubeconfig: $KUBECONFIG is not set and ~/.kube/config does not exist; name one with --kubeconfig',
    )
  }
  if (source.context !== undefined) config.setCurrentContext(source.context)
  const names = config.getContexts().map((known) => known.name)
  if (!names.includes(config.getCurrentContext())) {
    throw new Error(
      `${nameOf(source)} has no context "${config.getCurrentContext() ?? ''}"; name one with --context: ${names.join(', ') || 'it has none'}`,
    )
  }
  return config
}

async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {}
  try {
    await config.applyToHTTPSOptions(options)
  } catch (cause) {
    throw new KubeError('Unauthorized', `the kubeconfig's credentials cannot be had: ${oneLine(messageOf(cause))}`, { cause })
  }
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value)
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`
  const tls: Record<string, unknown> = {}
  for (const name of ['ca', 'cert', 'key', 'pfx', 'passphrase', 'servername', 'rejectUnauthorized'] as const) {
    const value = Reflect.get(options, name)
    if (value !== undefined && value !== null) tls[name] = value
  }
  // The client puts strings and Buffers (and one boolean) under these names, as node:tls takes them.
  return { headers, tls: tls as TlsMaterial }
}

function same(one: object, other: object): boolean {
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every((key) => equal(Reflect.get(one, key), Reflect.get(other, key)))
}

function equal(one: unknown, other: unknown): boolean {
  return one === other || (Buffer.isBuffer(one) && Buffer.isBuffer(other) && one.equals(other))
}

function nameOf(source: KubeconfigSource): string {
  return source.kubeconfig === undefined ? 'the default kubeconfig' : `kubeconfig ${source.kubeconfig}`
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
