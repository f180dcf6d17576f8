/** The controller's own process on a real API server, scraped as Prometheus does it: what it tells of terminations and of itself. */
import { request } from 'node:https'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkMetrics } from '../../prometheus/promtool.ts'
import { type Family, parseExposition, seriesValue } from '../../unit/metrics/exposition.ts'
import { freePort } from '../recorder/controller.ts'
import { type Stage, useStage } from '../recorder/stage.ts'

const host = useStage('metrics-controller')
let stage: Stage
let namespace: string
let port: number

interface Scraped {
  readonly text: string
  readonly families: Map<string, Family>
}

async function scrape(): Promise<Scraped> {
  const text = await get()
  return { text, families: parseExposition(text) }
}

function get(): Promise<string> {
  return new Promise((resolve, reject) => {
    // The certificate is of the controller's own making.
    const call = request({ port, path: '/metrics', rejectUnauthorized: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))))
    })
    call.on('error', reject).end()
  })
}

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  port = await freePort()
})

describe('the metrics of the controller', () => {
  it('tell of a termination what the record says, and first of its workload that there was none', async () => {
    const own = await stage.namespace('own')
    const args = [`--metrics-address=127.0.0.1:${port}`, '--metrics-auth=false']
    const { controller } = await stage.lead({ own, namespaces: [namespace], args })
    const pod = await stage.kubelet.pod(namespace, 'web-1')
    const labels = { namespace, workload_kind: 'Pod', workload: '' }
    const graceful = { ...labels, outcome: 'Graceful', cause: 'Deleted' }
    const count = async () => seriesValue((await scrape()).families, 'gracewatch_pod_terminations_total', graceful)
    await expect.poll(count).toBe(0)

    await pod.delete()
    const terminating = async () => seriesValue((await scrape()).families, 'gracewatch_pods_terminating', labels)
    await expect.poll(terminating).toBe(1)
    await pod.finish()
    expect((await stage.records.complete(pod.uid)).record).toMatchObject({ outcome: 'Graceful' })
    await expect.poll(count).toBe(1)

    const { text, families } = await scrape()
    expect(seriesValue(families, 'gracewatch_pods_terminating', labels)).toBeUndefined()
    expect(seriesValue(families, 'gracewatch_leader')).toBe(1)
    expect(seriesValue(families, 'gracewatch_records_written_total')).toBe(1)
    expect(seriesValue(families, 'gracewatch_watch_synced', { resource: 'pods' })).toBe(1)
    expect(seriesValue(families, 'gracewatch_pod_termination_duration_seconds_count', labels)).toBe(1)
    expect(seriesValue(families, 'gracewatch_watch_delay_seconds_count', { resource: 'pods' })).toBe(1)
    expect(seriesValue(families, 'gracewatch_watch_delay_seconds_bucket', { resource: 'pods', le: '2' })).toBe(1)
    expect(seriesValue(families, 'gracewatch_api_requests_total', { verb: 'PATCH', code: 'OK' })).toBeGreaterThan(0)
    expect(text).not.toContain('web-1')
    expect(await checkMetrics(text)).toBe('')
    expect(controller.lines.all.filter(({ level }) => level === 'error')).toEqual([])
    await controller.stop()
  })
})
