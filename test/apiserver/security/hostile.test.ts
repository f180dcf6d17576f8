/** A tenant that makes as much work as it can, beside one whose pods end at the same time: it delays the others' records, and takes none away. */
import { beforeAll, expect, it } from 'vitest'
import { freePort } from '../recorder/controller.ts'
import type { FakePod } from '../recorder/kubelet.ts'
import { type Running, type Stage, useStage } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'

const host = useStage('hostile')
const MANY = 1000
const QUIET = 20
const CONTAINERS = 10
const PARALLEL = 16
/** For a request of the flood: the API server is as busy as this test can make it. */
const LOADED_MS = 60_000
const MARKUP = '<script>alert("x")</script>\u001b[2J\u202e'
/** As long as names can be. */
const nameOf = (index: number) => `${'x'.repeat(252 - `${index}`.length)}-${index}`

let stage: Stage
let running: Running
let page: number
let hostile: string
let quiet: string

async function inParallel<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const rest = items.entries()
  const next = async () => {
    for (const [index, item] of rest) results[index] = await act(item)
  }
  await Promise.all(Array.from({ length: PARALLEL }, next))
  return results
}

/** A pod that has said all that it can say; its end is that somebody deletes it. */
async function loud(index: number): Promise<string> {
  const { http } = stage.bed
  const name = nameOf(index)
  const containers = Array.from({ length: CONTAINERS }, (_, at) => `c${at}-${'y'.repeat(58)}`.slice(0, 63))
  const path = `/api/v1/namespaces/${hostile}/pods`
  const made = await http.request({
    method: 'POST',
    path,
    timeoutMs: LOADED_MS,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, annotations: { 'example.com/note': MARKUP.repeat(50) } },
      spec: { ...stage.kubelet.podSpec(), containers: containers.map((it) => ({ name: it, image: 'registry.invalid/none:1' })) },
    },
  })
  const now = `${new Date().toISOString().slice(0, 19)}Z`
  const terminated = { exitCode: 1, reason: MARKUP, message: MARKUP.repeat(50), startedAt: now, finishedAt: now }
  const status = (it: string) => ({ name: it, image: '', imageID: '', ready: false, restartCount: 0, state: { terminated } })
  await http.request({
    method: 'PATCH',
    path: `${path}/${name}/status`,
    timeoutMs: LOADED_MS,
    contentType: 'application/strategic-merge-patch+json',
    body: {
      status: {
        ...{ phase: 'Running', startTime: now, message: MARKUP },
        conditions: [{ type: 'Ready', status: 'False', reason: 'Loud', message: MARKUP, lastTransitionTime: now }],
        containerStatuses: containers.map(status),
      },
    },
  })
  return made.json<{ metadata: { uid: string } }>().metadata.uid
}

/** @returns from its removal to its Complete record, in milliseconds */
async function endsQuietly(pod: FakePod): Promise<number> {
  await pod.delete()
  const removed = await pod.finish(0)
  const { record, at } = await stage.records.complete(pod.uid, 300_000)
  expect(record).toMatchObject({
    outcome: 'Graceful',
    cause: { type: 'Deleted' },
    containers: [{ name: 'app', exit: { code: 0 } }],
  })
  return at - removed
}

const percentile = (sorted: readonly number[], share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)

beforeAll(async () => {
  stage = host.stage
  ;[hostile, quiet] = [await stage.namespace('loud'), await stage.namespace('quiet')]
  page = await freePort()
  const options = { own: stage.bed.namespace, namespaces: [hostile, quiet], args: [`--page-port=${page}`], lease: [] }
  running = await stage.lead(options)
})

it(`${MANY} pods of ${CONTAINERS} containers that go at once, with the longest names and markup in all words: the others' ends are recorded`, async () => {
  const { http } = stage.bed
  // The namespace's default account is made a moment after it.
  const account = () => http.request({ method: 'GET', path: `/api/v1/namespaces/${hostile}/serviceaccounts/default` })
  await eventually(() => account().catch(() => undefined), 60_000, 'the default account')
  const [uids, others] = await Promise.all([
    inParallel(
      Array.from({ length: MANY }, (_, index) => index),
      loud,
    ),
    Promise.all(Array.from({ length: QUIET }, (_, index) => stage.kubelet.pod(quiet, `calm-${index}`))),
  ])
  const began = performance.now()
  const path = `/api/v1/namespaces/${hostile}/pods`
  const names = uids.map((_, index) => nameOf(index))
  // Of the others, half end as it begins and half in the midst of it.
  const flood = inParallel(names, (name) =>
    http.request({ method: 'DELETE', path: `${path}/${name}`, timeoutMs: LOADED_MS, body: { gracePeriodSeconds: 0 } }),
  )
  const first = Promise.all(others.slice(0, QUIET / 2).map(endsQuietly))
  const midst = eventually(() => stage.records.all.length >= MANY / 4 || undefined, 300_000, 'records of the flood')
  const second = midst.then(() => Promise.all(others.slice(QUIET / 2).map(endsQuietly)))
  const delays = [...(await first), ...(await second)].sort((a, b) => a - b)
  await flood
  const open = new Set(uids)
  const recorded = () => {
    for (const { record } of stage.records.all) if (record.state === 'Complete') open.delete(record.pod.uid)
    return open.size === 0 || undefined
  }
  await eventually(recorded, 300_000, `${MANY} records of the flood`)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(
    `${MANY} pods of one namespace gone at once, all recorded within ${seconds} s; of ${QUIET} pods of another namespace meanwhile, from ` +
      `removal to Complete record: p50 ${percentile(delays, 0.5)} ms, most ${percentile(delays, 1)} ms`,
  )
  expect(running.controller.running).toBe(true)
  for (const uid of others.map((pod) => pod.uid)) expect(stage.records.states(uid).at(-1)).toBe('Complete')
}, 900_000)

it('and what it has written is shown as text, wherever it is shown', async () => {
  const text = await (await fetch(`http://127.0.0.1:${page}/?namespace=${hostile}`)).text()
  expect(text).toContain(nameOf(0).slice(0, 60))
  expect(text).not.toContain('<script>alert')
  const [href] = /\/records\/[^"]+/.exec(text) ?? []
  const record = await (await fetch(`http://127.0.0.1:${page}${href}`)).text()
  expect(record).toContain('&lt;script&gt;')
  expect(record).not.toContain('<script>alert')
})
