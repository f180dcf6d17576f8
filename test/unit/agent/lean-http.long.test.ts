/** What holds for calls over undici holds for calls over node:https: the same tests, with the other client in its place. */
import { vi } from 'vitest'
import type { HttpClientOptions } from '../../../src/kube/http-client.ts'

vi.mock('../../../src/kube/http-client.ts', async (original) => {
  const { HttpClient } = await original<typeof import('../../../src/kube/http-client.ts')>()
  const { LeanHttpClient } = await import('../../../src/kube/lean-http-client.ts')
  // It has no proxies, so the one test of them stays with the client that has.
  return {
    HttpClient: function choose(options: HttpClientOptions) {
      return options.proxy === undefined ? new LeanHttpClient(options) : new HttpClient(options)
    },
  }
})

await import('../kube/http-client.test.ts')
await import('../kube/http-streams.test.ts')
await import('../kube/http-tls.test.ts')
await import('../kube/reflector-breaks.long.test.ts')
