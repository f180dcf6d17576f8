/** One row of cells, each one column wide. */
import type { Span, Tone } from './span.ts'

export class Canvas {
  readonly #cells: { glyph: string; tone: Tone }[]

  constructor(columns: number) {
    this.#cells = Array.from({ length: columns }, () => ({ glyph: ' ', tone: 'plain' }))
  }

  set(column: number, glyph: string, tone: Tone = 'plain') {
    if (column >= 0 && column < this.#cells.length) this.#cells[column] = { glyph, tone }
  }

  /** Fills the columns from `from` up to but not including `to`. */
  fill(from: number, to: number, glyph: string, tone: Tone = 'plain') {
    for (let column = from; column < to; column++) this.set(column, glyph, tone)
  }

  /** Sets `glyph` where nothing stands yet. */
  under(column: number, glyph: string, tone: Tone) {
    if (this.#cells[column]?.glyph === ' ') this.set(column, glyph, tone)
  }

  /** Writes the longest of `texts` that fits between the two columns, in the middle or at the start; none if none fits. */
  write(from: number, to: number, texts: readonly string[], tone: Tone, align: 'centre' | 'start') {
    const text = texts.find((candidate) => candidate.length <= to - from)
    if (text === undefined) return
    const start = align === 'start' ? from : from + Math.floor((to - from - text.length) / 2)
    for (const [i, glyph] of [...text].entries()) this.set(start + i, glyph, tone)
  }

  /** The row as spans; `width` columns of it, or as far as there is something. */
  spans(width?: number): Span[] {
    let end = width ?? this.#cells.length
    if (width === undefined) while (end > 0 && this.#cells[end - 1]?.glyph === ' ') end--
    const spans: Span[] = []
    let last: { text: string; tone: Tone } | undefined
    for (const { glyph, tone } of this.#cells.slice(0, end)) {
      if (last === undefined || last.tone !== tone) {
        last = { text: glyph, tone }
        spans.push(last)
      } else {
        last.text += glyph
      }
    }
    return spans
  }
}
