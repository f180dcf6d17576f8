/** Finished pods brought to a threshold beside podgc: the test of it, which writes its rates down where it is told to. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../apiserver/connect.ts'

const FILE = 'test/apiserver/cleanup-bench/ten-thousand.test.ts'

export interface Cleanup {
  readonly pods: number
  /** Deletions a second: with a record of each Failed pod, and by podgc. */
  readonly mixed: number
  readonly podgc: number
}

/** On the cluster that is up, with nobody else's finished pods about. */
export async function measureCleanup(pods: number): Promise<Cleanup> {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-bench-'))
  try {
    const file = join(folder, 'rates.json')
    const args = ['run', '--config', join(root, 'test/vitest.config.ts'), '--root', root, '--project', 'apiserver', FILE]
    const named = ['--testNamePattern', 'records each Failed one|podgc on the same set']
    const child = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args, ...named], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, GRACEWATCH_CLEANUP_PODS: String(pods), GRACEWATCH_CLEANUP_RATES: file },
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-8000)
    })
    const code = await new Promise<number | null>((done) => child.on('close', done))
    if (code !== 0) throw new Error(`${FILE} failed:\n${said}`)
    // The test's own file.
    const { mixed, podgc } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>
    if (mixed === undefined || podgc === undefined) throw new Error(`${FILE} wrote no rates`)
    return { pods, mixed, podgc }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
