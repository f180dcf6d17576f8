/** `gracewatch trace`: terminations as they happen, recorded right here, with nothing installed in the cluster. */
import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import type { PodSnapshot } from '../core/evidence.ts'
import { recordObject } from '../core/record-object.ts'
import { KubeError } from '../kube/errors.ts'
import { draw } from '../render/draw.ts'
import { clean } from '../render/text.ts'
import { graceText } from '../render/units.ts'
import { wallTime } from '../render/zone.ts'
import { CommandError, type Parsed, UsageError } from './arguments.ts'
import { CLUSTER_FLAGS, type ClusterAccess, withCluster } from './cluster.ts'
import { type CommandHelp, define } from './help.ts'
import { hintingLog, untilInterrupted } from './live.ts'
import { type PodSelection, selectPods } from './pod-selection.ts'
import { printed } from './records.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, type Output, outputOf, TIME_FLAGS, timeZoneOf } from './terminal.ts'
import { TraceVerdicts, type TraceVerdictsOptions } from './trace-verdicts.ts'
import { Tracer } from './tracer.ts'

const { namespace, context, kubeconfig } = CLUSTER_FLAGS
const flags = {
  namespace,
  selector: { short: 'l', value: 'SELECTOR', help: 'The pods with these labels, as app=web.' },
  delete: { help: 'Deletes the pod that is named, after asking, and traces its end.' },
  yes: { short: 'y', help: 'Does not ask before it deletes.' },
  count: { value: 'COUNT', help: 'Ends after so many terminations; without it at Ctrl-C.' },
  save: { value: 'FILE', help: 'Keeps the evidence too, a line a termination, for gracewatch replay.' },
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', 'yaml', 'json'],
    help: 'wide: time, source and bounds of every mark; yaml, json: the record.',
  },
  context,
  kubeconfig,
  ...TIME_FLAGS,
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'trace',
  usage: '[SELECTOR] [FLAGS]',
  text:
    'Follows how pods end and draws each termination when it is over, with your own rights and nothing installed in the cluster. SELECTOR is a ' +
    'workload or a Service (deploy/web, sts/db, svc/web), a pod (web-0, pod/web-0) or labels (app=web); without it, all pods of the ' +
    'namespace. What an agent measures is taken in where one runs.',
  examples: [
    ['gracewatch trace -n shop deploy/web', 'until Ctrl-C'],
    ['gracewatch trace -n shop --delete web-7d4b9c-x2x9k', 'ends one, and shows how'],
    ['gracewatch trace -n shop --save web.jsonl', 'for gracewatch replay'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word, ...more] = words
  if (more.length > 0) throw new UsageError(`one selector at a time: gracewatch trace ${word}`)
  if (word !== undefined && given.selector !== undefined)
    throw new UsageError(`-l ${given.selector} and ${word} both choose the pods: leave one of them out`)
  const chosen = word ?? given.selector
  if (given.delete === true && (word === undefined || (word.includes('/') && !/^pods?\/|^po\//.test(word))))
    throw new UsageError('--delete ends one pod: write gracewatch trace --delete NAME')
  if (given.yes === true && given.delete !== true) throw new UsageError('-y answers what --delete asks: add --delete NAME')
  const count = given.delete === true ? 1 : countOf(given.count)
  const output = outputOf(given)
  await withCluster(given, async (access) => {
    const selection = await selectPods(access, chosen)
    const pod = given.delete === true ? await podToDelete(access, selection) : undefined
    const save = given.save === undefined ? undefined : openEvidence(given.save)
    const { stopped, signal } = untilInterrupted()
    const write = writer(output, given)
    const verdicts = new TraceVerdicts({
      ...(save === undefined ? {} : { save }),
      ...(count === undefined ? {} : { count }),
      show: (record, again) => {
        if (again) output.hint(`More has come to be known of ${clean(record.pod.name)}:`)
        write(record)
      },
    })
    const tracer = new Tracer({
      ...{ http: access.http, namespace: access.namespace, selection },
      log: hintingLog(output),
      onLacking: (sentence) => output.hint(sentence),
      onBegun: (begun) => {
        if (given.output === undefined || given.output === 'wide') output.hint(begunLine(begun, access, timeZoneOf(given)))
      },
      onOverdue: ({ pod: { name }, findings }) => {
        const stuck = findings?.find(({ type }) => type === 'StuckTerminating')
        output.hint(`${clean(name)} is overdue${stuck === undefined ? '' : `: ${clean(stuck.message)}`}`)
      },
      onEvidence: (facts, now) => verdicts.take(facts, now),
    })
    try {
      await tracer.start()
      output.hint(`Tracing ${selection.words}; Ctrl-C ends it.`)
      if (pod !== undefined) await deletePod(access, tracer, pod, given.yes === true, signal)
      await Promise.race([stopped, verdicts.done])
    } finally {
      const left = tracer.ongoing
      await tracer.stop()
      if (signal.aborted && left > 0) output.hint(`${left} ${left === 1 ? 'termination was' : 'terminations were'} not over yet.`)
    }
  })
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`--count ${text}: write a number of terminations from 1 on`)
  return Number(text)
}

function writer(output: Output, given: Parsed<typeof flags>['flags']) {
  const { output: format } = given
  const options = {
    width: output.columns ?? DEFAULT_WIDTH,
    colour: output.colour,
    wide: format === 'wide',
    timeZone: timeZoneOf(given),
  }
  return (record: Parameters<typeof draw>[0]) => {
    if (format === 'json') output.write(`${JSON.stringify(JSON.parse(printed(recordObject(record), 'json')))}\n`)
    else if (format === 'yaml') output.write(`---\n${printed(recordObject(record), 'yaml')}`)
    else output.write(`\n${draw(record, options).join('\n')}\n\n`)
  }
}

function begunLine({ name, deletionGracePeriodSeconds: grace }: PodSnapshot, { now }: ClusterAccess, timeZone: string): string {
  const within = grace === undefined ? '' : `, grace ${graceText(grace)}`
  return `${wallTime(now(), timeZone).time.slice(0, 8)}  ${clean(name)} is terminating${within}`
}

function openEvidence(file: string): NonNullable<TraceVerdictsOptions['save']> {
  try {
    const descriptor = openSync(file, 'a')
    return { file, write: (line) => void writeSync(descriptor, line) }
  } catch (error) {
    throw new CommandError(`cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

interface ToDelete {
  readonly name: string
  readonly uid: string
  readonly graceSeconds: number | undefined
}

async function podToDelete({ http, namespace: where }: ClusterAccess, { pod: name }: PodSelection): Promise<ToDelete> {
  if (name === undefined) throw new UsageError('--delete ends one pod: write gracewatch trace --delete NAME')
  try {
    const response = await http.request({ method: 'GET', path: `/api/v1/namespaces/${where}/pods/${name}` })
    const { metadata, spec } = response.json<{
      metadata: { uid: string }
      spec?: { terminationGracePeriodSeconds?: number }
    }>()
    return { name, uid: metadata.uid, graceSeconds: spec?.terminationGracePeriodSeconds }
  } catch (error) {
    if (error instanceof KubeError && error.code === 'NotFound')
      throw new CommandError(`there is no pod ${name} in namespace ${where}: kubectl get pods -n ${where}`)
    throw error
  }
}

async function deletePod(
  { http, namespace: where }: ClusterAccess,
  tracer: Tracer,
  { name, uid, graceSeconds }: ToDelete,
  yes: boolean,
  signal: AbortSignal,
): Promise<void> {
  const known = tracer.clockKnown()
  const grace = graceSeconds === undefined ? '' : ` (grace ${graceText(graceSeconds)})`
  if (!yes) {
    if (!process.stdin.isTTY) throw new CommandError(`nobody is here to ask whether pod ${where}/${name} may be deleted: add -y`)
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    const answer = await terminal.question(`Delete pod ${where}/${name}${grace}? [y/N] `, { signal }).catch(() => 'no')
    terminal.close()
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError(`pod ${where}/${name} is left as it is`)
  }
  await known
  try {
    await http.request({
      ...{ method: 'DELETE', path: `/api/v1/namespaces/${where}/pods/${name}` },
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } },
    })
  } catch (error) {
    if (error instanceof KubeError && (error.code === 'NotFound' || error.code === 'Conflict'))
      throw new CommandError(`pod ${where}/${name} is gone already`)
    if (error instanceof KubeError && error.code === 'Forbidden')
      throw new CommandError(`${error.message}. Ask for the right to delete pods, or trace it and let somebody else delete it.`)
    throw error
  }
}

export const command = define(help, flags, run)
