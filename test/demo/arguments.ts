import { parseArgs } from 'node:util'

/** A command line that makes no sense: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** A cluster that the user names. */
export interface NamedCluster {
  readonly kubeconfig: string
  readonly context?: string
  /** What the experiments' pods run from, and the controller too where it is Gracewatch's own; without it DEFAULT_IMAGE. */
  readonly image?: string
}

/** `agent`: whether the node agent is wanted, which measures in the kernel. */
export type DemoArguments =
  | { readonly mode: 'help' }
  | { readonly mode: 'embedded'; readonly keep: boolean; readonly agent: boolean }
  | { readonly mode: 'named'; readonly cluster: NamedCluster; readonly agent: boolean }

/** Anybody's cluster can pull it; the base image of the Dockerfile. */
export const DEFAULT_IMAGE = 'docker.io/library/node:24.21.0-bookworm-slim'

export const HELP = `npm run demo [-- OPTIONS]

Ends pods in six ways on a real cluster, has Gracewatch record how, and draws each record. Exits 1
if a record does not say what it has to. Without options it brings up a cluster of its own on this
machine (Linux, root, Go 1.26), builds the image from the Dockerfile and installs deploy/manifests
and deploy/agent.

  --no-agent           without the agent of the nodes: what the API alone can tell
  --keep               leave the cluster up with everything in it and the page that shows it, and
                       print the address and how to go on

  --kubeconfig FILE    use the cluster that this file names, and leave it as it was found; a cluster
                       of the environment is never used
  --context NAME       the context of that file; default: its current one
  --image REF          an image that this cluster has or can pull, with Node and /bin/sh; default:
                       ${DEFAULT_IMAGE}
                       Where Gracewatch is not in the cluster yet and REF is an image built from its
                       Dockerfile, it is installed from REF for the time of the demo. With any other
                       image its controller runs on this machine for that time. The agent needs an
                       image built from the Dockerfile: REF, or the one of the controller that is
                       there. Where it cannot work the demo says why and goes on without.

  -h, --help           this text

Each record is also written to out/demo/NAME.yaml, and all of them, drawn, to
out/demo/report.html. NO_COLOR switches colours off.
`

/** Throws UsageError with one line that says what is wrong and what to do. */
export function parseArguments(words: readonly string[]): DemoArguments {
  const { values } = parse(words)
  if (values.help) return { mode: 'help' }
  const { keep = false, kubeconfig, context, image } = values
  const agent = values['no-agent'] !== true
  if (kubeconfig === undefined) {
    if (context !== undefined) throw new UsageError('--context needs --kubeconfig FILE: the context is one of that file')
    if (image !== undefined) {
      throw new UsageError('--image needs --kubeconfig FILE: in its own cluster the demo builds the image of this tree')
    }
    return { mode: 'embedded', keep, agent }
  }
  if (keep) throw new UsageError("--keep is for the demo's own cluster: one named by --kubeconfig is left as it was found")
  for (const [name, value] of Object.entries({ kubeconfig, context, image })) {
    if (value === '') throw new UsageError(`--${name} is empty: give it a value or leave it out`)
  }
  return {
    mode: 'named',
    agent,
    cluster: { kubeconfig, ...(context === undefined ? {} : { context }), ...(image === undefined ? {} : { image }) },
  }
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      strict: true,
      allowPositionals: false,
      options: {
        keep: { type: 'boolean' },
        'no-agent': { type: 'boolean' },
        kubeconfig: { type: 'string' },
        context: { type: 'string' },
        image: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    const [said = ''] = (error instanceof Error ? error.message : String(error)).split(/\.? To specify|\n/)
    throw new UsageError(`${said.replace(/\.$/, '')}: see npm run demo -- --help`)
  }
}
