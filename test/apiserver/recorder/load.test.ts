/** What the process holds of memory, and how fast it is, over two thousand terminations as fast as this API server takes them. */
import { beforeAll, expect, it } from 'vitest'
import { eventually } from '../waiting.ts'
import type { PodObject } from './kubelet.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('load')
const COUNT = 2000
const WORKERS = 12
const MIB = 1024 * 1024
let stage: Stage
let namespace: string
let running: Running

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  running = await stage.lead({
    own: stage.bed.namespace,
    namespaces: [namespace],
    args: ['--events=false', '--records-per-namespace=10000'],
  })
})

it(`${COUNT} terminations cost ${COUNT} writes, and leave the process as small as it was`, async () => {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const removedAt = new Map<string, number>()
  const pod = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: { ...stage.kubelet.podSpec(), containers: [{ name: 'app', image: 'registry.invalid/none:1' }] },
  })
  // The first one waits for the namespace's default account.
  const first = await stage.kubelet.pod(namespace, 'first')
  await first.delete(0)
  await stage.records.complete(first.uid)
  const before = running.controller.memory()

  let next = 0
  const startedAt = performance.now()
  const work = async () => {
    for (let index = next++; index < COUNT; index = next++) {
      const created = await stage.bed.http.request({ method: 'POST', path, body: pod(`pod-${index}`) })
      const { metadata } = created.json<PodObject>()
      await stage.bed.http.request({ method: 'DELETE', path: `${path}/${metadata.name}`, body: { gracePeriodSeconds: 0 } })
      removedAt.set(metadata.uid, performance.now())
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, work))
  const seconds = (performance.now() - startedAt) / 1000
  const all = () => stage.records.all.length >= COUNT + 1 || undefined
  await eventually(all, 30_000, `${COUNT} records`)
  const after = running.controller.memory()

  const delays = [...removedAt]
    .map(([uid, at]) => (stage.records.of(uid)[0]?.at ?? Number.POSITIVE_INFINITY) - at)
    .toSorted((a, b) => a - b)
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`
  console.log(
    `${COUNT} terminations in ${seconds.toFixed(1)} s (${(COUNT / seconds).toFixed(0)} a second); from the removal to the record: ` +
      `p50 ${Math.round(delays[COUNT / 2] ?? 0)} ms, p99 ${Math.round(delays[COUNT * 0.99] ?? 0)} ms; ` +
      `resident: ${mib(before.resident)} after start, ${mib(after.resident)} after them, ${mib(after.peak)} at most ` +
      '(with the Kubernetes client, which only a kubeconfig loads)',
  )
  expect(removedAt.size).toBe(COUNT)
  for (const uid of removedAt.keys()) expect(stage.records.states(uid)).toEqual(['Complete'])
  expect(running.front.applies).toHaveLength(COUNT + 1)
  expect(running.front.applies.filter(({ status }) => status !== 201)).toEqual([])
})
