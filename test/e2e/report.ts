/** out/test/scenarios.json, and the table of docs/scenarios.md made from it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { type Micros, parseTime, SECOND } from '../../src/core/time.ts'
import type { PodResult, ScenarioResult } from './runner.ts'
import type { ContainerTruth } from './truth/containers.ts'
import type { Truth } from './truth/truth.ts'

const OUT = resolve(import.meta.dirname, '../../out/test')

const offset = (at: Micros, zero: Micros) => `+${((at - zero) / SECOND).toFixed(2)} s`

/** "app: SIGTERM +15.02 s (delivered), SIGKILL +17.03 s by the runtime, ended +17.04 s with 137" */
function containerTruth(container: ContainerTruth, zero: Micros): string {
  const { name, stopSignal, kill, exit, hooks } = container
  const parts: string[] = []
  const ended = hooks.at(-1)?.ended
  if (ended) parts.push(`preStop over ${offset(ended.latest, zero)}`)
  if (stopSignal) parts.push(`${stopSignal.signal} ${offset(stopSignal.at.earliest, zero)} (${stopSignal.result.toLowerCase()})`)
  if (kill) parts.push(`SIGKILL ${offset(kill.at.earliest, zero)} by ${kill.by === 'Runtime' ? 'the runtime' : kill.by}`)
  if (exit) parts.push(`ended ${offset(exit.at.earliest, zero)}${exit.code === undefined ? '' : ` with ${exit.code}`}`)
  return `${name}: ${parts.join(', ') || 'never ran'}`
}

function zeroOf(truth: Truth): Micros {
  const start =
    truth.marks.find(({ mark }) => mark === 'Terminating') ?? truth.marks.toSorted((a, b) => a.earliest - b.earliest)[0]
  return start?.latest ?? 0
}

/** Pods of many containers are told by their first three. */
function some(parts: readonly string[]): string {
  return parts.length > 3 ? `${parts.slice(0, 3).join('; ')}; and ${parts.length - 3} more like it` : parts.join('; ')
}

export function truthText({ truth }: PodResult): string {
  const zero = zeroOf(truth)
  return some(truth.containers.map((container) => containerTruth(container, zero)))
}

export function recordText(record: PodTermination | undefined): string {
  if (record === undefined) return 'no record'
  const findings = (record.findings ?? []).map(
    ({ type, container, service }) => `${type}${(container ?? service) ? ` (${container ?? service})` : ''}`,
  )
  const zero = parseTime(record.startedAt) ?? 0
  const containers = (record.containers ?? []).map(({ name, outcome, kill, exit }) => {
    const killed = kill?.at === undefined ? '' : `, SIGKILL about ${offset(parseTime(kill.at) ?? 0, zero)}`
    return `${name}: ${outcome ?? 'no outcome'}${killed}${exit === undefined ? '' : `, exit ${exit.code}`}`
  })
  return `${record.outcome}, ${record.cause?.type}${findings.length > 0 ? `; ${[...new Set(findings)].join(', ')}` : ''}; ${some(containers)}`
}

export function writeReport(results: readonly ScenarioResult[]): string {
  mkdirSync(OUT, { recursive: true })
  const path = join(OUT, 'scenarios.json')
  const rows = results
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, title, did, pods, problems }) => ({
      number,
      title,
      did,
      problems,
      pods: pods.map((pod) => ({
        name: pod.name,
        true: truthText(pod),
        recorded: recordText(pod.record),
        writes: pod.writes,
        record: pod.record,
        truth: pod.truth,
      })),
    }))
  writeFileSync(path, `${JSON.stringify(rows, undefined, 1)}\n`)
  return path
}
