/** Electors against a real API server: hand-over, crash, a stopped process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { openConnection } from '../../src/kube/connection.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import { LeaderElector } from '../../src/kube/lease.ts'
import { useApiServer } from './connect.ts'

const bed = useApiServer('lease')
const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()))
})

interface Replica {
  elector: LeaderElector
  http: KubeHttp
  /** Times of becoming and ceasing to be the leader, in ms. */
  terms: { from: number; to: number }[]
}

async function replica(name: string, identity: string): Promise<Replica> {
  const { http } = await openConnection({ kubeconfig: bed.cluster.kubeconfigPath, clock: bed.clock })
  const terms: Replica['terms'] = []
  const elector = new LeaderElector({
    http,
    clock: bed.clock,
    log: quiet,
    namespace: bed.namespace,
    name,
    identity,
    leaseDurationMs: 3000,
    renewDeadlineMs: 2000,
    retryPeriodMs: 500,
    onStartedLeading: () => void terms.push({ from: performance.now(), to: Number.POSITIVE_INFINITY }),
    onStoppedLeading: () => {
      const term = terms.at(-1)
      if (term !== undefined) term.to = performance.now()
    },
  })
  cleanups.push(() => elector.stop().then(() => http.close()))
  elector.start()
  return { elector, http, terms }
}

const leads = ({ elector }: Replica) => expect.poll(() => elector.isLeader(), { timeout: 15_000, interval: 20 }).toBe(true)

/** The property that everything stands on. */
function neverTwo(replicas: readonly Replica[]): void {
  const terms = replicas.flatMap((replica) => replica.terms).toSorted((a, b) => a.from - b.from)
  for (const [index, term] of terms.entries()) {
    const next = terms[index + 1]
    if (next !== undefined) expect(term.to).toBeLessThanOrEqual(next.from)
  }
}

const leaseOf = async (name: string) =>
  JSON.parse(await bed.kubectl('get', 'lease', name, '-n', bed.namespace, '-o', 'json')) as {
    metadata: { annotations?: Record<string, string> }
    spec: { holderIdentity: string; leaseTransitions: number; renewTime: string; acquireTime: string }
  }

describe('two replicas', () => {
  it('hand over within a retry period when the leader stops, with its annotation', async () => {
    const first = await replica('hand-over', 'a')
    await leads(first)
    const second = await replica('hand-over', 'b')
    first.elector.setAnnotation('gracewatch.dev/high-water-mark', '2026-03-01T12:00:00.000000Z')
    await first.elector.stop()
    const stopped = performance.now()
    await leads(second)
    expect(performance.now() - stopped).toBeLessThan(1500)
    expect(second.elector.annotations).toEqual({ 'gracewatch.dev/high-water-mark': '2026-03-01T12:00:00.000000Z' })
    const { spec, metadata } = await leaseOf('hand-over')
    expect(spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 })
    expect(spec.renewTime).toMatch(/\.\d{6}Z$/)
    expect(metadata.annotations).toEqual(second.elector.annotations)
    neverTwo([first, second])
  })

  it('the leader is cut off: it stops writing before the other begins', async () => {
    const first = await replica('cut-off', 'a')
    await leads(first)
    const second = await replica('cut-off', 'b')
    const write = first.elector.guard()
    await first.http.close()
    await leads(second)
    expect(first.elector.isLeader()).toBe(false)
    expect(write.aborted).toBe(true)
    neverTwo([first, second])
  })

  it('start together five times: one leads each time', async () => {
    for (let round = 0; round < 5; round++) {
      const both = await Promise.all([replica(`race-${round}`, 'a'), replica(`race-${round}`, 'b')])
      await expect.poll(() => both.some(({ elector }) => elector.isLeader()), { timeout: 5000, interval: 5 }).toBe(true)
      await new Promise((done) => setTimeout(done, 700))
      expect(both.filter(({ elector }) => elector.isLeader())).toHaveLength(1)
      neverTwo(both)
    }
  })

  it('a Lease that somebody deletes or edits goes on with its leader', async () => {
    const first = await replica('edited', 'a')
    await leads(first)
    const second = await replica('edited', 'b')
    await expect.poll(() => second.elector.stats.holder, { timeout: 5000 }).toBe('a')
    await bed.kubectl('annotate', 'lease', 'edited', '-n', bed.namespace, 'example.dev/note=x')
    await bed.kubectl('delete', 'lease', 'edited', '-n', bed.namespace)
    await expect.poll(async () => (await leaseOf('edited').catch(() => undefined))?.spec.holderIdentity).toBe('a')
    await new Promise((done) => setTimeout(done, 1000))
    expect([first.elector.isLeader(), second.elector.isLeader()]).toEqual([true, false])
    expect(first.terms).toHaveLength(1)
  })
})

describe('a process that is stopped (SIGSTOP) past its Lease', () => {
  it('finds itself not leading before it writes anything', async () => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('./elector.ts', import.meta.url)), bed.cluster.kubeconfigPath, bed.namespace, 'frozen', 'child'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    cleanups.push(() => ended(child))
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    await expect.poll(() => lines, { timeout: 15_000 }).toEqual(['leads'])
    child.kill('SIGSTOP')
    const second = await replica('frozen', 'b')
    await leads(second)
    child.kill('SIGCONT')
    await expect.poll(() => lines.length, { timeout: 5000 }).toBeGreaterThanOrEqual(3)
    expect(lines).toEqual(['leads', expect.stringMatching(/^stopped: /), 'guard refused a write'])
    await new Promise((done) => setTimeout(done, 1000))
    expect(second.elector.isLeader()).toBe(true)
    expect((await leaseOf('frozen')).spec.holderIdentity).toBe('b')
  })
})

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const exit = new Promise((done) => child.once('exit', done))
  child.kill('SIGCONT')
  child.kill('SIGTERM')
  await exit
}
