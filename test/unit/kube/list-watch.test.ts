import { expect, test } from 'vitest'
import { createClock } from '../../../src/kube/clock.ts'
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { eventsOf, listPages } from '../../../src/kube/list-watch.ts'

/** A stream whose bytes are all there at once: nothing in it ever waits for the network. */
function readyStream(text: string): HttpStream {
  const bytes = Buffer.from(text)
  return {
    status: 200,
    headers: new Map(),
    sentAt: 0,
    receivedAt: 0,
    chunks: (async function* () {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    })(),
    close: () => {},
  }
}

function collectionOf(text: string) {
  const http = { stream: async () => readyStream(text) }
  // Only stream is used by these functions.
  return { http: http as unknown as KubeHttp, clock: createClock(), path: '/api/v1/pods' }
}

/** How often the event loop came round while the work ran, and how long that took. */
async function turnsOfTheLoop(work: () => Promise<void>): Promise<{ turns: number; tookMs: number }> {
  let turns = 0
  let done = false
  const turn = () => {
    turns++
    if (!done) setImmediate(turn)
  }
  setImmediate(turn)
  const startedMs = performance.now()
  await work()
  done = true
  return { turns, tookMs: performance.now() - startedMs }
}

/** A slice is 8 ms of work. On a machine that others use as well it can take longer, so a third of the turns is asked for. */
function expectSlices({ turns, tookMs }: { turns: number; tookMs: number }): void {
  expect(tookMs).toBeGreaterThan(50)
  expect(turns).toBeGreaterThanOrEqual(Math.floor(tookMs / 24))
}

const pod = (i: number) => ({
  metadata: { uid: `${i}` },
  spec: { x: Array.from({ length: 300 }, (_, n) => ({ name: `n${n}`, value: i })) },
})
const COUNT = 1200

test('a long list whose bytes are all there leaves the event loop to others', async () => {
  const text = JSON.stringify({ metadata: { resourceVersion: '1' }, items: Array.from({ length: COUNT }, (_, i) => pod(i)) })
  let count = 0
  const work = async () => {
    const page = { size: 500, timeoutMs: 60_000, signal: new AbortController().signal }
    await listPages(
      collectionOf(text),
      page,
      () => count++,
      () => {},
    )
  }
  expectSlices(await turnsOfTheLoop(work))
  expect(count).toBe(COUNT)
})

test('so does a flood of events', async () => {
  const text = Array.from({ length: COUNT }, (_, i) => `${JSON.stringify({ type: 'ADDED', object: pod(i) })}\n`).join('')
  let count = 0
  const collection = collectionOf(text)
  const work = async () => {
    for await (const _ of eventsOf(collection, readyStream(text), () => {})) count++
  }
  expectSlices(await turnsOfTheLoop(work))
  expect(count).toBe(COUNT)
})
