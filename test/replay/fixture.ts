/**
 * A recorded termination: the raw lines of three watches with their times of arrival, and beside them what really happened, as
 * the kernel, the workloads and the API server's own log told it.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Micros } from '../../src/core/time.ts'
import type { Raw } from '../e2e/api.ts'
import type { Observations } from '../e2e/observations.ts'
import type { Truth } from '../e2e/truth/truth.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')

export type Resource = 'pods' | 'events' | 'endpointslices'

export interface FixtureLine {
  readonly resource: Resource
  /** Microseconds of the wall clock of the machine, which was also the node's and the API server's. */
  readonly arrivedAt: Micros
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: Raw
}

export interface Fixture {
  /** `<scenario number>-<slug>` */
  readonly name: string
  /** What was done. */
  readonly did: string
  /** Version of Kubernetes, as v1.37.2. */
  readonly kubernetes: string
  /** RFC 3339. */
  readonly capturedAt: string
  readonly uid: string
  /** In the order of arrival. */
  readonly lines: readonly FixtureLine[]
  readonly truth: Truth
}

/** Everything that the test saw about one pod, without what never belongs into a file. */
export function recordLines(observations: Observations, uid: string): FixtureLine[] {
  const pods = observations.pods.get(uid) ?? []
  const namespace = pods.at(-1)?.object.metadata.namespace
  const lines: FixtureLine[] = []
  const take = (resource: Resource, from: readonly Omit<FixtureLine, 'resource'>[]) => {
    for (const { type, object, arrivedAt } of from) lines.push({ resource, arrivedAt, type, object: strip(object) })
  }
  take('pods', pods)
  take('events', observations.events.get(uid) ?? [])
  take('endpointslices', observations.slices.get(namespace) ?? [])
  return lines.sort((a, b) => a.arrivedAt - b.arrivedAt)
}

const NEVER_KEPT = ['managedFields', 'annotations', 'env', 'envFrom', 'args', 'command', 'volumeMounts', 'imageID', 'hostPath']

function strip(value: Raw): Raw {
  if (Array.isArray(value)) return value.map(strip)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([key]) => !NEVER_KEPT.includes(key))
  return Object.fromEntries(entries.map(([key, inner]) => [key, strip(inner)]))
}

export function writeFixture(fixture: Fixture): string {
  mkdirSync(FIXTURES, { recursive: true })
  const path = join(FIXTURES, `${fixture.name}.json`)
  const lines = fixture.lines.map((line) => `    ${JSON.stringify(line)}`).join(',\n')
  // One line an event: a fixture is read, and compared, by people too.
  const { lines: _, truth, ...head } = fixture
  const marks = truth.marks.map((mark) => `    ${JSON.stringify(mark)}`).join(',\n')
  const containers = truth.containers.map((container) => `    ${JSON.stringify(container)}`).join(',\n')
  writeFileSync(
    path,
    `${JSON.stringify(head, undefined, 1).replace(/\n\}$/, '')},\n "lines": [\n${lines}\n ],\n "truth": {\n  "pod": ${JSON.stringify(truth.pod)},\n  "marks": [\n${marks}\n  ],\n  "containers": [\n${containers}\n  ]\n }\n}\n`,
  )
  return path
}

export function readFixtures(): Fixture[] {
  return readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(FIXTURES, name), 'utf8')))
}
