import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { NamedCluster } from './arguments.ts'
import type { Undo } from './undo.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const LEADS_WITHIN_MS = 60_000
const STOPS_WITHIN_MS = 25_000
const LAST_LINES = 8

/**
 * Runs the controller of this tree against the cluster, for one namespace, in which it also has its Lease. Resolves once it leads.
 * Needs its CRD to be there.
 */
export async function startLocalController(
  { kubeconfig, context }: NamedCluster,
  namespace: string,
  undo: Undo,
  signal: AbortSignal,
): Promise<void> {
  const args = [
    join(ROOT, 'src/main.ts'),
    `--kubeconfig=${kubeconfig}`,
    ...(context === undefined ? [] : [`--context=${context}`]),
    `--namespace=${namespace}`,
    `--namespaces=${namespace}`,
    '--health-address=127.0.0.1:0',
  ]
  // What a person has set for a controller of his own is not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GRACEWATCH_')))
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  undo.add('stopping the controller', async () => {
    const late = setTimeout(() => child.kill('SIGKILL'), STOPS_WITHIN_MS)
    child.kill('SIGTERM')
    await ended
    clearTimeout(late)
  })
  const lines: string[] = []
  const leads = Promise.withResolvers<void>()
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > LAST_LINES) lines.shift()
      if (/"msg":"leading"/.test(line)) leads.resolve()
    })
  }
  const failed = (why: string) => new Error(`the controller ${why}:\n${lines.join('\n')}`)
  const late = setTimeout(() => leads.reject(failed(`does not lead after ${LEADS_WITHIN_MS / 1000} s`)), LEADS_WITHIN_MS)
  const stop = () => leads.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  void ended.then(() => leads.reject(failed('ended')))
  try {
    await leads.promise
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', stop)
  }
}
