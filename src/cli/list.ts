/** `gracewatch list`: one line a termination, and which workloads lose pods badly. */
import { list } from '../render/list.ts'
import { type Parsed, UsageError } from './arguments.ts'
import { ALL_NAMESPACES, CLUSTER_FLAGS, everywhereOf, knownOf, readChosen, withCluster } from './cluster.ts'
import { chosenBy, FILTER_FLAGS } from './filters.ts'
import { type CommandHelp, define } from './help.ts'
import { printed } from './records.ts'
import { OUTPUT_FLAGS, outputOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  ...ALL_NAMESPACES,
  ...FILTER_FLAGS,
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', 'yaml', 'json'],
    help: 'wide: workload and node as well; yaml, json: the records.',
  },
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'list',
  usage: '[FLAGS]',
  text:
    'Lists the terminations of a namespace, the last at the bottom, and below them the workloads that lost pods badly: by ' +
    'ForcedKill, OOMKilled, Killed, Lost, Failed or Unknown.',
  examples: [
    ['gracewatch list -n shop', ''],
    ['gracewatch list -A -o wide', 'every namespace, with workload and node'],
    ['gracewatch list -A --outcome=ForcedKill --since=1h', 'what was killed in the last hour'],
    ['gracewatch list -n shop --workload=deploy/web', 'one workload'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word] = words
  if (word !== undefined) throw new UsageError(`list takes no name: gracewatch show ${word} shows one termination`)
  const everywhere = everywhereOf(given)
  const chosen = chosenBy(given)
  const output = outputOf(given)
  await withCluster(given, async (access) => {
    const { namespace, now } = access
    const stored = await readChosen(access, everywhere ? undefined : namespace, chosen)
    if (given.output === 'yaml' || given.output === 'json') {
      const items = stored.map((record) => JSON.parse(printed(record, 'json')) as unknown)
      const { stringify } = await import('yaml')
      const whole = { apiVersion: 'v1', kind: 'List', items }
      output.write(given.output === 'yaml' ? stringify(whole) : `${JSON.stringify(whole, null, 2)}\n`)
      return
    }
    if (stored.length === 0) {
      const asked = chosen.all ? '' : ' that are as the flags ask for'
      output.hint(`No terminations recorded${everywhere ? '' : ` in namespace ${namespace}`}${asked}.`)
      return
    }
    const lines = list(knownOf(stored), {
      now: now(),
      ...(output.columns === undefined ? {} : { width: output.columns }),
      colour: output.colour,
      namespaces: everywhere,
      wide: given.output === 'wide',
    })
    output.write(`${lines.join('\n')}\n`)
  })
}

export const command = define(help, flags, run)
