import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Certificates } from './certificates.ts'

export interface Answer {
  /** HTTP status. */
  readonly status: number
  readonly body: string
}

/** One call of a part's HTTP or HTTPS endpoint with a client certificate; a refused or silent connection is undefined. */
export async function call(
  url: string,
  certificates: Certificates,
  client: 'admin' | 'apiserver-to-etcd',
  options: { readonly method?: string; readonly body?: string; readonly timeoutMs?: number } = {},
): Promise<Answer | undefined> {
  const secure = url.startsWith('https:')
  const tls = secure
    ? {
        ca: readFileSync(certificates.ca),
        cert: readFileSync(certificates.certificate(client)),
        key: readFileSync(certificates.key(client)),
      }
    : {}
  return new Promise((done) => {
    const request = (secure ? httpsRequest : httpRequest)(
      url,
      { method: options.method ?? 'GET', agent: false, signal: AbortSignal.timeout(options.timeoutMs ?? 3_000), ...tls },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
        })
        response.on('end', () => done({ status: response.statusCode ?? 0, body }))
        response.on('error', () => done(undefined))
      },
    )
    request.on('error', () => done(undefined))
    request.end(options.body)
  })
}
