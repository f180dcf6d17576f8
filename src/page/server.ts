/** The page on loopback, and nowhere else. */
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

/** Rejects, in words for who chose the port, where it cannot be had; port 0 takes a free one. */
export function startPage({ port, ...options }: Omit<PageOptions, 'closing'> & { readonly port: number }): Promise<PageServer> {
  const closing = new AbortController()
  const app = pageApp({ ...options, closing: closing.signal })
  const server = createAdaptorServer({ fetch: app.fetch })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${error.message})`
      reject(new Error(`${HOST}:${port} ${why}`, { cause: error }))
    })
    server.listen(port, HOST, () => {
      const { port: own } = server.address() as AddressInfo // a server that listens on a port has one
      resolve({
        port: own,
        address: `http://${HOST}:${own}/${options.key === undefined ? '' : `?key=${options.key}`}`,
        close: () =>
          new Promise((closed) => {
            closing.abort()
            server.close(() => closed())
            // The streams end by themselves; a browser keeps its other connections for later.
            if ('closeAllConnections' in server) setTimeout(() => server.closeAllConnections(), 200)
          }),
      })
    })
  })
}
