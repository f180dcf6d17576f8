/**
 * `npm test [-- SUITE…]`: runs the suites one after the other and ends with a line of its own, counted from the runner's reports.
 * What each of them needs is in the README, under Development.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const SUITES = [
  'check',
  'unit',
  'long',
  'command',
  'page',
  'replay',
  'agent',
  'cluster',
  'apiserver',
  'bench',
  'chaos',
  'e2e',
] as const
type Suite = (typeof SUITES)[number]
interface Counts {
  passed: number
  failed: number
  /** What failed and why, a line each: the end of a long output is what is read first. */
  failures: string[]
}
interface Result extends Counts {
  suite: Suite
  seconds: number
}
/** What the runner's JSON report has of use here. */
interface Report {
  numPassedTests: number
  numFailedTests: number
  numTotalTests: number
  numFailedTestSuites: number
  testResults: {
    name: string
    status: string
    message: string
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
  }[]
}

const root = resolve(import.meta.dirname, '..')
const out = join(root, 'out', 'test')

function run(command: string, args: string[]): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' })
    child.on('error', fail)
    child.on('exit', (code, signal) => done(code ?? (signal ? 1 : 0)))
  })
}

/** Types, lint, dead code and stale generated files count as one test. */
async function check(): Promise<Counts> {
  const code = await run(process.execPath, [join(root, 'test/check.ts')])
  return code === 0 ? { passed: 1, failed: 0, failures: [] } : { passed: 0, failed: 1, failures: ['npm run check'] }
}

function failuresIn({ testResults }: Report, whole: boolean): string[] {
  const reason = (text = '') => stripVTControlCharacters(text).split('\n')[0]
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    // Of a whole suite every test has to run.
    const failed = assertionResults.filter(({ status }) => status === 'failed' || (whole && status !== 'passed'))
    const file = relative(root, name)
    // A file that does not load, or a hook that fails, has no failed test.
    if (failed.length === 0 && status === 'failed') return [`${file}: ${reason(message)}`]
    return failed.map((test) => `${file}: ${test.fullName}: ${reason(test.failureMessages[0]) || test.status}`)
  })
}

async function vitest(suite: Suite, filters: string[]): Promise<Counts> {
  const report = join(out, `${suite}.json`)
  rmSync(report, { force: true })
  const code = await run(process.execPath, [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    `--config=${join(root, 'test/vitest.config.ts')}`,
    `--root=${root}`,
    `--project=${suite}`,
    // The project beside it, for those that start servers.
    ...(suite === 'unit' ? ['--project=unit-servers'] : []),
    // The runner leaves one core free by default, which is half of a small machine.
    '--maxWorkers=100%',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...filters,
  ])
  let counts: Report
  try {
    counts = JSON.parse(readFileSync(report, 'utf8')) as Report // as the runner writes it
  } catch (error) {
    return { passed: 0, failed: 1, failures: [`the runner ended with ${code} and left no report: ${String(error)}`] }
  }
  const skipped = counts.numTotalTests - counts.numPassedTests - counts.numFailedTests
  if (skipped > 0) console.error(`${suite}: ${skipped} tests did not run; a test that does not run counts as failed`)
  let failed = counts.numFailedTests + (filters.length > 0 ? 0 : skipped)
  // A file that fails to load, a hook that fails or an unhandled error has no failed test of its own.
  if (failed === 0 && code !== 0) failed = Math.max(1, counts.numFailedTestSuites)
  if (failed === 0 && counts.numPassedTests === 0) failed = 1
  return { passed: counts.numPassedTests, failed, failures: failuresIn(counts, filters.length === 0) }
}

const separator = process.argv.indexOf('--')
const words = process.argv.slice(2, separator === -1 ? undefined : separator)
const filters = separator === -1 ? [] : process.argv.slice(separator + 1)
const unknown = words.filter((word) => !(SUITES as readonly string[]).includes(word))
if (unknown.length > 0) {
  console.error(`unknown suite ${unknown.join(', ')}: choose from ${SUITES.join(', ')} (none: all of them), then -- FILTER…`)
  process.exit(2)
}
const chosen = SUITES.filter((suite) => words.length === 0 || words.includes(suite))

mkdirSync(out, { recursive: true })
const results: Result[] = []
for (const suite of chosen) {
  const start = performance.now()
  console.log(`\n=== ${suite}`)
  const counts = suite === 'check' ? await check() : await vitest(suite, filters)
  results.push({ suite, ...counts, seconds: (performance.now() - start) / 1000 })
}
console.log('\nsuite        passed  failed  seconds')
for (const { suite, passed, failed, seconds } of results) {
  console.log(
    `${suite.padEnd(12)} ${String(passed).padStart(6)}  ${String(failed).padStart(6)}  ${seconds.toFixed(1).padStart(7)}`,
  )
}
for (const { suite, failures } of results) {
  for (const failure of failures) console.log(`\nFAILED ${suite}: ${failure.slice(0, 2000)}`)
}
const passed = results.reduce((sum, result) => sum + result.passed, 0)
const failed = results.reduce((sum, result) => sum + result.failed, 0)
writeFileSync(join(out, 'summary.json'), JSON.stringify({ passed, failed, suites: results }, null, 2))
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
