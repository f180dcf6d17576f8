/** `gracewatch watch`: terminations as they are recorded, until Ctrl-C. */
import type { PodTermination } from '../api/pod-termination.ts'
import { selects } from '../core/record-filter.ts'
import { RECORDS, type StoredPodTermination } from '../kube/apply.ts'
import { createClock } from '../kube/clock.ts'
import { Reflector } from '../kube/reflector.ts'
import type { Change } from '../kube/reflector-types.ts'
import { draw } from '../render/draw.ts'
import { watchHeader, watchLine } from '../render/watch.ts'
import { CommandError, type Parsed, UsageError } from './arguments.ts'
import { ALL_NAMESPACES, CLUSTER_FLAGS, everywhereOf, withCluster } from './cluster.ts'
import { chosenBy, FILTER_FLAGS } from './filters.ts'
import { type CommandHelp, define } from './help.ts'
import { hintingLog, untilInterrupted } from './live.ts'
import { printed, recordOf } from './records.ts'
import { DEFAULT_WIDTH, OUTPUT_FLAGS, outputOf, TIME_FLAGS, timeZoneOf } from './terminal.ts'

const { since: _, ...filters } = FILTER_FLAGS
const flags = {
  ...CLUSTER_FLAGS,
  ...ALL_NAMESPACES,
  ...filters,
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['drawing', 'json'],
    help: 'drawing: a picture of each that is over; json: a record a line.',
  },
  ...TIME_FLAGS,
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'watch',
  usage: '[FLAGS]',
  text:
    'Writes a line for every termination when it is first recorded, when it is overdue, and when it is over, until Ctrl-C. It begins with those ' +
    'that are under way. A termination that is over within 2 s has one line.',
  examples: [
    ['gracewatch watch -n shop', ''],
    ['gracewatch watch -A --outcome=ForcedKill -o drawing', 'every forced kill, as a picture'],
    ['gracewatch watch -A -o json', 'for other programs'],
  ],
}

/** A record as the reflector keeps its books of it. */
interface Watched {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly record: PodTermination
  readonly stored: StoredPodTermination
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word] = words
  if (word !== undefined) throw new UsageError(`watch takes no name: gracewatch show ${word} shows one termination`)
  const everywhere = everywhereOf(given)
  const filter = chosenBy(given).filterAt(0)
  const output = outputOf(given)
  await withCluster(given, async ({ http, namespace, now }) => {
    const path = everywhere ? RECORDS.everywhere : RECORDS.of(namespace)
    // The reflector tries for ever; what a person has to change is said at once.
    await http.request({ method: 'GET', path, query: { limit: 1 } })
    const lines = {
      ...(output.columns === undefined ? {} : { width: output.columns }),
      colour: output.colour,
      namespaces: everywhere,
      timeZone: timeZoneOf(given),
    }
    const drawing = { width: output.columns ?? DEFAULT_WIDTH, colour: output.colour, timeZone: timeZoneOf(given) }
    const write = ({ record, stored }: Watched) => {
      if (given.output === 'json') output.write(`${JSON.stringify(JSON.parse(printed(stored, 'json')))}\n`)
      else if (given.output !== 'drawing') output.write(`${watchLine(record, now(), lines)}\n`)
      else if (record.state === 'Complete') output.write(`${draw(record, { ...drawing, now: now() }).join('\n')}\n\n\n`)
    }
    const news = new News()
    const reflector: Reflector<Watched> = new Reflector({
      http,
      clock: createClock(),
      path,
      decode,
      keep: 'none',
      log: hintingLog(output),
      onChange: (change) => {
        if (news.is(change, reflector.synced) && selects(filter, change.object.record)) write(change.object)
      },
    })
    const { stopped } = untilInterrupted()
    if (given.output === undefined) output.write(`${watchHeader(lines)}\n`)
    reflector.start()
    await stopped
    await reflector.stop()
  })
}

/** Tells the steps of a termination from the writes that change something else of its record. */
class News {
  /** The state that was told of, by the record's UID. */
  readonly #told = new Map<string, string | undefined>()

  /** @param synced false in the first list: what was over before the watch began is none */
  is({ type, object: { uid, record } }: Change<Watched>, synced: boolean): boolean {
    if (type === 'Deleted' || type === 'Vanished') {
      this.#told.delete(uid)
      return false
    }
    const { state } = record
    const known = this.#told.has(uid) && this.#told.get(uid) === state
    this.#told.set(uid, state)
    // Without a state it is what an agent has begun: the controller takes it up within seconds.
    return !known && state !== undefined && (synced || state !== 'Complete')
  }
}

function decode(raw: unknown): Watched | undefined {
  const stored = raw as StoredPodTermination // an item of this collection, checked by recordOf
  const { uid, namespace, name, resourceVersion } = stored.metadata
  try {
    return { uid, namespace, name, resourceVersion, stored, record: recordOf(raw, `record ${namespace}/${name}`) }
  } catch (error) {
    if (error instanceof CommandError) return undefined
    throw error
  }
}

export const command = define(help, flags, run)
