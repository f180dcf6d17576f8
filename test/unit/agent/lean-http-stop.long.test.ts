/** The reflector stops as cleanly over node:https as over undici. A file of its own: it counts what is open in the process. */
import { vi } from 'vitest'

vi.mock('../../../src/kube/http-client.ts', async () => ({
  HttpClient: (await import('../../../src/kube/lean-http-client.ts')).LeanHttpClient,
}))

await import('../kube/stop.test.ts')
