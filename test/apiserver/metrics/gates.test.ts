/** What the controller's process tells of its readiness gates. */
import { beforeAll, expect, it } from 'vitest'
import { ANNOTATION, useGates, type World } from '../gates/world.ts'
import { MetricsPort } from './scrape.ts'

const host = useGates('metrics-gates')
let world: World
let port: MetricsPort

beforeAll(async () => {
  world = host.world
  port = await MetricsPort.reserve()
  await world.stage.lead({ own: world.stage.bed.namespace, namespaces: [], gates: true, args: port.args })
})

it('a gate tells how many pods it holds and for how long, and how long it had held one that it lets in', async () => {
  const namespace = await world.stage.namespace('holds')
  const began = performance.now()
  await world.gate(namespace, 'lb')
  await world.pod(namespace, 'web-1')
  const lb = { namespace, gate: 'lb' }
  await world.until(namespace, 'web-1', 'False')
  await port.becomes(1, 'gracewatch_gate_pods', { ...lb, state: 'Failing' })
  // Its containers are not ready either: the gate is not what holds it.
  expect(await port.value('gracewatch_gate_longest_hold_seconds', lb)).toBe(0)
  await world.kubeletSays(namespace, 'web-1', [{ type: 'ContainersReady', status: 'True' }])
  const held = () => port.value('gracewatch_gate_longest_hold_seconds', lb)
  await expect.poll(held, { timeout: 30_000 }).toBeGreaterThan(1)
  // Since the condition became False, in whole seconds, rounded down.
  expect(await held()).toBeLessThan((performance.now() - began) / 1000 + 1)
  await world.annotate(namespace, 'web-1', { [ANNOTATION]: 'yes' })
  await world.until(namespace, 'web-1', 'True')
  await port.becomes(1, 'gracewatch_gate_pods', { ...lb, state: 'Passing' })
  expect(await port.value('gracewatch_gate_longest_hold_seconds', lb)).toBe(0)
  expect(await port.value('gracewatch_gate_hold_duration_seconds_count', lb)).toBe(1)
  expect(await port.value('gracewatch_gate_hold_duration_seconds_sum', lb)).toBeGreaterThan(1)
  expect(await port.value('gracewatch_gate_condition_writes_total', { reason: 'Patched' })).toBe(2)
  expect(await port.value('gracewatch_watch_synced', { resource: 'podreadinessgates' })).toBe(1)
  expect(await port.value('gracewatch_queue_depth', { queue: 'gate_pods' })).toBeDefined()
  await world.deleteGate(namespace, 'lb')
  await expect.poll(async () => (await port.scrape()).get('gracewatch_gate_pods')?.samples, { timeout: 30_000 }).toEqual([])
})
