/** What a run showed: out/test/scenarios.json for machines, docs/scenarios.md for readers. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { MarkType, PodTermination } from '../../src/api/pod-termination.ts'
import { type Micros, parseTime, SECOND } from '../../src/core/time.ts'
import type { PodResult, ScenarioResult } from './runner.ts'
import type { ContainerTruth } from './truth/containers.ts'
import type { Truth } from './truth/truth.ts'

export const PAGE = resolve(import.meta.dirname, '../../docs/scenarios.md')
const OUT = resolve(import.meta.dirname, '../../out/test')

const offset = (at: Micros, zero: Micros) => {
  const seconds = ((at - zero) / SECOND).toFixed(2)
  return `${seconds.startsWith('-') ? '' : '+'}${seconds} s`
}

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

function truthText({ truth }: PodResult): string {
  const zero = zeroOf(truth)
  return some(truth.containers.map((container) => containerTruth(container, zero)))
}

/** "app: ForcedKill, SIGTERM ignored at +0.02 s, SIGKILL by the runtime at +5.03 s, exit 137 at +5.03 s", of measured times only. */
function measuredContainers(record: PodTermination, zero: Micros): string[] {
  const at = (mark: MarkType, container: string) => {
    const found = record.timeline?.find((it) => it.mark === mark && it.container === container && it.confidence === 'Measured')
    return found === undefined ? '' : ` at ${offset(parseTime(found.at) ?? 0, zero)}`
  }
  return (record.containers ?? []).map(({ name, outcome, stopSignal, exit }) => {
    const kernel = record.kernel?.containers?.find((it) => it.name === name)
    const parts: string[] = [outcome ?? 'no outcome']
    if (kernel?.stopSignal) parts.push(`${kernel.stopSignal.name} ${stopSignal?.result.toLowerCase()}${at('StopSignal', name)}`)
    if (kernel?.passedOn && PASSED_ON[kernel.passedOn.result]) parts.push(PASSED_ON[kernel.passedOn.result] ?? '')
    if (kernel?.kill) parts.push(`SIGKILL by ${KILLERS[kernel.kill.by] ?? kernel.kill.by}${at('Kill', name)}`)
    if (exit) parts.push(`exit ${exit.code}${at('ContainerExited', name)}`)
    return `${name}: ${parts.join(', ')}`
  })
}

const PASSED_ON: Record<string, string> = { PassedOn: 'passed on', NotPassedOn: 'not passed on' }
const KILLERS: Record<string, string> = {
  Runtime: 'the runtime',
  Container: 'the container itself',
  OtherPod: 'another pod',
  Node: 'the node',
}

function recordText(record: PodTermination | undefined): string {
  if (record === undefined) return 'no record'
  const findings = (record.findings ?? []).map(
    ({ type, container, service }) => `${type}${(container ?? service) ? ` (${container ?? service})` : ''}`,
  )
  const zero = parseTime(record.startedAt) ?? 0
  const inferred = (record.containers ?? []).map(({ name, outcome, kill, exit }) => {
    const killed = kill?.at === undefined ? '' : `, SIGKILL about ${offset(parseTime(kill.at) ?? 0, zero)}`
    return `${name}: ${outcome ?? 'no outcome'}${killed}${exit === undefined ? '' : `, exit ${exit.code}`}`
  })
  const containers = record.kernel === undefined ? inferred : measuredContainers(record, zero)
  return `${record.outcome}, ${record.cause?.type}${findings.length > 0 ? `; ${[...new Set(findings)].join(', ')}` : ''}; ${some(containers)}`
}

interface Row {
  readonly number: number
  readonly agent: boolean
  readonly title: string
  readonly did: string
  readonly problems: readonly string[]
  readonly pods: readonly { readonly name: string; readonly true: string; readonly recorded: string; readonly writes: number }[]
}

/** Writes out/test/scenarios.json, with the whole records and truths in it, and returns its path. */
export function writeReport(results: readonly ScenarioResult[]): string {
  mkdirSync(OUT, { recursive: true })
  const path = join(OUT, 'scenarios.json')
  const rows = sorted(results).map((result) => ({
    ...rowOf(result),
    pods: result.pods.map((pod) => ({ ...podOf(pod), record: pod.record, truth: pod.truth })),
  }))
  writeFileSync(path, `${JSON.stringify(rows, undefined, 1)}\n`)
  return path
}

/**
 * Writes the page for readers; a row without a pod had none to record. Each scenario is played twice: what is true is told of the run
 * without the agent, where there is one.
 */
export function writePage(results: readonly ScenarioResult[], figures: ReadonlyMap<boolean, string>, version: string): void {
  const rows = sorted(results).map(rowOf)
  const numbers = [...new Set(rows.map(({ number }) => number))]
  const page = [
    '# How pods end, and what Gracewatch records of it',
    '',
    '<!-- Written by the end-to-end tests (GRACEWATCH_E2E_DOCS=write npm test -- e2e). Do not edit. -->',
    '',
    `Each row was played on a real Kubernetes ${version} node, once without the agent and once with it. What is true was told by the`,
    "kernel's own record of signals, by the workloads, by containerd and by the API server's audit log, never by Gracewatch; the records",
    'were then held against it. Times are offsets from the start of the termination; of the two runs, what is true is told of the first.',
    '',
    '| # | what was done | what is true | what the record says | with the agent |',
    '|---|---|---|---|---|',
    ...numbers.map((number) => {
      const of = (agent: boolean) => rows.find((row) => row.number === number && row.agent === agent)
      return rowLine(of(false), of(true))
    }),
    ...[false, true].flatMap((agent) => [
      '',
      `## The figures of the run ${agent ? 'with' : 'without'} the agent`,
      '',
      '```',
      figures.get(agent) ?? '',
      '```',
    ]),
    '',
  ]
  writeFileSync(PAGE, page.join('\n'))
}

const sorted = (results: readonly ScenarioResult[]) => results.toSorted((a, b) => a.number - b.number)

const podOf = (pod: PodResult) => ({
  name: pod.name,
  true: truthText(pod),
  recorded: recordText(pod.record),
  writes: pod.writes,
})

const rowOf = ({ number, title, did, agent, problems, pods }: ScenarioResult): Row => ({
  number,
  agent,
  title,
  did,
  problems,
  pods: pods.map(podOf),
})

/** The first two cells of a row, by which the page is compared with the scenarios. */
export function rowHead({ number, title, did }: { number: number; title: string; did: string }): string {
  return `| ${number} | **${cell(title)}**: ${cell(did)} |`
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function rowLine(without: Row | undefined, withAgent: Row | undefined): string {
  const row = without ?? withAgent
  if (row === undefined) throw new Error('a row of the page is of one of the two runs')
  const of = ({ pods }: Row, text: (pod: Row['pods'][number]) => string) =>
    pods.map((pod) => `${pods.length > 1 ? `*${pod.name}*: ` : ''}${cell(text(pod))}`).join('<br>') || 'nothing to record'
  const recorded = (side: Row | undefined) => (side === undefined ? 'not played' : of(side, (pod) => pod.recorded))
  return `${rowHead(row)} ${of(row, (pod) => pod.true)} | ${recorded(without)} | ${recorded(withAgent)} |`
}
