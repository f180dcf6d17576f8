/** `gracewatch list`: one line a termination, and which workloads lose pods badly. */
import { list } from '../render/list.ts'
import { type Parsed, UsageError } from './arguments.ts'
import { CLUSTER_FLAGS, readAll, withCluster } from './cluster.ts'
import { type CommandHelp, define } from './help.ts'
import { printed, recordOf } from './records.ts'
import { OUTPUT_FLAGS, outputOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  'all-namespaces': { short: 'A', help: 'The terminations of every namespace.' },
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
    ['kubectl get pterm -A --field-selector outcome=ForcedKill', 'selected by the API server'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word] = words
  if (word !== undefined) throw new UsageError(`list takes no name: gracewatch show ${word} shows one termination`)
  const everywhere = given['all-namespaces'] === true
  if (everywhere && given.namespace !== undefined)
    throw new UsageError('-A is every namespace and -n is one: leave one of them out')
  const output = outputOf(given)
  await withCluster(given, async ({ records, namespace, now }) => {
    const stored = await readAll(records, everywhere ? {} : { namespace })
    if (given.output === 'yaml' || given.output === 'json') {
      const items = stored.map((record) => JSON.parse(printed(record, 'json')) as unknown)
      const { stringify } = await import('yaml')
      const whole = { apiVersion: 'v1', kind: 'List', items }
      output.write(given.output === 'yaml' ? stringify(whole) : `${JSON.stringify(whole, null, 2)}\n`)
      return
    }
    if (stored.length === 0) {
      output.hint(everywhere ? 'No terminations recorded.' : `No terminations recorded in namespace ${namespace}.`)
      return
    }
    const known = stored.map((record) => recordOf(record, `record ${record.metadata.namespace}/${record.metadata.name}`))
    const lines = list(known, {
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
