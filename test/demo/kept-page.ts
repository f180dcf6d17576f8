/** The page that `npm run demo -- --keep` leaves up: a process of its own, which ends when the cluster is taken down. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type ProcessId, startDetached, stateOf, stop } from '../cluster/processes.ts'
import { partEnvironment } from '../cluster/settings.ts'

const PROCESS = join(import.meta.dirname, 'kept-page-process.ts')
const STARTS_WITHIN_MS = 60_000
const STOPS_WITHIN_MS = 5000
const processSchema = z.object({ pid: z.number(), startTicks: z.string() })

export interface KeptPage {
  /** With its key. */
  readonly address: string
  readonly process: ProcessId
}

/**
 * Starts it, in place of the one that an earlier demo has left there.
 * @param kubeconfig whose rights it has; once this file is gone, it ends
 * @param folder for its log and its process id; it goes with the cluster
 */
export async function keepPage(kubeconfig: string, folder: string): Promise<KeptPage> {
  const [idFile, logFile] = [join(folder, 'page.json'), join(folder, 'page.log')]
  if (existsSync(idFile)) await stop(processSchema.parse(JSON.parse(readFileSync(idFile, 'utf8'))), STOPS_WITHIN_MS)
  rmSync(logFile, { force: true })
  // The key is for who may read the kubeconfig.
  writeFileSync(logFile, '', { mode: 0o600 })
  const args = [PROCESS, 'open', '--all-namespaces', '--kubeconfig', kubeconfig]
  const process = await startDetached({
    command: globalThis.process.execPath,
    args,
    env: partEnvironment(),
    cwd: folder,
    logFile,
  })
  writeFileSync(idFile, JSON.stringify(process))
  const until = performance.now() + STARTS_WITHIN_MS
  for (;;) {
    const text = readFileSync(logFile, 'utf8')
    const [address] = /^http:\S+(?=\n)/m.exec(text) ?? []
    if (address !== undefined) return { address, process }
    if (stateOf(process) === 'gone' || performance.now() > until) {
      await stop(process, STOPS_WITHIN_MS)
      throw new Error(`the page does not come up: ${text.trim() || 'it says nothing'}`)
    }
    await sleep(50)
  }
}
