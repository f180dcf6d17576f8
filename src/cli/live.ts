/** What commands that go on until they are told to stop have in common. */
import type { Log } from '../kube/log.ts'
import type { Output } from './terminal.ts'

/** Resolves when the user has seen enough (Ctrl-C), or the process is told to end. A second signal ends it at once. */
export function untilInterrupted(): { readonly stopped: Promise<void>; readonly signal: AbortSignal } {
  const abort = new AbortController()
  const stopped = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(name, () => {
        abort.abort()
        resolve()
      })
  })
  return { stopped, signal: abort.signal }
}

/** A log for people: what fails is a hint, once until it works again; the rest is not theirs to read. */
export function hintingLog(output: Output): Log {
  const told = new Set<string>()
  const tell = (fields: object, message: string) => {
    const { detail, error, err } = fields as { detail?: unknown; error?: unknown; err?: unknown } // the fields that src/kube logs
    const what = [message, ...[detail, error, err].filter((value) => value !== undefined).map(String)].join(': ')
    const line = what.split('\n')[0] ?? ''
    if (told.has(line)) return
    told.add(line)
    output.hint(line)
  }
  return {
    debug: () => {},
    info: (_, message) => {
      if (message !== 'list and watch work again' || told.size === 0) return
      told.clear()
      output.hint(message)
    },
    warn: tell,
    error: tell,
  }
}
