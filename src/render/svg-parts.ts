/** What the parts of a picture have in common: its measures, its smallest pieces, and where things stand in it. */
import type { Micros } from '../core/time.ts'
import type { Scale } from './scale.ts'
import type { Span } from './span.ts'
import type { Timeline } from './timeline.ts'
import { element, type Markup } from './xml.ts'

export const WIDTH = 960
export const MARGIN = 12
/** Advance of a character of the face at 13 and at 11 px, rounded up. */
export const CHARACTER = 7.9
export const SMALL = 6.7
export const BAR = 22

export interface Lane {
  readonly y: number
  readonly label: string
  readonly drawing: readonly Markup[]
  readonly end: readonly Span[]
  /** A moment in it is not sure. */
  readonly bands?: boolean
  /** Of which marks this lane is. */
  readonly container?: string
  readonly service?: string
}

export interface Place {
  readonly timeline: Timeline
  readonly scale: Scale
  x(at: Micros): number
  /** Where the plot ends. */
  readonly right: number
}

export const text = (x: number, y: number, words: string, classes = 'plain') => element('text', { x, y, class: classes }, words)
export const line = (x1: number, y1: number, x2: number, y2: number, classes: string) =>
  element('line', { x1, y1, x2, y2, class: classes })
export const r = (value: number) => Math.round(value * 100) / 100
