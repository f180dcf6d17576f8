/** The page on loopback, and nowhere else. */
import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { type PageOptions, pageApp } from './app.ts'

export interface PageServer {
  readonly port: number
  /** With the key, where there is one. */
  readonly address: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
/** For streams to end by themselves, so that what reads them sees an end and no error. */
const GOODBYE_MS = 200

/**
 * An address of this machine that no other server is likely to have. Cookies do not tell ports apart: to whatever else listens on 127.0.0.1
 * a browser sends the key of a page there as well.
 */
const ownHost = () => `127.${randomInt(1, 255)}.${randomInt(0, 256)}.${randomInt(1, 255)}`

export interface StartOptions extends Omit<PageOptions, 'closing'> {
  /** 0 takes a free one. */
  readonly port: number
  /** Take an address of its own where the system has some: all of 127.0.0.0/8 are this machine on Linux, and one elsewhere. */
  readonly apart?: boolean
}

/** Rejects, in words for who chose the port, where it cannot be had. */
export function startPage({ apart = false, ...options }: StartOptions): Promise<PageServer> {
  if (!apart) return listen(HOST, options)
  return listen(ownHost(), options).catch((error: Error) => {
    if ((error.cause as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error // what listen rejects with
    return listen(HOST, options)
  })
}

function listen(host: string, { port, ...options }: StartOptions): Promise<PageServer> {
  const closing = new AbortController()
  const app = pageApp({ ...options, closing: closing.signal })
  const server = createAdaptorServer({ fetch: app.fetch })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${error.message})`
      reject(new Error(`${host}:${port} ${why}`, { cause: error }))
    })
    server.listen(port, host, () => {
      const { port: own } = server.address() as AddressInfo // a server that listens on a port has one
      resolve({
        port: own,
        address: `http://${host}:${own}/${options.key === undefined ? '' : `?key=${options.key}`}`,
        close: () =>
          new Promise((closed) => {
            closing.abort()
            server.close(() => closed())
            // The streams end by themselves; a browser keeps its other connections for later.
            if ('closeAllConnections' in server) setTimeout(() => server.closeAllConnections(), GOODBYE_MS)
          }),
      })
    })
  })
}
