/** `npm run demo`: see HELP in arguments.ts. Results go to standard output, progress to standard error. */
import { dirname } from 'node:path'
import { ClusterError, messageOf } from '../cluster/errors.ts'
import type { Cluster } from '../cluster/index.ts'
import { terminalProgress } from '../cluster/index.ts'
import { formatSeconds } from '../cluster/progress.ts'
import { type DemoArguments, HELP, parseArguments, UsageError } from './arguments.ts'
import { openEmbedded } from './embedded.ts'
import { keepPage } from './kept-page.ts'
import { openNamed, prepareNamed } from './named.ts'
import { writeReport } from './records.ts'
import { type Result, runAll } from './run.ts'
import { Screen } from './screen.ts'
import type { Target } from './target.ts'
import { Undo } from './undo.ts'

/** Thrown at whatever waits when the person at the terminal has had enough. */
class Interrupted extends Error {
  override name = 'Interrupted'
}
const INTERRUPTED_CODE = 130

const progress = terminalProgress(process.stderr)
const undo = new Undo()
const interrupt = new AbortController()

function onSignal(): void {
  if (interrupt.signal.aborted) {
    process.stderr.write('\nstopped at once: what the demo made is still there\n')
    process.exit(INTERRUPTED_CODE)
  }
  process.stderr.write('\nstopping; once more to stop at once and leave everything as it is\n')
  interrupt.abort(new Interrupted('interrupted'))
}

async function demo(args: Exclude<DemoArguments, { mode: 'help' }>): Promise<number> {
  const started = performance.now()
  const screen = new Screen(process.stdout, process.stderr, process.env)
  let kept: { cluster: Cluster; target?: Target } | undefined
  let code = 0
  let prepared = false
  try {
    let target: Target
    if (args.mode === 'embedded') {
      const embedded = await openEmbedded(progress, undo, args.agent)
      if (args.keep) kept = { cluster: embedded.cluster }
      interrupt.signal.throwIfAborted()
      target = await embedded.prepare()
      if (kept) kept.target = target
    } else {
      const objects = await progress.step('asking the cluster', () => openNamed(args.cluster, undo))
      target = await prepareNamed({
        objects,
        named: args.cluster,
        wantsAgent: args.agent,
        progress,
        undo,
        signal: interrupt.signal,
      })
    }
    prepared = true
    interrupt.signal.throwIfAborted()
    code = summary(screen, await runAll(target, screen, progress, interrupt.signal))
  } catch (error) {
    code = error instanceof Interrupted ? INTERRUPTED_CODE : 1
    process.stderr.write(`demo: ${wordsOf(error)}\n`)
  }
  if (kept) {
    const up = await keep(screen, kept.cluster, kept.target)
    if (!up && code === 0) code = 1
  } else {
    const left = await undo.run(progress)
    for (const sentence of left) process.stderr.write(`demo: ${sentence}\n`)
    if (left.length > 0 && code === 0) code = 1
  }
  if (prepared) screen.print(`The demo took ${formatSeconds(performance.now() - started)}.`)
  return code
}

function summary(screen: Screen, results: readonly Result[]): number {
  const wrong = results.filter(({ right }) => !right)
  screen.print('', ...results.flatMap(({ title, right }) => screen.check({ ok: right, words: title })), '')
  screen.print(
    wrong.length === 0
      ? `All ${results.length} verdicts are what they have to be.`
      : `${wrong.length} of ${results.length} verdicts are not what they have to be: see WRONG above.`,
    `All of them drawn, for a browser: ${writeReport(results.flatMap(({ records }) => records))}`,
  )
  return wrong.length === 0 ? 0 : 1
}

/** @returns whether the page is up */
async function keep(screen: Screen, cluster: Cluster, target: Target | undefined): Promise<boolean> {
  await target?.objects.http.close()
  const page = target === undefined ? undefined : await openPage(cluster)
  await cluster.close({ keep: true })
  const commands = [['eval "$(npm run -s cluster -- env)"', 'kubectl speaks to it from now on']]
  if (target !== undefined) {
    const space = `-n ${target.namespace}`
    commands.push(
      [`kubectl get pterm ${space}`, 'the records; -o wide, -o yaml'],
      [`npx gracewatch show 3-prestop-20s ${space}`, 'one of them as a picture'],
      [`npx gracewatch watch ${space}`, 'more of them, live'],
      [`kubectl events ${space} --types=Warning`, 'what was told on the pods'],
      [`kubectl rollout restart ${space} deployment/web`, 'ends three more'],
    )
  }
  commands.push(
    ['kubectl get pterm -A --field-selector outcome=ForcedKill', ''],
    ['kubectl explain pterm.findings', 'what a field and its values mean'],
    ['npm run cluster -- down', 'leaves nothing behind'],
  )
  const width = Math.max(...commands.map(([command = '']) => command.length))
  screen.print(
    '',
    ...(page === undefined
      ? []
      : ['All of them as a page, live, for a browser on this machine:', `  ${screen.strong(page)}`, '']),
    `The cluster stays up${page === undefined ? '' : ', and the page with it'}. To go on:`,
    ...commands.flatMap(([command = '', what = '']) => {
      const line = `  ${command.padEnd(width)}  ${what}`.trimEnd()
      return line.length <= screen.width ? [line] : [`  ${command}`, `      ${what}`]
    }),
    '',
  )
  return page !== undefined
}

/** Its address; undefined where it does not come up. */
async function openPage(cluster: Cluster): Promise<string | undefined> {
  try {
    const { address } = await progress.step('starting the page', () =>
      keepPage(cluster.kubeconfigPath, dirname(cluster.logFile('kube-apiserver'))),
    )
    return address
  } catch (error) {
    process.stderr.write(`demo: ${wordsOf(error)}\n`)
    return undefined
  }
}

/** A stack is for what nobody has foreseen. */
function wordsOf(error: unknown): string {
  const foreseen =
    error instanceof ClusterError || error instanceof Interrupted || (error instanceof Error && error.constructor === Error)
  if (foreseen || !(error instanceof Error) || error.name === 'KubeError') return messageOf(error)
  return error.stack ?? error.message
}

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2))
  if (args.mode === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // Whoever read the results has gone, as `head` does: what was made has to go all the same.
  process.stdout.on('error', () => interrupt.abort(new Interrupted('nobody reads the results any more')))
  return demo(args)
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`demo: ${error.message}\n`)
  process.exitCode = 2
}
