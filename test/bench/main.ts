/** `npm run bench`: see HELP. Results go to standard output, progress to standard error. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../cluster/errors.ts'
import { ensureCluster, terminalProgress } from '../cluster/index.ts'
import { planOf, runBench } from './bench.ts'
import { textOf } from './print.ts'

const HELP = `npm run bench -- --pods COUNT [--json FILE]

Measures the built controller beside programs that do a part of its work, on the control plane of
test/cluster (Linux, root, Go 1.26): memory and start beside client-go's informer, terminations
beside bare writes of the same records, CPU while pods change that do not end, cleanup beside
podgc. COUNT is how many pods there are at most. Up to 10000 the long parts are left out.

  --pods COUNT         100 to 150000
  --json FILE          every figure, with the ratios
  -h, --help           this text
`
const [LEAST, MOST] = [100, 150_000]

function parse(): { pods: number; json: string | undefined } | string {
  try {
    const { values } = parseArgs({
      options: { pods: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    })
    if (values.help === true) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    const pods = Number(values.pods)
    if (!Number.isInteger(pods) || pods < LEAST || pods > MOST) return `--pods has to be a whole number from ${LEAST} to ${MOST}`
    return { pods, json: values.json }
  } catch (error) {
    return messageOf(error)
  }
}

async function main(): Promise<number> {
  const parsed = parse()
  if (typeof parsed === 'string') {
    process.stderr.write(`bench: ${parsed}; --help says more\n`)
    return 2
  }
  const { pods, json } = parsed
  const progress = terminalProgress(process.stderr)
  const cluster = await ensureCluster({ shape: 'control-plane', progress, command: `npm run bench -- --pods ${pods}` })
  try {
    const report = await runBench(cluster, planOf(pods), progress)
    process.stdout.write(textOf(report))
    if (json !== undefined) {
      const file = resolve(json)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
    }
    return 0
  } finally {
    await cluster.close()
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`bench: ${messageOf(error)}\n`)
    process.exit(1)
  },
)
