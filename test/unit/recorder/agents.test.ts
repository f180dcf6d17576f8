/** Which nodes have an agent, and for how long a termination there is waited for it. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { KernelFacts } from '../../../src/api/kernel.ts'
import { AgentNodes } from '../../../src/controllers/recorder/agents.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import { formatTime } from '../../../src/core/time.ts'
import type { Change } from '../../../src/kube/reflector-types.ts'
import { aPod, micros } from '../builders.ts'
import { Bench } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

interface AgentOptions {
  readonly uid?: string
  readonly namespace?: string
  readonly container?: string
  readonly node?: string
  readonly ready?: boolean
}

/** A change of an agent's pod. */
function agentPod(at: number, options: AgentOptions = {}, type: Change<PodSnapshot>['type'] = 'Modified'): Change<PodSnapshot> {
  const { uid = 'agent-1', namespace = 'agents', container = 'agent', node = 'node-1', ready = true } = options
  const { pod } = aPod({ uid, node, containers: [{ name: container }] }).running()
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }]
  return { type, object: { ...pod, namespace, conditions }, arrivedAt: micros(at) }
}

describe('a node has an agent', () => {
  test('while a pod of the agents’ namespace is Ready there, and no other pod', () => {
    const nodes = new AgentNodes('agents')
    for (const options of [{ namespace: 'shop' }, { container: 'proxy' }, { ready: false }]) nodes.onPod(agentPod(0, options))
    expect(nodes.has('node-1', 0)).toBe(false)
    nodes.onPod(agentPod(1))
    expect(nodes.has('node-1', micros(5))).toBe(true)
    expect(nodes.has('node-2', 0)).toBe(false)
    expect(nodes.has(undefined, 0)).toBe(false)
    expect(nodes.size).toBe(1)
  })

  test('also where it was Ready when the termination began and is not any more, and while one takes over from another', () => {
    const nodes = new AgentNodes('agents')
    nodes.onPod(agentPod(1))
    nodes.onPod(agentPod(2, { uid: 'agent-2' }))
    nodes.onPod(agentPod(3, {}, 'Deleted'))
    expect(nodes.has('node-1', micros(9))).toBe(true)
    nodes.onPod(agentPod(10, { uid: 'agent-2', ready: false }))
    expect(nodes.has('node-1', micros(9))).toBe(true)
    expect(nodes.has('node-1', micros(11))).toBe(false)
    expect(nodes.size).toBe(0)
  })
})

const quick = () =>
  aPod()
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at: 0.5, code: 0 })
    .reported({ at: 0.6, phase: 'Succeeded' })
    .removed({ at: 0.8 })

const facts = (change: Partial<KernelFacts> = {}): KernelFacts => ({
  node: 'node-1',
  tracedFrom: formatTime(micros(-100)),
  tracedUntil: formatTime(micros(0.6)),
  complete: true,
  lostEvents: 0,
  ...change,
})

/** The record as the watch shows it once an agent has written. */
function written(bench: Bench, at: number, kernel: unknown): void {
  const { uid, namespace, name } = quick().pod
  const object = {
    uid: 'record-1',
    namespace,
    name: `${name}.84b61cdb`,
    resourceVersion: String(at),
    pod: { uid, namespace, name },
    kernel,
  }
  bench.recorder.onRecord({ type: 'Modified', object, arrivedAt: micros(at) })
}

describe('Complete', () => {
  test('waits 1 s after the end for an agent that says nothing, and the record says so', async () => {
    const bench = new Bench()
    bench.recorder.onPod(agentPod(-1))
    await bench.play(quick())
    await bench.until(100)
    expect(bench.steps).toEqual(['1.8 Complete'])
    expect(bench.last.findings?.map(({ message }) => message).join()).toContain('the agent on node-1 had said nothing')
  })

  test('comes as soon as the agent has said all: before the end, or after it', async () => {
    for (const [at, step] of [
      [0.7, '1.1 Complete'],
      [1.4, '1.4 Complete'],
    ] as const) {
      const bench = new Bench()
      bench.recorder.onPod(agentPod(-1))
      const story = quick()
      if (at < 0.8) written(bench, at, facts())
      await bench.play(story)
      if (at >= 0.8) {
        await bench.until(at)
        written(bench, at, facts())
      }
      await bench.until(100)
      expect(bench.steps).toEqual([step])
      expect(bench.last).not.toHaveProperty('kernel')
      vi.useRealTimers()
    }
  })

  test('is not held back by what another node’s agent says, nor hastened', async () => {
    const bench = new Bench()
    bench.recorder.onPod(agentPod(-1))
    written(bench, 0, facts({ node: 'node-2' }))
    await bench.play(quick())
    await bench.until(100)
    expect(bench.steps).toEqual(['1.8 Complete'])
    expect(bench.recorder.stats.agents).toEqual({ nodes: 1, malformed: 0, foreign: 1 })
  })

  test('does without what cannot be read, which is counted and told', async () => {
    const bench = new Bench()
    written(bench, 0, { ...facts(), lostEvents: -1 })
    await bench.play(quick())
    await bench.until(100)
    expect(bench.steps).toEqual(['1.1 Complete'])
    expect(bench.recorder.stats.agents).toMatchObject({ malformed: 1 })
    expect(bench.logged).toContain('what an agent has written cannot be read and is left out')
  })

  test('is not written again for facts that came before it and come once more', async () => {
    const bench = new Bench()
    bench.recorder.onPod(agentPod(-1))
    written(bench, 0.5, facts())
    await bench.play(quick())
    await bench.until(3)
    for (const at of [4, 5]) written(bench, at, facts())
    await bench.until(100)
    expect(bench.steps).toEqual(['1.1 Complete'])
  })
})
