/**
 * The tracer against recorded terminations, which a server on loopback tells again at their own pace, moved to the present: the reading
 * of the watches, the waiting and the verdicts are the product's own.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { CommandError } from '../../../src/cli/arguments.ts'
import { evidenceLine, recordsFromEvidence } from '../../../src/cli/evidence-file.ts'
import { Tracer } from '../../../src/cli/tracer.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { type Fixture, readFixtures } from '../../replay/fixture.ts'
import { clientOf } from '../kube/support/http.ts'
import { json } from '../kube/support/server.ts'

const LIST_VERSION = '1'
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Moves every time in the text of an object, and that in the name of an Event. */
function moved(text: string, micros: number): string {
  return text
    .replace(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?Z)/g, (_, base: string, rest: string) => {
      return `${new Date(Date.parse(`${base}Z`) + micros / 1000).toISOString().slice(0, 19)}${rest}`
    })
    .replace(/\.([0-9a-f]{16})"/g, (_, hex: string) => `.${(BigInt(`0x${hex}`) + BigInt(micros) * 1000n).toString(16)}"`)
}

/**
 * Begins to tell when every watch stands.
 *
 * @param onGet answers whether the pod is there, where it is asked for by its name
 */
async function retell(fixture: Fixture, forbidden: readonly string[] = [], onGet: () => boolean = () => false) {
  const watches: { resource: string; reason: string | undefined; response: ServerResponse }[] = []
  const timers: NodeJS.Timeout[] = []
  const resources = ['pods', 'events', 'endpointslices']
  const play = () => {
    const [first] = fixture.lines
    if (first === undefined) return
    // Whole seconds, as most of the times in the objects are.
    const by = Math.round((Date.now() * 1000 + SECOND / 2 - first.arrivedAt) / SECOND) * SECOND
    for (const { resource, type, object, arrivedAt } of fixture.lines)
      timers.push(
        setTimeout(
          () => {
            const text = moved(JSON.stringify(object), by)
            for (const watch of watches)
              if (watch.resource === resource && (watch.reason ?? object.reason) === object.reason)
                watch.response.write(`{"type":"${type}","object":${text}}\n`)
          },
          (arrivedAt + by) / 1000 - Date.now(),
        ),
      )
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://server')
    const resource = url.pathname.split('/').at(-1) ?? ''
    if (forbidden.includes(resource))
      return json(response, 403, { kind: 'Status', reason: 'Forbidden', message: `no ${resource}` })
    if (resource === fixture.truth.pod.name && onGet()) return json(response, 200, { metadata: { uid: fixture.uid } })
    if (!resources.includes(resource)) return json(response, 404, { kind: 'Status', reason: 'NotFound', message: 'not here' })
    if (!url.searchParams.has('watch'))
      return json(response, 200, { kind: 'List', metadata: { resourceVersion: LIST_VERSION }, items: [] })
    if (url.searchParams.has('sendInitialEvents'))
      return json(response, 422, { kind: 'Status', reason: 'Invalid', message: 'no streaming lists' })
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    watches.push({ resource, reason: /reason=(\w+)/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1], response })
    if (watches.length === (forbidden.includes('events') ? 2 : 4)) play()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const timer of timers) clearTimeout(timer)
    server.closeAllConnections()
    server.close()
  })
  return clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) // a listening TCP server has one
}

async function trace(fixture: Fixture, forbidden: readonly string[] = []) {
  const http = await retell(fixture, forbidden)
  const { promise, resolve } = Promise.withResolvers<PodTermination>()
  const [begun, lacking]: [PodSnapshot[], string[]] = [[], []]
  const tracer = new Tracer({
    ...{ http, log: SILENT, namespace: fixture.truth.pod.namespace, selection: { words: 'all of them' } },
    onLacking: (sentence) => lacking.push(sentence),
    onBegun: (pod) => begun.push(pod),
    onOverdue: () => {},
    onEvidence: (facts, now) => {
      const record = assemble(facts, now)
      if (record === undefined || record.pod.uid !== fixture.uid) return
      expect(recordsFromEvidence(evidenceLine(facts, now), 'it')).toEqual([record])
      resolve(record)
    },
  })
  await tracer.start()
  onTestFinished(() => tracer.stop())
  return { record: await promise, begun, lacking }
}

const fixtureOf = (start: string) => {
  const found = readFixtures().find(({ name }) => name.startsWith(start))
  if (found === undefined) throw new Error(`there is no fixture ${start}`)
  return found
}
const judged = (fixture: Fixture) =>
  assemble([...factsByLine(fixture).flat(), ...CLOCKS], (fixture.lines.at(-1)?.arrivedAt ?? 0) + 5 * SECOND)
/** What does not depend on how well the clocks are known. */
const gist = (record: PodTermination | undefined) => ({
  pod: record?.pod.uid,
  cause: record?.cause?.type,
  outcome: record?.outcome,
  containers: record?.containers?.map(({ name, outcome, exit }) => [name, outcome, exit?.code]),
  services: record?.endpoints?.map(({ service }) => service),
  marks: record?.timeline?.map(({ mark, container = '', service = '' }) => `${mark} ${container}${service}`).sort(),
})

describe('a trace', () => {
  it.each([['16-'], ['19-'], ['30-service-endpoints-readiness-fails-on-the-signal-1']])(
    'of %s comes to what the recorder came to',
    { timeout: 60_000 },
    async (start) => {
      const fixture = fixtureOf(start)
      const { record, begun, lacking } = await trace(fixture)
      expect(gist(record)).toEqual({ ...gist(judged(fixture)) })
      expect(begun.map(({ uid }) => uid)).toContain(fixture.uid)
      expect(lacking).toEqual([])
    },
  )

  it('does without Events where they may not be watched, and says what that means', { timeout: 30_000 }, async () => {
    const { record, lacking } = await trace(fixtureOf('19-'), ['events'])
    expect(lacking).toEqual([expect.stringMatching(/events.*when hooks began and stop signals were sent is known only by rule$/)])
    expect(record).toMatchObject({ cause: { type: 'EvictedByAPI' }, outcome: 'Graceful' })
  })

  it.each([
    ['has not ended where it is still there', true],
    ['has ended where it is not', false],
  ])('a pod that the watch of a selector no longer tells of %s', { timeout: 30_000 }, async (_, there) => {
    const fixture = fixtureOf('05-')
    const running = fixture.lines.findLast(
      ({ resource, object }) => resource === 'pods' && object.metadata.deletionTimestamp === undefined,
    )
    if (running === undefined) throw new Error('the fixture does not begin with a pod that runs')
    const lines = (['ADDED', 'DELETED'] as const).map((type, i) => ({
      ...running,
      type,
      arrivedAt: running.arrivedAt + i * SECOND,
    }))
    const asked = Promise.withResolvers<void>()
    const http = await retell({ ...fixture, lines }, [], () => {
      asked.resolve()
      return there
    })
    const seen: (string | undefined)[] = []
    const tracer = new Tracer({
      ...{ http, log: SILENT, namespace: fixture.truth.pod.namespace, selection: { labelSelector: 'app=web', words: 'some' } },
      ...{ onLacking: () => {}, onBegun: () => {}, onOverdue: () => {} },
      onEvidence: (facts, now) => seen.push(assemble(facts, now)?.pod.name),
    })
    await tracer.start()
    onTestFinished(() => tracer.stop())
    await asked.promise
    if (there) {
      // Longer than what a recorder waits for late Events.
      await new Promise((done) => setTimeout(done, 1500))
      expect(seen).toEqual([])
    } else await expect.poll(() => seen).toEqual(['app'])
  })

  it('does not begin where pods may not be watched', async () => {
    const started = trace(fixtureOf('19-'), ['pods'])
    await expect(started).rejects.toThrow(CommandError)
    await expect(started).rejects.toThrow(/Ask for the right to list and watch pods in namespace /)
  })
})
