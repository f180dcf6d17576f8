/** `gracewatch show`: the timeline of one termination. */

import type { StoredPodTermination } from '../kube/apply.ts'
import { KubeError } from '../kube/errors.ts'
import { nearest } from '../nearest.ts'
import { draw } from '../render/draw.ts'
import { CommandError, type Parsed, UsageError } from './arguments.ts'
import { CLUSTER_FLAGS, type ClusterAccess, readAll, withCluster } from './cluster.ts'
import { type CommandHelp, define } from './help.ts'
import { isPicture, PICTURES, pictured } from './pictures.ts'
import { printed, recordOf } from './records.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, outputOf, TIME_FLAGS, timeZoneOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', ...PICTURES, 'yaml', 'json'],
    help: 'wide: time, source and bounds of every mark; svg: a drawing; html: a page of its own; yaml, json: the record.',
  },
  ...TIME_FLAGS,
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'show',
  usage: 'NAME [FLAGS]',
  text:
    'Draws how a pod ended: when it was deleted and by whom, what each container and each Service did until it was gone, and ' +
    'what to change. NAME is the name of the pod (or pod/NAME) or that of the record; where several pods had that name, the ' +
    'last of them is shown.',
  legend: [
    '▒ preStop  T stop signal  ─ after it  ✖ SIGKILL  ● exit  ┊ deadline  ░ at some moment in here',
    '· running, not yet told  ━ in rotation  ○ taken out of rotation, or gone',
  ],
  examples: [
    ['gracewatch show web-7d4b9c-x2x9k -n shop', ''],
    ['gracewatch show pod/db-0 -o wide', 'who says so, and how sure it is'],
    ['gracewatch show db-0 -o html > db-0.html', 'to look at in a browser, or to send'],
    ['gracewatch show db-0 -o yaml > db-0.yaml', 'to keep it, or for gracewatch draw'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const name = nameOf(words)
  const output = outputOf(given)
  await withCluster(given, async (access) => {
    const { record, others } = await find(access, name)
    if (given.output === 'yaml' || given.output === 'json') {
      output.write(printed(record, given.output))
    } else if (isPicture(given.output)) {
      const known = recordOf(record, `record ${record.metadata.name}`)
      output.write(await pictured([known], given.output, { now: access.now(), timeZone: timeZoneOf(given) }))
    } else {
      const options = {
        width: output.columns ?? DEFAULT_WIDTH,
        colour: output.colour,
        wide: given.output === 'wide',
        now: access.now(),
        timeZone: timeZoneOf(given),
      }
      output.write(`${draw(recordOf(record, `record ${record.metadata.name}`), options).join('\n')}\n`)
    }
    if (others.length > 0)
      output.hint(
        `${others.length + 1} pods had this name; this is the last. The others: gracewatch show ${others.map(({ metadata }) => metadata.name).join(' | ')}`,
      )
  })
}

const KINDS = ['pod', 'pods', 'po', 'podtermination', 'podterminations', 'pterm']

/** NAME, KIND/NAME or KIND NAME, as kubectl takes them. */
function nameOf(words: readonly string[]): string {
  const [first = '', ...more] = KINDS.includes(words[0] ?? '') ? words.slice(1) : words
  if (first === '') throw new UsageError('name the pod: gracewatch show NAME (gracewatch list shows those that ended)')
  const slash = first.indexOf('/')
  const [kind, name] = slash === -1 ? ['pod', first] : [first.slice(0, slash), first.slice(slash + 1)]
  if (more.length > 0) throw new UsageError(`one at a time: gracewatch show ${name}`)
  if (!KINDS.includes(kind)) throw new UsageError(`a ${kind} has no termination of its own: write pod/NAME`)
  if (!/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) throw new UsageError(`"${name}" cannot be the name of a pod`)
  return name
}

interface Found {
  readonly record: StoredPodTermination
  /** Earlier ones of the same pod name, the latest first. */
  readonly others: readonly StoredPodTermination[]
}

async function find({ records, namespace }: ClusterAccess, name: string): Promise<Found> {
  const last = (all: readonly StoredPodTermination[]): Found | undefined => {
    const [record, ...others] = [...all].reverse()
    return record && { record, others }
  }
  const here = last(await readAll(records, { namespace, fieldSelector: `pod.name=${name}` }))
  if (here !== undefined) return here
  const named = await records.get(namespace, name)
  if (named !== undefined) return { record: named, others: [] }
  // Records of a namespace that was being deleted lie in another one; not everybody may look there.
  const elsewhere = await readAll(records, { fieldSelector: `pod.namespace=${namespace},pod.name=${name}` }).catch(
    (error: unknown) => {
      if (error instanceof KubeError && error.code === 'Forbidden') return []
      throw error
    },
  )
  const moved = last(elsewhere)
  if (moved !== undefined) return moved
  throw new CommandError(
    `no pod ${name} has ended in namespace ${namespace}, as far as records go${await hint(records, namespace, name)}`,
  )
}

async function hint(records: ClusterAccess['records'], namespace: string, name: string): Promise<string> {
  const names = [...new Set((await readAll(records, { namespace })).map(({ pod }) => pod.name))].reverse()
  const near = names.find((candidate) => candidate.startsWith(name)) ?? nearest(name, names)
  if (near !== undefined) return `: did you mean ${near}?`
  return names.length === 0
    ? ' (there are no records in it; -n names another namespace)'
    : `: gracewatch list -n ${namespace} shows those that have`
}

export const command = define(help, flags, run)
