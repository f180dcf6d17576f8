/** `gracewatch summary`: what a workload's terminations say of its grace period and its preStop hook. */
import { summarise } from '../core/summary/index.ts'
import { drawSummary } from '../render/summary.ts'
import { type Parsed, UsageError } from './arguments.ts'
import { ALL_NAMESPACES, CLUSTER_FLAGS, everywhereOf, knownOf, readChosen, withCluster } from './cluster.ts'
import { chosenBy, FILTER_FLAGS } from './filters.ts'
import { type CommandHelp, define } from './help.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, outputOf } from './terminal.ts'

const { workload, since } = FILTER_FLAGS
// Chosen by how they ended, terminations would say nothing of the others.
const flags = {
  ...CLUSTER_FLAGS,
  ...ALL_NAMESPACES,
  workload,
  since,
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', 'yaml', 'json'],
    help: 'wide: the reasons for every workload; yaml, json: the numbers.',
  },
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'summary',
  usage: '[FLAGS]',
  text:
    'Tells for every workload how many of its pods ended and how many of them were killed by force, how long they needed, and which grace ' +
    'period and preStop hook the numbers recommend, how sure that is, and why. The time needed runs from when the kubelet turned to the ' +
    'slowest main container to its exit; of a pod that was killed it is only known that it needed longer (≥).',
  legend: [
    'P50, P95, P99  half, 95 % and 99 % of the pods needed no longer than this',
    'USED           the share of the grace period that this P95 is',
    'How sure       high: with 95 % confidence no more than 1 pod in 100 needs longer (from 299 on);',
    '               medium: 1 in 20 (from 59 on); low: the numbers say less. Of a longer preStop',
    '               hook: how many needed it (high: half and 10 at least; medium: 3; low: fewer)',
  ],
  examples: [
    ['gracewatch summary -n shop', ''],
    ['gracewatch summary -A --since=7d', 'every namespace, the last week'],
    ['gracewatch summary -n shop --workload=deploy/web -o wide', 'one workload, with all reasons'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word] = words
  if (word !== undefined) throw new UsageError(`summary takes no name: write gracewatch summary --workload=${word}`)
  const everywhere = everywhereOf(given)
  const chosen = chosenBy(given)
  const output = outputOf(given)
  await withCluster(given, async (access) => {
    const stored = await readChosen(access, everywhere ? undefined : access.namespace, chosen)
    const summaries = summarise(knownOf(stored))
    if (given.output === 'yaml' || given.output === 'json') {
      // No bound is written as none: JSON has no infinity.
      const text = JSON.stringify(summaries, (_, value: unknown) => (value === Number.POSITIVE_INFINITY ? undefined : value), 2)
      output.write(given.output === 'json' ? `${text}\n` : (await import('yaml')).stringify(JSON.parse(text)))
      return
    }
    if (summaries.length === 0) {
      const asked = chosen.all ? '' : ' that are as the flags ask for'
      output.hint(`No terminations recorded${everywhere ? '' : ` in namespace ${access.namespace}`}${asked}.`)
      return
    }
    const options = { width: output.columns ?? DEFAULT_WIDTH, colour: output.colour, wide: given.output === 'wide' }
    output.write(`${drawSummary(summaries, options).join('\n')}\n`)
  })
}

export const command = define(help, flags, run)
