/** PromQL out of the table of metrics: a name or a label that is not there is no query that finds nothing, but does not compile. */
import type { LabelsOf, MetricName, NamesOf } from '../metrics/definitions.ts'

/** A text: equal to it. */
export type Match =
  | string
  | { readonly in: readonly string[] }
  | { readonly notIn: readonly string[] }
  | { readonly like: string }
export type Matchers<K extends MetricName> = { readonly [L in LabelsOf<K>]?: Match }

/**
 * What the labels of two series of one target have in common, whoever scraped it. `cluster` is there where one Prometheus, or what stands
 * behind several, knows more than one; elsewhere it is empty and does nothing.
 */
const TARGET = ['cluster', 'job', 'instance'] as const

export function series<K extends MetricName>(name: K, matchers: Matchers<K> = {}): string {
  return selector(name, matchers)
}

/** The buckets of a histogram, or the one at `le`. */
export function buckets<K extends NamesOf<'Histogram'>>(name: K, matchers: Matchers<K> = {}, le?: number): string {
  // Prometheus writes 0 as 0.0 from version 3 on.
  return selector(`${name}_bucket`, { ...matchers, ...(le !== undefined && { le: { in: [`${le}`, le.toFixed(1)] } }) })
}

/** How often a histogram has observed something. */
export function counts<K extends NamesOf<'Histogram'>>(name: K, matchers: Matchers<K> = {}): string {
  return selector(`${name}_count`, matchers)
}

function selector(name: string, matchers: Readonly<Record<string, Match | undefined>>): string {
  const inner = Object.entries(matchers).flatMap(([label, match]) => (match === undefined ? [] : `${label}${condition(match)}`))
  return inner.length === 0 ? name : `${name}{${inner.join(', ')}}`
}

function condition(match: Match): string {
  if (typeof match === 'string') return `=${JSON.stringify(match)}`
  if ('like' in match) return `=~${JSON.stringify(match.like)}`
  return 'in' in match ? `=~${JSON.stringify(match.in.join('|'))}` : `!~${JSON.stringify(match.notIn.join('|'))}`
}

export const sumBy = (labels: readonly string[], vector: string): string => `sum by (${labels.join(', ')}) (${vector})`
export const maxBy = (labels: readonly string[], vector: string): string => `max by (${labels.join(', ')}) (${vector})`
export const increase = (vector: string, range: string): string => `increase(${vector}[${range}])`

/** Of a gauge that only the leader tells: not gone while another replica takes over, at the price of being there a while after its end. */
export const lately = (vector: string): string => `last_over_time(${vector}[5m])`

const ON_TARGET = `on (${TARGET.join(', ')})`
/** Of what controller and agents tell under the same name: the controller's. */
export const ofController = (vector: string): string => `${vector} and ${ON_TARGET} ${series('gracewatch_leader')}`
/** What the replica tells that leads. */
export const ofLeader = (vector: string): string => `${vector} and ${ON_TARGET} (${series('gracewatch_leader')} == 1)`
