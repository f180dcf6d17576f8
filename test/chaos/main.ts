/** `npm run chaos -- [--minutes N] [--seed S]`: faults one by one and then at random, on a control plane of its own. Exits 1 if anything is wrong. */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureCluster, terminalProgress } from '../cluster/index.ts'

const root = resolve(import.meta.dirname, '../..')

function settings(): { minutes: number; seed: number } {
  try {
    const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } } })
    const minutes = Number(values.minutes)
    const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed)
    if (minutes > 0 && Number.isSafeInteger(seed)) return { minutes, seed }
    console.error('--minutes takes a number above 0, --seed a whole number')
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}: npm run chaos -- [--minutes N] [--seed S]`)
  }
  process.exit(2)
}

const { minutes, seed } = settings()
console.log(`chaos for ${minutes} minutes; the same again: npm run chaos -- --minutes ${minutes} --seed ${seed}`)
const cluster = await ensureCluster({
  shape: 'control-plane',
  progress: terminalProgress(process.stderr),
  command: 'npm run chaos',
})
try {
  const runner = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config=test/vitest.config.ts', `--root=${root}`]
  const child = spawn(process.execPath, [...runner, '--project=chaos', '--disable-console-intercept'], {
    cwd: root,
    env: { ...process.env, GRACEWATCH_CHAOS_MINUTES: String(minutes), GRACEWATCH_CHAOS_SEED: String(seed) },
    stdio: 'inherit',
  })
  process.exitCode = await new Promise<number>((done) => child.on('exit', (code) => done(code ?? 1)))
} finally {
  await cluster.close()
}
