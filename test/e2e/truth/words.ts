import { readFileSync } from 'node:fs'
import type { Micros } from '../../../src/core/time.ts'
import type { Interval } from './interval.ts'

/** What a workload of the test said about itself (see ../workload). */
export interface Word {
  readonly what: 'start' | 'listening' | 'tick' | 'hook-start' | 'hook-tick' | 'hook-end' | 'signal' | 'unready' | 'eat' | 'exit'
  /** Wall clock, cut to milliseconds. */
  readonly at: Micros
  readonly code?: number
  readonly signal?: string
  /** Of hook-start: start of the hook's process, in ticks of 10 ms since boot. */
  readonly startTicks?: number
}

export function readWords(file: string): Word[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  const words: Word[] = []
  for (const line of text.split('\n')) {
    // A process killed in the middle of a write leaves a torn last line.
    if (line.endsWith('}')) words.push(JSON.parse(line))
  }
  return words
}

/** Date.now() is the time cut to milliseconds. */
export function timeOf(word: Word): Interval {
  return { earliest: word.at, latest: word.at + 1_000 }
}
