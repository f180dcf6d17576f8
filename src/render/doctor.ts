/** The checks of an installation, a line each, and what would be missed. */
import type { Check, Health } from '../core/doctor/types.ts'
import { type Line, type Tone, toText } from './span.ts'
import { clean, pad, wrap } from './text.ts'

const WORDS: Record<Health, readonly [word: string, tone: Tone]> = {
  Ok: ['ok', 'good'],
  Note: ['note', 'plain'],
  Warning: ['warning', 'warning'],
  Failed: ['FAILED', 'bad'],
  Unknown: ['unknown', 'unknown'],
}
const WORD = 7

export function drawChecks(checks: readonly Check[], { width, colour }: { width: number; colour: boolean }): string[] {
  const about = Math.max(...checks.map((check) => check.about.length))
  const before = WORD + 2 + about + 2
  const lines: Line[] = checks.flatMap((check) =>
    wrap(clean(check.text), Math.max(20, width - before)).map((text, i): Line => {
      const [word, tone] = WORDS[check.health]
      if (i > 0) return [{ text: ' '.repeat(before) }, { text }]
      return [{ text: `${pad(word, WORD)}  `, tone }, { text: `${pad(check.about, about)}  ` }, { text }]
    }),
  )
  const missed = checks.flatMap((check) => check.missed ?? [])
  if (missed.length > 0) lines.push([], [{ text: 'What would be missed:', strong: true }])
  for (const sentence of missed)
    lines.push(...wrap(clean(sentence), width - 2, 2).map((text, i): Line => [{ text: `${i === 0 ? '- ' : '    '}${text}` }]))
  return lines.map((line) => toText(line, colour))
}
