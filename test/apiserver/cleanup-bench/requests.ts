/** What the API server was asked for by anybody, by its own count. */
import type { KubeHttp } from '../../../src/kube/http.ts'

/** By verb and resource, as `DELETE pods`; those that were answered with an error by their status too, as `DELETE pods 429`. */
export type Requests = ReadonlyMap<string, number>

/** Leases are renewed whatever is done, and what is watched is one request however much comes of it. */
const ASIDE = /^(WATCH|CONNECT) | leases$| $/

export async function requestsServed(http: KubeHttp): Promise<Requests> {
  const text = new TextDecoder().decode((await http.request({ method: 'GET', path: '/metrics', accept: 'text/plain' })).body)
  const counts = new Map<string, number>()
  for (const [, labels = '', value] of text.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
    const label = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? ''
    const subresource = label('subresource')
    const what = `${label('verb')} ${label('resource')}${subresource === '' ? '' : `/${subresource}`}`
    const key = Number(label('code')) < 400 ? what : `${what} ${label('code')}`
    if (!ASIDE.test(what)) counts.set(key, (counts.get(key) ?? 0) + Number(value))
  }
  return counts
}

/** Most asked for first. */
export function since(before: Requests, after: Requests): [string, number][] {
  return [...after]
    .map(([key, count]): [string, number] => [key, count - (before.get(key) ?? 0)])
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
}
