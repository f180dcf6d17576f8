/** How conditions and messages are written. */
import { formatTime, type Micros } from '../time.ts'

/** A message of at most `max` UTF-16 units. No half of a character is left at its end: the API server would give back another text. */
export const cut = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, '')}…`

/** With the date: a condition may stand for days. */
export const moment = (at: Micros): string => `${formatTime(at).slice(0, 19).replace('T', ' ')} UTC`

/** As metav1.Time is written: whole seconds. */
export const wholeSeconds = (at: Micros): string => `${formatTime(at).slice(0, 19)}Z`
