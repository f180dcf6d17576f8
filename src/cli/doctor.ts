/** `gracewatch doctor`: whether what is needed is there, and what would be missed. It changes nothing. */
import { judge } from '../core/doctor/judge.ts'
import { drawChecks } from '../render/doctor.ts'
import { type Parsed, UsageError } from './arguments.ts'
import { CLUSTER_FLAGS, withCluster } from './cluster.ts'
import { gatherFacts } from './doctor-reads.ts'
import { type CommandHelp, define } from './help.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, outputOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  output: { short: 'o', value: 'FORMAT', choices: ['json'], help: 'json: each check, and what it was made from.' },
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'doctor',
  usage: '[FLAGS]',
  text:
    'Looks at the custom resources, the controller and its leader, the agents, the clocks, and at what you may and may not do in the ' +
    'namespace, and tells what would be missed. The exit code is 1 where nothing is recorded or can be read.',
  examples: [
    ['gracewatch doctor', ''],
    ['gracewatch doctor -n shop --context=production', 'your rights in that namespace'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<number> {
  if (words.length > 0) throw new UsageError(`doctor takes no arguments: leave "${words.join(' ')}" out`)
  const output = outputOf(given)
  return await withCluster(given, async (access) => {
    const facts = await gatherFacts(access)
    const checks = judge(facts)
    if (given.output === 'json') output.write(`${JSON.stringify({ checks, facts }, null, 2)}\n`)
    else output.write(`${drawChecks(checks, { width: output.columns ?? DEFAULT_WIDTH, colour: output.colour }).join('\n')}\n`)
    return checks.some(({ health }) => health === 'Failed') ? 1 : 0
  })
}

export const command = define(help, flags, run)
