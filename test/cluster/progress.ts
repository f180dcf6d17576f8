/** Tells a person what takes so long. Everything goes to standard error, so that standard output stays for results. */
export interface Progress {
  /** Runs `work` under a title. `note` says how far it has come ("412 packages"). */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>
  /** One line, at once. */
  say(line: string): void
}

export const silentProgress: Progress = {
  step: (_title, work) => work(() => undefined),
  say: () => undefined,
}

const SHOWN_AFTER_MS = 2_000
const REPEATED_EVERY_MS = 10_000

/** Shows a step once it has run for two seconds: on a terminal as one line that counts, in a log as a line every ten. */
export function terminalProgress(stream: NodeJS.WriteStream): Progress {
  const line = (text: string) => stream.write(`${text}\n`)
  return {
    say: line,
    async step(title, work) {
      const started = performance.now()
      const elapsed = () => formatSeconds(performance.now() - started)
      let noted = ''
      let shown = false
      const show = () => {
        shown = true
        const text = `${title} … ${elapsed()}${noted === '' ? '' : `, ${noted}`}`
        if (stream.isTTY) stream.write(`\r\u001b[K${text}`)
        else line(text)
      }
      const clear = () => {
        if (shown && stream.isTTY) stream.write('\r\u001b[K')
      }
      let repeat: NodeJS.Timeout | undefined
      const first = setTimeout(() => {
        show()
        repeat = setInterval(show, stream.isTTY ? 1_000 : REPEATED_EVERY_MS)
      }, SHOWN_AFTER_MS)
      try {
        const result = await work((text) => {
          noted = text
        })
        clear()
        if (shown) line(`${title}: done after ${elapsed()}`)
        return result
      } catch (error) {
        clear()
        line(`${title}: failed after ${elapsed()}`)
        throw error
      } finally {
        clearTimeout(first)
        clearInterval(repeat)
      }
    },
  }
}

/** `1.4 s`, `42 s`, `3 min 05 s`. */
export function formatSeconds(milliseconds: number): string {
  const seconds = milliseconds / 1_000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
}
