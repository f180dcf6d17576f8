/** `gracewatch open`, which ends once its kubeconfig is gone: the cluster has been taken down. */
import { existsSync } from 'node:fs'

const kubeconfig = process.argv.at(-1) ?? ''
const looking = setInterval(() => {
  if (existsSync(kubeconfig)) return
  clearInterval(looking)
  process.kill(process.pid, 'SIGTERM')
}, 500)
looking.unref()
await import('../../src/cli/main.ts')
