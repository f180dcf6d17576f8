/** The controller's own process on a real API server, scraped as Prometheus does it: what it tells of terminations and of itself. */
import { beforeAll, describe, expect, it } from 'vitest'
import { checkMetrics, prometheusBinary } from '../../prometheus/promtool.ts'
import { parseExposition, seriesValue } from '../../unit/metrics/exposition.ts'
import { type Stage, useStage } from '../recorder/stage.ts'
import { MetricsPort } from './scrape.ts'

const TERMINATIONS = 'gracewatch_pod_terminations_total'
const host = useStage('metrics-controller')
let stage: Stage
let namespace: string
let labels: Record<string, string>
let graceful: Record<string, string>

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  labels = { namespace, workload_kind: 'Pod', workload: '' }
  graceful = { ...labels, outcome: 'Graceful', cause: 'Deleted' }
})

// Built where it is not there.
beforeAll(() => prometheusBinary('promtool'), 900_000)

describe('the metrics of the controller', () => {
  it('tell of a termination what the record says, and first of its workload that there was none', async () => {
    const port = await MetricsPort.reserve()
    const own = await stage.namespace('own')
    const { controller } = await stage.lead({ own, namespaces: [namespace], lease: [], args: port.args })
    const pod = await stage.kubelet.pod(namespace, 'web-1')
    await port.becomes(0, TERMINATIONS, graceful)

    const began = performance.now()
    await pod.delete()
    await port.becomes(1, 'gracewatch_pods_terminating', labels)
    await pod.finish()
    expect((await stage.records.complete(pod.uid)).record).toMatchObject({ outcome: 'Graceful' })
    await port.becomes(1, TERMINATIONS, graceful)

    const text = await port.text()
    const families = parseExposition(text)
    const value = (name: string, of = {}) => seriesValue(families, `gracewatch_${name}`, of)
    expect(value('pods_terminating', labels)).toBeUndefined()
    expect(value('leader')).toBe(1)
    // More than one where it took so long that it was told of while it was under way.
    expect(value('records_written_total')).toBe(stage.records.states(pod.uid).length)
    expect(value('watch_synced', { resource: 'pods' })).toBe(1)
    expect(value('pod_termination_duration_seconds_count', labels)).toBe(1)
    expect(value('watch_delay_seconds_count', { resource: 'pods' })).toBe(1)
    // The API server writes whole seconds, rounded down.
    expect(value('watch_delay_seconds_sum', { resource: 'pods' })).toBeLessThan((performance.now() - began) / 1000 + 1)
    expect(value('api_requests_total', { verb: 'PATCH', code: 'OK' })).toBeGreaterThan(0)
    expect(text).not.toContain('web-1')
    expect(await checkMetrics(text)).toBe('')
    expect(controller.lines.all.filter(({ level }) => level === 'error')).toEqual([])
    await controller.stop()
  })

  it('count a termination once, whichever replica leads by then', async () => {
    const own = await stage.namespace('two')
    const [ofLeader, ofStandby] = [await MetricsPort.reserve(), await MetricsPort.reserve()]
    // Who leads changes by stop() alone, which gives the Lease up.
    const leader = await stage.lead({ own, namespaces: [namespace], lease: [], args: ofLeader.args })
    const standby = await stage.start({ own, namespaces: [namespace], lease: [], args: ofStandby.args })
    await standby.controller.ready()
    const count = (port: MetricsPort) => port.value(TERMINATIONS, graceful)
    const before = await stage.kubelet.pod(namespace, 'before')
    // The standby has the series, too: it may be the one to count in it.
    await ofStandby.becomes(0, TERMINATIONS, graceful)
    await ofLeader.becomes(0, TERMINATIONS, graceful)
    await before.delete()
    await before.finish()
    await stage.records.complete(before.uid)
    await ofLeader.becomes(1, TERMINATIONS, graceful)
    expect(await count(ofStandby)).toBe(0)
    expect(await ofStandby.value('gracewatch_leader')).toBe(0)

    const after = await stage.kubelet.pod(namespace, 'after')
    await leader.controller.stop()
    await standby.controller.leads()
    await ofStandby.becomes(1, 'gracewatch_leader')
    await after.delete()
    await after.finish()
    await stage.records.complete(after.uid)
    // What the leader before had counted is looked at again by the new one, which has seen it end, and not counted.
    await ofStandby.becomes(1, TERMINATIONS, graceful)
    // Both are done with: followed for 20 s after they were looked at.
    await expect.poll(() => ofStandby.value('gracewatch_terminations_followed'), { timeout: 60_000 }).toBe(0)
    expect(await count(ofStandby)).toBe(1)
    await standby.controller.stop()
  })

  it('count once, too, what a leader had begun, another one completed, and the first finds when it leads again', async () => {
    const own = await stage.namespace('again')
    const [ofFirst, ofSecond] = [await MetricsPort.reserve(), await MetricsPort.reserve()]
    const first = await stage.lead({ own, namespaces: [namespace], lease: [], args: ofFirst.args })
    const second = await stage.start({ own, namespaces: [namespace], lease: [], args: ofSecond.args })
    await second.controller.ready()
    const begun = await stage.kubelet.pod(namespace, 'begun')
    for (const port of [ofFirst, ofSecond]) await port.becomes(0, TERMINATIONS, graceful)
    await begun.delete()
    await begun.killing()
    await stage.records.inState(begun.uid, 'Terminating')

    // From here on it cannot renew its Lease, and watches on.
    const away = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'ServiceUnavailable', code: 503 }
    const lets = first.front.before('PUT', /\/leases\//, () => ({ status: 503, body: away }))
    await second.controller.leads(60_000)
    await begun.exit({ code: 0 })
    await begun.remove()
    await stage.records.complete(begun.uid, 60_000)
    await ofSecond.becomes(1, TERMINATIONS, graceful)
    expect(await ofFirst.value('gracewatch_leader')).toBe(0)
    expect(await ofFirst.value(TERMINATIONS, graceful)).toBe(0)
    // It still follows it: it does not know whether the end stands.
    await ofFirst.becomes(1, 'gracewatch_terminations_followed')

    const applied = () => first.front.applies.filter(({ path }) => path.includes('/begun.')).length
    const before = applied()
    lets()
    await second.controller.stop()
    await ofFirst.becomes(1, 'gracewatch_leader')
    const next = await stage.kubelet.pod(namespace, 'next')
    await next.delete()
    await next.finish()
    await stage.records.complete(next.uid)
    await ofFirst.becomes(1, TERMINATIONS, graceful)
    // Both are done with: followed for 20 s after they were looked at.
    await expect.poll(() => ofFirst.value('gracewatch_terminations_followed'), { timeout: 60_000 }).toBe(0)
    expect(await ofFirst.value(TERMINATIONS, graceful)).toBe(1)
    expect(applied()).toBe(before)
    await first.controller.stop()
  })

  it('are not there where no address is given, and the process does not start with one that it cannot have', async () => {
    const own = await stage.namespace('taken')
    const port = await MetricsPort.reserve()
    const first = await stage.lead({ own, namespaces: [namespace], args: port.args })
    const second = await stage.start({ own, namespaces: [namespace], args: port.args })
    expect(await second.controller.ended).toMatchObject({ code: 1 })
    expect(second.controller.text).toContain('is in use: write another --metrics-address')
    await first.controller.stop()
    await expect(port.text()).rejects.toThrow('ECONNREFUSED')
  })
})
