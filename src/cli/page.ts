/** The page of the documentation that has every command's help. */
import { COMMANDS } from './commands.ts'

/** The controller's are settings, which have a page of their own. */
const commands = await Promise.all(
  [...COMMANDS].map(async ([name, { summary, load }]) => ({ name, summary, help: (await load()).help })),
)

/** @param note what says that the page is generated */
export function commandPage(note: string): string {
  const sections = commands.flatMap(({ name, summary, help }) =>
    help === undefined
      ? []
      : [`## ${name}`, '', `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`, '', '```', help().trimEnd(), '```', ''],
  )
  return [
    '# The command',
    '',
    note,
    '',
    '`gracewatch`, or `kubectl gracewatch` where `kubectl-gracewatch` is on the PATH (npm puts both there). Flags are those of kubectl: `-n`, `-A`,',
    '`--context`, `-o`, `-h`. The exit code is 0 where all went well, 1 where something failed, 2 where the words were wrong; what is wrong is one',
    'line on standard error and says what to do. Output is without colour in a pipe and with `NO_COLOR`. Times of day are local and carry',
    'their offset; `--utc` writes them in UTC.',
    '',
    'Without anything installed in the cluster: `gracewatch trace -n shop deploy/web` follows terminations with your own rights, and',
    '`gracewatch replay prestop-overran` draws a real one that comes with the package, without a cluster.',
    '',
    'The settings of `gracewatch controller` are in [settings.md](settings.md).',
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}
