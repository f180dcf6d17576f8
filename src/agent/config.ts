/** The agent's settings, read from flags and environment by their table. */
import { type Configured, keyPairProblem, namespacesInBoth, type ParsedConfig, readSettings } from '../config.ts'
import { AGENT_ROWS, type AGENT_SETTINGS, agentHelpText } from './settings.ts'

export type AgentConfig = Configured<typeof AGENT_SETTINGS>

export function parseAgentConfig(
  argv?: readonly string[],
  env?: Readonly<Record<string, string | undefined>>,
): ParsedConfig<AgentConfig> {
  return readSettings<typeof AGENT_SETTINGS>(
    {
      rows: AGENT_ROWS,
      help: agentHelpText,
      contradictions: ({ nodeName, context, kubeconfig, tracing, namespaces, excludeNamespaces, ...rest }) => [
        ...(nodeName === '' ? ['--node-name is not given: write the name of the node (in a DaemonSet: spec.nodeName)'] : []),
        ...(tracing?.startsWith('/') === false ? ['--tracing has to be an absolute path: /sys/kernel/tracing'] : []),
        ...(context !== undefined && kubeconfig === undefined
          ? ['--context is given without --kubeconfig: name the file that has this context, or leave --context out']
          : []),
        ...keyPairProblem(rest),
        ...namespacesInBoth({ namespaces, excludeNamespaces }),
      ],
    },
    argv,
    env,
  )
}
