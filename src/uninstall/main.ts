/**
 * `helm uninstall` runs this first, as a Job of the chart, and an upgrade that switches gates off runs it last. Exit codes: 0 done, 1 failed,
 * 2 bad settings.
 */
import { openConnection } from '../kube/connection.ts'
import { createLogger } from '../log.ts'
import { exitWith } from '../process.ts'
import { parseUninstallConfig } from './settings.ts'
import { uninstall } from './uninstall.ts'

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseUninstallConfig(argv)
  if ('help' in parsed) {
    process.stdout.write(parsed.help)
    return 0
  }
  if ('problems' in parsed) {
    for (const problem of parsed.problems) process.stderr.write(`gracewatch-uninstall: ${problem}\n`)
    return 2
  }
  const { config, warnings } = parsed
  const log = createLogger(config.logLevel)
  for (const warning of warnings) log.warn({ warning }, 'setting not understood')
  const { http } = await openConnection(
    config.kubeconfig === undefined && config.inCluster !== undefined
      ? { inCluster: true, ...config.inCluster }
      : { kubeconfig: config.kubeconfig, context: config.context },
  )
  // As of a Job past its deadline.
  const stopped = new AbortController()
  process.once('SIGTERM', () => stopped.abort(new Error('told to stop before everything was done')))
  try {
    await uninstall({ http, log, settings: config, signal: stopped.signal })
    return 0
  } finally {
    await http.close()
  }
}

if (import.meta.main) exitWith('gracewatch-uninstall', main(process.argv.slice(2)))
