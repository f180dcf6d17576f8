/** The metrics port of the agent as it is shipped, while it traces this machine: what it tells, and what it takes. */
import { randomUUID } from 'node:crypto'
import { request } from 'node:https'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../apiserver/recorder/controller.ts'
import { parseExposition, seriesValue } from '../unit/metrics/exposition.ts'
import { AgentProcess, buildAgent, requestedMegabytes, residentMegabytes, selfSigned } from './support/agent-process.ts'
import { Api } from './support/api.ts'
import { until } from './support/rig.ts'
import { Runtime } from './support/runtime.ts'
import { instanceName, mountTracefs } from './support/tracing.ts'

/** A node that is full. */
const PODS = 110
const POD_BYTES = 8000
const SCRAPES = 500

const mount = mountTracefs()
const runtime = await Runtime.create()
const certificate = selfSigned()
let api: Api
let agent: AgentProcess
let port: number

beforeAll(async () => {
  buildAgent()
  api = await Api.start(certificate)
  for (let count = 0; count < PODS; count++) api.set(randomUUID(), { containers: {}, ballast: POD_BYTES })
  port = await freePort()
  const flags = [`--metrics-address=127.0.0.1:${port}`, '--metrics-auth=false']
  agent = await AgentProcess.start({ apiPort: api.port, certificate, tracing: mount.folder, instance: instanceName(), flags })
  await agent.ready()
})
afterAll(async () => {
  expect(await agent.kill('SIGTERM'), agent.output).toBe(0)
  await api.down()
  await runtime.close()
  mount.unmount()
})

function scrape(): Promise<string> {
  return new Promise((resolve, reject) => {
    // The certificate is of the agent's own making.
    const call = request({ host: '127.0.0.1', port, path: '/metrics', rejectUnauthorized: false, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve(body))
    })
    call.on('error', reject).end()
  })
}

test('it tells what it has seen and lost, and how far the clocks are apart', async () => {
  const container = await runtime.pod().run({ args: ['node', '/workload/app.mjs', 'app'] })
  await container.pod.out('app.start')
  const { uid } = container.pod
  api.set(uid, { containers: { app: container } })
  api.set(uid, { containers: { app: container }, deletedAt: new Date() })
  expect(await container.pod.runc('kill', container.id, 'TERM')).toBe(0)
  await until(() => api.applied(uid).find(({ body }) => body.kernel?.complete === true))
  const text = await scrape()
  const families = parseExposition(text)
  const value = (name: string, labels = {}) => seriesValue(families, `gracewatch_${name}`, labels)
  expect(value('agent_tracing')).toBe(1)
  expect(value('agent_signals_total')).toBeGreaterThan(0)
  expect(value('agent_lost_events_total')).toBe(0)
  expect(value('records_written_total')).toBeGreaterThan(0)
  expect(value('watch_synced', { resource: 'pods' })).toBe(1)
  // One machine, one clock.
  expect(value('api_clock_offset_seconds', { bound: 'Earliest' })).toBeLessThanOrEqual(0)
  expect(value('api_clock_offset_seconds', { bound: 'Latest' })).toBeGreaterThanOrEqual(0)
})

test('scraped again and again it stays below what its pod asks for', async () => {
  await scrape()
  const before = residentMegabytes(agent.pid)
  for (let count = 0; count < SCRAPES; count++) await scrape()
  const after = residentMegabytes(agent.pid)
  const asked = requestedMegabytes()
  console.log(
    `agent with its metrics port and ${PODS} pods: ${before.toFixed(1)} MB after one scrape, ${after.toFixed(1)} MB after ${SCRAPES} more, of ${asked.toFixed(1)} MB`,
  )
  expect(after).toBeLessThan(asked)
})
