/** The settings of the agent: the one table that parsing, `--help` and docs/agent-settings.md are made from. */
import {
  address,
  connectionOf,
  flagValue,
  integer,
  LOG_LEVEL,
  METRICS_PORT,
  namespaceList,
  namespaceName,
  objectName,
  rowsOf,
  setting,
  settingsHelp,
  settingsTables,
  shortText,
} from '../settings-table.ts'

export const AGENT_SETTINGS = {
  ...connectionOf('the agent'),
  nodeName: setting({
    group: 'Node',
    flag: 'node-name',
    value: 'NAME',
    fallback: '',
    fallbackText: 'none: it has to be given',
    help: 'Name of the node that the agent runs on, as Kubernetes has it: the pods of this node are its own.',
    kind: shortText,
  }),
  tracing: setting({
    group: 'Node',
    flag: 'tracing',
    value: 'FOLDER',
    fallback: '/sys/kernel/tracing',
    help: 'Where tracefs is mounted.',
    kind: shortText,
  }),
  instance: setting({
    group: 'Node',
    flag: 'instance',
    value: 'NAME',
    fallback: 'gracewatch',
    help: "Name of the agent's own trace instance. One that is there already is taken over and emptied.",
    kind: objectName,
  }),
  bufferKilobytes: setting({
    group: 'Node',
    flag: 'buffer-kilobytes',
    value: 'COUNT',
    fallback: '512',
    help: "The kernel's buffer for each CPU of the node: some 7,000 signals. What runs over is lost, and stated.",
    kind: integer(64, 65_536),
  }),
  linesPerSecond: setting({
    group: 'Node',
    flag: 'lines-per-second',
    value: 'COUNT',
    fallback: '5000',
    help: 'Lines of the trace that are read in a second, averaged over some. A flood of signals costs no more than that.',
    kind: integer(100, 100_000),
  }),
  namespaces: setting({
    group: 'Records',
    flag: 'namespaces',
    value: 'NAME,…',
    fallback: '',
    fallbackText: 'all',
    help: "Measure pods of these namespaces only. As the controller's setting of the name.",
    kind: namespaceList,
  }),
  excludeNamespaces: setting({
    group: 'Records',
    flag: 'exclude-namespaces',
    value: 'NAME,…',
    fallback: '',
    fallbackText: 'none',
    help: "Leave these namespaces out. As the controller's setting of the name.",
    kind: namespaceList,
  }),
  recordsNamespace: setting({
    group: 'Records',
    flag: 'records-namespace',
    value: 'NAME',
    fallback: 'gracewatch-system',
    help: "The controller's own namespace, which takes the records of namespaces that are being deleted.",
    kind: namespaceName,
  }),
  recordCompletions: setting({
    group: 'Records',
    flag: 'record-completions',
    value: 'BOOL',
    fallback: 'false',
    help: "Also write of pods that ran to their end and Succeeded with nobody stopping them. As the controller's setting of the name.",
    kind: flagValue,
  }),
  ...METRICS_PORT,
  healthAddress: setting({
    group: 'Process',
    flag: 'health-address',
    value: 'HOST:PORT',
    fallback: ':8081',
    help: 'Where /livez and /readyz are served.',
    kind: address,
  }),
  ...LOG_LEVEL,
} as const

export const AGENT_ROWS = rowsOf(AGENT_SETTINGS)

export const agentHelpText = () =>
  settingsHelp("gracewatch-agent: measures in the kernel of its node how the node's pods end.", AGENT_ROWS)

/** docs/agent-settings.md. */
export function agentSettingsPage(): string {
  return [
    '# Settings of the agent',
    '',
    'Generated from `src/agent/settings.ts` by `npm run generate`: edit that, not this.',
    '',
    'Each setting of the agent is a flag or an environment variable; the flag goes first. An empty value counts as not given.',
    ...settingsTables(AGENT_ROWS),
    '',
  ].join('\n')
}
