import type { PodTermination } from '../../src/api/pod-termination.ts'
import { draw } from '../../src/render/draw.ts'
import type { Check } from './verdicts.ts'

const WIDEST = 100
const NARROWEST = 60

/** Where results go: standard output, drawn as wide as it is, up to 100 columns. */
export class Screen {
  readonly #out: NodeJS.WriteStream
  readonly #status: NodeJS.WriteStream
  readonly #colour: boolean

  /** `status` is where the line with the progress stands: it is wiped before anything is printed. */
  constructor(out: NodeJS.WriteStream, status: NodeJS.WriteStream, env: NodeJS.ProcessEnv) {
    this.#out = out
    this.#status = status
    this.#colour = hasColour(out.isTTY, env)
  }

  print(...lines: string[]): void {
    if (this.#status.isTTY) this.#status.write('\r\u001b[K')
    this.#out.write(`${lines.join('\n')}\n`)
  }

  get width(): number {
    return this.#out.isTTY ? Math.max(NARROWEST, Math.min(WIDEST, this.#out.columns)) : WIDEST
  }

  /** A record under its title, with what was checked on it. */
  result(title: string, record: PodTermination, checks: readonly Check[], file: string): void {
    const rule = '─'.repeat(Math.max(3, this.width - title.length - 4))
    const lines = draw(record, { width: this.width, colour: this.#colour })
    this.print(
      '',
      `── ${this.strong(title)} ${rule}`,
      '',
      ...lines,
      '',
      ...checks.map((check) => this.check(check)),
      `         ${file}`,
    )
  }

  check({ ok, words }: Check): string {
    return ok ? `  ${this.#paint('ok', 32)}     ${words}` : `  ${this.#paint('WRONG', 31)}  ${words}`
  }

  strong(text: string): string {
    return this.#paint(text, 1)
  }

  #paint(text: string, code: number): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}

/** Colours where a terminal is there to show them and nobody has said no (no-color.org). */
export function hasColour(isTTY: boolean, env: NodeJS.ProcessEnv): boolean {
  return isTTY && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
}
