/** What the controller's process tells of its readiness gates. */
import { beforeAll, expect, it } from 'vitest'
import { ANNOTATION, TYPE, useGates, type World } from '../gates/world.ts'
import { eventually } from '../waiting.ts'
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
  // Since the condition became False, in whole seconds, rounded down; and the API server's clock is known to a part of one.
  expect(await held()).toBeLessThan((performance.now() - began) / 1000 + 2)
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

it('a gate whose conditions are refused holds its pods as well, and tells so', async () => {
  const namespace = await world.stage.namespace('refused')
  const { http } = world
  const admission = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic'
  await world.pod(namespace, 'web-1')
  await http.request({
    method: 'POST',
    path: `${admission}ies`,
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: namespace },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods/status'] }],
        },
        validations: [{ expression: `!object.status.conditions.exists(condition, condition.type == '${TYPE}')` }],
      },
    },
  })
  await http.request({
    method: 'POST',
    path: `${admission}ybindings`,
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: namespace },
      spec: { policyName: namespace, validationActions: ['Deny'] },
    },
  })
  try {
    // A policy takes a moment to have effect; what it lets through until then is not what is asked about.
    const refused = () =>
      world.kubeletSays(namespace, 'web-1', [{ type: TYPE, status: 'Unknown' }], { message: String(performance.now()) }).then(
        () => undefined,
        (error: Error) => error,
      )
    await eventually(refused, 30_000, 'the policy refuses the condition')
    await world.pod(namespace, 'web-2')
    const began = performance.now()
    await world.kubeletSays(namespace, 'web-2', [
      { type: 'ContainersReady', status: 'True', lastTransitionTime: new Date().toISOString() },
    ])
    await world.gate(namespace, 'lb')
    const held = () => port.value('gracewatch_gate_longest_hold_seconds', { namespace, gate: 'lb' })
    await expect.poll(held, { timeout: 30_000 }).toBeGreaterThan(2)
    // The time is in whole seconds, rounded down, and the API server's clock is known to a part of one.
    expect(await held()).toBeLessThan((performance.now() - began) / 1000 + 2)
    expect(await port.value('gracewatch_gate_condition_writes_total', { reason: 'Refused' })).toBeGreaterThan(0)
    expect(await world.condition(namespace, 'web-2')).toBeUndefined()
  } finally {
    for (const kind of ['ybindings', 'ies']) await http.request({ method: 'DELETE', path: `${admission}${kind}/${namespace}` })
  }
})
