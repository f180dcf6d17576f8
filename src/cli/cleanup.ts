/** `gracewatch cleanup plan`: what a cleanup would do now. It reads and changes nothing. */
import { plan } from '../core/cleanup/plan.ts'
import type { Plan, Threshold } from '../core/cleanup/types.ts'
import { formatTime, type Micros, SECOND } from '../core/time.ts'
import { type CleanupFacts, readCleanup } from '../kube/cleanup-reads.ts'
import { KubeError } from '../kube/errors.ts'
import { drawPlan } from '../render/cleanup-plan.ts'
import { CommandError, type Parsed, UsageError } from './arguments.ts'
import { CLUSTER_FLAGS, everywhereOf, withCluster } from './cluster.ts'
import { type CommandHelp, define } from './help.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, outputOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  'all-namespaces': { short: 'A', help: 'The finished pods of every namespace.' },
  total: { value: 'COUNT', help: 'Try a threshold: so many finished pods in the cluster. Needs -A.' },
  'per-namespace': { value: 'COUNT', help: 'Try a threshold: so many in each namespace.' },
  'bare-pods': { help: 'The threshold takes pods without an owner too.' },
  'finished-job-pods': { help: 'The threshold takes pods of finished Jobs too.' },
  kept: { help: 'A line for each pod that would stay too.' },
  output: { short: 'o', value: 'FORMAT', choices: ['json'], help: 'json: the decision for each pod, with its reason.' },
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'cleanup',
  usage: 'plan [FLAGS]',
  text:
    'Tells which finished pods (Succeeded or Failed) the PodCleanups of a namespace would have deleted now, in order, with the reason for each, ' +
    'and why the others stay. With --total or --per-namespace it shows what such a threshold would do. It changes nothing.',
  examples: [
    ['gracewatch cleanup plan -n shop', ''],
    ['gracewatch cleanup plan -A --total=1000', 'what a threshold of 1000 in the cluster would do'],
    ['gracewatch cleanup plan -A --kept', 'those that stay, too'],
  ],
}

/** As the API server defaults PodCleanups. */
const MIN_AGE = 60 * SECOND

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word, ...others] = words
  if (word !== 'plan' || others.length > 0) throw new UsageError('write gracewatch cleanup plan: it is all that there is')
  const everywhere = everywhereOf(given)
  const threshold = thresholdOf(given)
  if (threshold?.total !== undefined && !everywhere) throw new UsageError('--total counts the pods of the whole cluster: add -A')
  const output = outputOf(given)
  await withCluster(given, async ({ http, namespace, now }) => {
    const facts = await readCleanup(http, everywhere ? undefined : namespace).catch(forbidden)
    for (const sentence of facts.missing) output.hint(sentence)
    const at = now()
    const planned = plan({ ...facts, now: at, ...(threshold === undefined ? {} : { threshold }) })
    if (given.output === 'json') {
      output.write(`${JSON.stringify(json(planned, at), null, 2)}\n`)
      return
    }
    const where = everywhere ? 'in the cluster' : `in namespace ${namespace}`
    if (facts.pods.length === 0) output.hint(`No pods have finished ${where}.`)
    if (facts.rules.length === 0 && threshold === undefined)
      output.hint(`No PodCleanup ${where}, and no threshold: nothing is deleted. --per-namespace=COUNT tries one.`)
    const lines = drawPlan(planned, {
      now: at,
      width: output.columns ?? DEFAULT_WIDTH,
      colour: output.colour,
      namespaces: everywhere,
      kept: given.kept === true,
    })
    output.write(`${lines.join('\n')}\n`)
  })
}

/** What withCluster would say is about records. */
function forbidden(error: unknown): CleanupFacts {
  if (error instanceof KubeError && error.code === 'Forbidden')
    throw new CommandError(`${error.message}. Ask for the right to list pods, jobs and podcleanups.gracewatch.dev.`)
  throw error
}

function thresholdOf(given: Parsed<typeof flags>['flags']): Threshold | undefined {
  const total = countOf('--total', given.total)
  const perNamespace = countOf('--per-namespace', given['per-namespace'])
  if (total === undefined && perNamespace === undefined) {
    const idle = (['bare-pods', 'finished-job-pods'] as const).find((flag) => given[flag] === true)
    if (idle !== undefined) throw new UsageError(`--${idle} is about a threshold: add --total or --per-namespace`)
    return undefined
  }
  return {
    ...(total === undefined ? {} : { total }),
    ...(perNamespace === undefined ? {} : { perNamespace }),
    minAge: MIN_AGE,
    barePods: given['bare-pods'] === true,
    finishedJobPods: given['finished-job-pods'] === true,
    recordSucceeded: false,
    onRecordFailure: 'Keep',
    dryRun: false,
  }
}

function countOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,7}$/.test(text)) throw new UsageError(`${flag} ${text}: write a number of pods from 0 to 9999999`)
  return Number(text)
}

const json = ({ verdicts, reports }: Plan, at: Micros) => ({
  at: formatTime(at),
  pods: verdicts.map(({ pod, ...verdict }) => ({
    namespace: pod.namespace,
    name: pod.name,
    uid: pod.uid,
    phase: pod.phase,
    podReason: pod.reason,
    finishedAt: formatTime(pod.finishedAt),
    finishedSource: pod.finishedSource,
    ...verdict,
  })),
  rules: reports,
})

export const command = define(help, flags, run)
