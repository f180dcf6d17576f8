import type { PodTermination } from '../../src/api/pod-termination.ts'
import { draw } from '../../src/render/draw.ts'
import { displayWidth, wrap } from '../../src/render/text.ts'
import type { Check } from './verdicts.ts'

const WIDEST = 100
const NARROWEST = 60
const RULE = '──'
/** Below the words of a check. */
const INDENT = ' '.repeat(9)

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
    const titles = wrap(title, this.width - RULE.length - 1)
    const room = this.width - RULE.length - displayWidth(titles.at(-1) ?? '') - 2
    const lines = draw(record, { width: this.width, colour: this.#colour })
    this.print(
      '',
      ...titles.map((line, i) => {
        const begin = `${i === 0 ? RULE : ' '.repeat(RULE.length)} ${this.strong(line)}`
        return i === titles.length - 1 && room > 0 ? `${begin} ${'─'.repeat(room)}` : begin
      }),
      '',
      ...lines,
      '',
      ...checks.flatMap((check) => this.check(check)),
      `${INDENT}${file}`,
    )
  }

  check({ ok, words }: Check): string[] {
    const [first = '', ...more] = wrap(words, this.width - INDENT.length)
    const begin = ok ? `  ${this.#paint('ok', 32)}     ` : `  ${this.#paint('WRONG', 31)}  `
    return [`${begin}${first}`, ...more.map((line) => `${INDENT}${line}`)]
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
