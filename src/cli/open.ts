/** `gracewatch open`: the page, on this machine, with the rights of who started it. */
import { randomBytes } from 'node:crypto'
import { RECORDS } from '../kube/apply.ts'
import { KubeError } from '../kube/errors.ts'
import type { KubeHttp } from '../kube/http.ts'
import { startPage } from '../page/server.ts'
import { watchRecords } from '../page/source.ts'
import { CommandError, type Parsed, UsageError } from './arguments.ts'
import { ALL_NAMESPACES, CLUSTER_FLAGS, everywhereOf, withCluster } from './cluster.ts'
import { type CommandHelp, define } from './help.ts'
import { hintingLog, untilInterrupted } from './live.ts'
import { OUTPUT_FLAGS, outputOf, TIME_FLAGS, timeZoneOf } from './terminal.ts'

const flags = {
  ...CLUSTER_FLAGS,
  ...ALL_NAMESPACES,
  port: { value: 'PORT', help: 'Port of 127.0.0.1 to listen on; without it a free one, of an address of its own.' },
  ...TIME_FLAGS,
  color: OUTPUT_FLAGS.color,
} as const

const help: CommandHelp = {
  name: 'open',
  usage: '[FLAGS]',
  text:
    'Serves the terminations as a page to the browser on this machine, until Ctrl-C: the list as it grows, each termination as a picture, each workload ' +
    'over time. It reads with your own rights: every namespace where you may, or else that of -n or of the kubeconfig context. The address that it ' +
    'prints holds a key, without which other users of this machine see nothing.',
  examples: [
    ['gracewatch open', ''],
    ['gracewatch open -n shop --port=8090', 'one namespace, and an address to keep open'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [word] = words
  if (word !== undefined) throw new UsageError(`open takes no name: gracewatch show ${word} shows one termination`)
  const everywhere = everywhereOf(given)
  const port = portOf(given.port)
  const output = outputOf({ ...(given.color === undefined ? {} : { color: given.color }) })
  await withCluster(given, async ({ http, namespace: own, now }) => {
    const namespace = given.namespace !== undefined ? own : await widest(http, own, everywhere)
    // The watch tries for ever; what a person has to change is said at once.
    if (namespace !== undefined) await http.request({ method: 'GET', path: RECORDS.of(namespace), query: { limit: 1 } })
    const log = hintingLog(output)
    const source = watchRecords({ http, log, namespace, now, timeZone: timeZoneOf(given) })
    const { stopped } = untilInterrupted()
    try {
      await Promise.race([source.whenSynced(), stopped])
      // An address with a key in it is for nobody's list of processes, so it is printed, and not handed to a browser.
      const key = randomBytes(18).toString('base64url')
      const page = await startPage({ source, log, key, port: port ?? 0, apart: port === undefined }).catch((error: Error) => {
        throw new CommandError(`${error.message}: choose another --port`)
      })
      output.write(`${page.address}\n`)
      output.hint(`Shows ${source.scope}, with your rights, until Ctrl-C.`)
      await stopped
      await page.close()
    } finally {
      await source.stop()
    }
  })
}

/** Undefined: every namespace. Who may not read all is shown the one of the context, unless all were asked for. */
async function widest(http: KubeHttp, own: string, everywhere: boolean): Promise<string | undefined> {
  try {
    await http.request({ method: 'GET', path: RECORDS.everywhere, query: { limit: 1 } })
    return undefined
  } catch (error) {
    if (!everywhere && error instanceof KubeError && error.code === 'Forbidden') return own
    throw error
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (!/^[1-9]\d{0,4}$/.test(text) || port > 65_535) throw new UsageError(`--port ${text}: write a port from 1 to 65535`)
  return port
}

export const command = define(help, flags, run)
