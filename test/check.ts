/** `npm run check [-- --fix]`: types, lint and format, dead code, stale generated files. Exits 1 if one of them fails. */
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)
const fix = process.argv.includes('--fix')

const steps: { name: string; command: string; args: string[] }[] = [
  { name: 'lint and format', command: bin('biome'), args: ['check', '--error-on-warnings', ...(fix ? ['--write'] : [])] },
  { name: 'types', command: bin('tsc'), args: ['--noEmit'] },
  { name: 'dead code', command: bin('knip'), args: [] },
  {
    name: 'generated files',
    command: process.execPath,
    args: [join(root, 'src/api/generate.ts'), ...(fix ? [] : ['--check'])],
  },
]

let failed = false
for (const { name, command, args } of steps) {
  const start = performance.now()
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  if (result.status === 0) {
    console.log(`ok    ${name} (${seconds} s)`)
  } else {
    failed = true
    console.log(`FAIL  ${name} (${seconds} s)\n${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`)
  }
}
process.exitCode = failed ? 1 : 0
