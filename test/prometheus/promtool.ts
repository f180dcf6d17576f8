/**
 * Programs of the Prometheus project, built from their Go modules once a machine. Of service discoveries, which are most of it, there is
 * only that of Kubernetes.
 */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { workFolder } from '../cluster/image-tar.ts'
import { readSettings } from '../cluster/settings.ts'

const PROMETHEUS = '0.316.0'
/** Those after it are no Go module to install: their page has to be built first. */
const ALERTMANAGER = '0.30.0'
const PACKAGES = {
  promtool: `github.com/prometheus/prometheus/cmd/promtool@v${PROMETHEUS}`,
  prometheus: `github.com/prometheus/prometheus/cmd/prometheus@v${PROMETHEUS}`,
  alertmanager: `github.com/prometheus/alertmanager/cmd/alertmanager@v${ALERTMANAGER}`,
} as const
const TAGS = 'remove_all_sd,enable_kubernetes_sd'

export const PROGRAMS = Object.keys(PACKAGES) as (keyof typeof PACKAGES)[] // its own keys

/** Path of a program; builds it where it is not there, which takes some minutes, on a slow machine many. It appears whole or not at all. */
export async function prometheusBinary(name: keyof typeof PACKAGES): Promise<string> {
  const hash = createHash('sha256').update([process.arch, TAGS, PACKAGES[name]].join('\0')).digest('hex').slice(0, 12)
  const programs = join(readSettings().cacheDir, 'prometheus')
  const path = join(programs, `${name}-${hash}`)
  if (existsSync(path)) return path
  const folder = workFolder(programs)
  try {
    await promisify(execFile)('go', ['install', '-tags', TAGS, PACKAGES[name]], {
      env: { ...process.env, GOBIN: folder },
      maxBuffer: 64 * 1024 * 1024,
    })
    renameSync(join(folder, name), path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return path
}

/** What `promtool` says of a file in which files of its cluster may be named; empty where all is well. */
export const checkConfig = (path: string): Promise<string> => said('check', 'config', '--syntax-only', path)

/** What it says of a file of rules, every lint of it; empty where all is well. */
export const checkRules = (path: string): Promise<string> => said('check', 'rules', '--lint=all', '--lint-fatal', path)

/** What a file of tests of rules finds that is not as it says; empty where all is. */
export const testRules = (path: string): Promise<string> => said('test', 'rules', path)

async function said(...args: string[]): Promise<string> {
  return promisify(execFile)(await prometheusBinary('promtool'), args).then(
    () => '',
    (error: { stdout?: string; stderr?: string; message: string }) =>
      `${error.stdout ?? ''}${error.stderr ?? ''}` || error.message,
  )
}

/** What `promtool check metrics` says of an exposition: problems of syntax, names and units; empty where all is well. */
export async function checkMetrics(exposition: string): Promise<string> {
  const child = spawn(await prometheusBinary('promtool'), ['check', 'metrics', '--extended'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdout.resume()
  child.stdin.end(exposition)
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  return code === 0 && said === '' ? '' : `exit code ${code}\n${said}`
}
