/** Requests with a token, as whoever took it from its pod would send them. */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'

export interface Reply {
  readonly status: number
  readonly body: string
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Body {
  /** Media type. */
  readonly type: string
  readonly value: unknown
}

export type Send = (method: Method, path: string, body?: Body) => Promise<Reply>

const TIMEOUT_MS = 30_000

/** @param ca path of the certificate that the server's is signed with */
export function bearer(server: string, ca: string, token: string): Send {
  const trusted = readFileSync(ca)
  return (method, path, body) =>
    new Promise((done, fail) => {
      const headers = {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': body.type }),
      }
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      const sent = request(`${server}${path}`, { method, headers, ca: trusted, agent: false, signal }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('end', () => done({ status: response.statusCode ?? 0, body: text }))
        response.on('error', fail)
      })
      sent.on('error', fail)
      sent.end(body === undefined ? undefined : JSON.stringify(body.value))
    })
}
