/** Plain HTTP to one API server. Nothing here knows kinds, and nothing here loads the Kubernetes client. */
import type { Micros } from '../core/time.ts'
import type { KubeErrorCode } from './errors.ts'

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Absolute path, without the query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** A string or bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown
  /** Default application/json. */
  readonly contentType?: string
  /** Default application/json. */
  readonly accept?: string
  /** For the whole call, waiting for a connection included; of a stream, until its headers. Default 15 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
  /** When the request was handed to the connections, and when the response's head arrived: they bracket the server's Date. */
  readonly sentAt: Micros
  readonly receivedAt: Micros
  /** Throws KubeError BadResponse where the body is no JSON. The caller names the type that the API documents for this path. */
  json<T = unknown>(): T
  /** Texts of the server's Warning headers. */
  readonly warnings: readonly string[]
}

export interface HttpStream {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** Ends when the server ends the response cleanly or after close(); throws KubeError on anything else. One consumer only. */
  readonly chunks: AsyncIterable<Uint8Array>
  readonly sentAt: Micros
  readonly receivedAt: Micros
  /** Drops the connection. May be called at any time and more than once. */
  close(): void
}

/** One finished call, for metrics and for sampling the API server's clock. */
export interface ResponseObservation {
  /** The method, or WATCH for a stream (seconds then run to its headers). */
  readonly verb: string
  /** OK, or the code of the error. */
  readonly code: 'OK' | KubeErrorCode
  readonly status?: number
  readonly seconds: number
  /** The Date header as it came, with the bracket of recorder times that it lies in. Absent where no response came. */
  readonly date?: { readonly text: string; readonly sentAt: Micros; readonly receivedAt: Micros }
}

export interface KubeHttp {
  /** Any status from 400 on is thrown as a KubeError; so is everything that prevents an answer. */
  request(request: HttpRequest): Promise<HttpResponse>
  stream(request: HttpRequest): Promise<HttpStream>
  /** Returns the function that removes the observer. */
  onResponse(observer: (observation: ResponseObservation) => void): () => void
  /** Ends every call and stream and closes every connection. */
  close(): Promise<void>
}
