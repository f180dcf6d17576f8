/** The settings of the program that runs before Gracewatch is uninstalled, or once its gates are off: one table, as the others have. */
import { type Configured, type ParsedConfig, readSettings } from '../config.ts'
import { connectionOf, duration, flagValue, LOG_LEVEL, namespaceName, rowsOf, setting, settingsHelp } from '../settings-table.ts'

const UNINSTALL_SETTINGS = {
  ...connectionOf('the program'),
  namespace: setting({
    group: 'What',
    flag: 'namespace',
    value: 'NAME',
    fallback: 'gracewatch-system',
    help: 'Where the controller runs.',
    kind: namespaceName,
  }),
  deleteGates: setting({
    group: 'What',
    flag: 'delete-gates',
    value: 'BOOL',
    fallback: 'false',
    help: 'Delete all PodReadinessGates first, while there is a controller that releases their pods.',
    kind: flagValue,
  }),
  keepController: setting({
    group: 'What',
    flag: 'keep-controller',
    value: 'BOOL',
    fallback: 'false',
    help: 'Leave the controller and its Lease as they are: it has given up its gates alone.',
    kind: flagValue,
  }),
  releaseWithinMs: setting({
    group: 'What',
    flag: 'release-within',
    value: 'DURATION',
    fallback: '60s',
    help: 'How long the controller has for that.',
    kind: duration('0s', 0),
  }),
  ...LOG_LEVEL,
} as const

export type UninstallConfig = Configured<typeof UNINSTALL_SETTINGS>
const ROWS = rowsOf(UNINSTALL_SETTINGS)

export function parseUninstallConfig(
  argv: readonly string[],
  env?: Parameters<typeof readSettings>[2],
): ParsedConfig<UninstallConfig> {
  const help = () =>
    settingsHelp('gracewatch-uninstall: stops the controller, or gives up its gates, and leaves nothing that waits for it.', ROWS)
  return readSettings<typeof UNINSTALL_SETTINGS>({ rows: ROWS, help }, argv, env)
}
