/** The service account that the kubelet mounts into a pod. Nothing here loads the Kubernetes client. */
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { Credentials, TlsMaterial } from './api-http.ts'
import { KubeError } from './errors.ts'

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount'
/** The kubelet rotates tokens long before they expire; client-go reads them again after a minute as well. */
const MAX_AGE_MS = 60_000

/**
 * Token and CA of the mounted service account. Both files are read again when what is known is a minute old, and at once after
 * a 401. Files that cannot be read for a moment are covered by what was read last.
 */
export function serviceAccountCredentials(
  directory: string,
  monotonicMs: () => number = () => performance.now(),
): (rejected: boolean) => Promise<Credentials> {
  let current: { token: string; ca: Buffer; credentials: Credentials } | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<Credentials> | undefined

  async function read(): Promise<Credentials> {
    try {
      const [token, ca] = await Promise.all([
        readFile(join(directory, 'token'), 'utf8').then((text) => text.trim()),
        readFile(join(directory, 'ca.crt')),
      ])
      readAt = monotonicMs()
      if (current === undefined || current.token !== token || !current.ca.equals(ca)) {
        const tls: TlsMaterial = current?.ca.equals(ca) ? current.credentials.tls : { ca }
        current = { token, ca, credentials: { headers: { authorization: `Bearer ${token}` }, tls } }
      }
      return current.credentials
    } catch (cause) {
      if (current !== undefined) return current.credentials
      throw new KubeError(
        'Unauthorized',
        `cannot read the service account in ${directory}: ${messageOf(cause)}; set automountServiceAccountToken, or name a kubeconfig`,
        { cause },
      )
    }
  }

  return async (rejected) => {
    if (current !== undefined && !rejected && monotonicMs() - readAt < MAX_AGE_MS) return current.credentials
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }
}

export function inClusterServer(host: string, port: string): string {
  if (host === '' || !/^\d+$/.test(port)) {
    throw new Error(
      `KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are "${host}" and "${port}": this is no pod; name a kubeconfig`,
    )
  }
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

export async function inClusterNamespace(directory: string): Promise<string> {
  try {
    return (await readFile(join(directory, 'namespace'), 'utf8')).trim()
  } catch (cause) {
    throw new Error(`cannot read the service account's namespace in ${directory}: ${messageOf(cause)}`, { cause })
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
