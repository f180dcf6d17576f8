/** A drawn line: pieces of text, each with what it means. The terminal turns meaning into colour; words carry it without. */
import { displayWidth } from './text.ts'

/** good: graceful. warning: something to change. bad: killed. unknown: nobody knows. quiet: for the second look. */
export type Tone = 'plain' | 'good' | 'warning' | 'bad' | 'unknown' | 'quiet'

export interface Span {
  text: string
  tone?: Tone
  strong?: boolean
}
export type Line = readonly Span[]

/** SGR parameters out of the 16 colours that every terminal lets its user choose. */
const SGR: Record<Tone, string> = { plain: '', good: '32', warning: '33', bad: '31', unknown: '2', quiet: '2' }

export const lineWidth = (line: Line) => line.reduce((width, { text }) => width + displayWidth(text), 0)

/** The line as text, with ANSI colours or without; spaces at its end are cut. */
export function toText(line: Line, colour: boolean): string {
  const spans = line.filter(({ text }) => text !== '')
  if (!colour) {
    return spans
      .map(({ text }) => text)
      .join('')
      .trimEnd()
  }
  const last = spans.at(-1)
  return spans
    .map((span) => {
      const text = span === last ? span.text.trimEnd() : span.text
      const codes = [span.strong ? '1' : '', SGR[span.tone ?? 'plain']].filter((code) => code !== '')
      return codes.length === 0 || text === '' ? text : `\x1b[${codes.join(';')}m${text}\x1b[0m`
    })
    .join('')
}
