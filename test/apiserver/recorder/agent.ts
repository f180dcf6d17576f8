/**
 * Plays the agent of the test's node: a pod in the agents' namespace that is Ready, and writes of the field `kernel` under the agent's
 * field manager, as it makes them. What it writes was measured by a real agent (measured.json: an app that took SIGTERM, and a shell
 * that did not), moved to the pod and the time of the test.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KernelFacts } from '../../../src/api/kernel.ts'
import { recordName } from '../../../src/core/record-name.ts'
import { createRecordClient, type RecordClient } from '../../../src/kube/apply.ts'
import { inGroup } from '../connect.ts'
import type { FakePod } from './kubelet.ts'
import type { Stage } from './stage.ts'

export type Story = 'delivered' | 'ignored'

const MEASURED = JSON.parse(readFileSync(join(import.meta.dirname, 'measured.json'), 'utf8')) as Record<Story, KernelFacts> // as the agent wrote them

const moved = (text: string, byMs: number): string =>
  text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/g, (time) => {
    const at = new Date(Date.parse(time) + byMs).toISOString()
    return `${at.slice(0, 23)}${time.slice(23)}`
  })

export class Agent {
  readonly #records: RecordClient
  readonly #node: string

  /** @param group absent: the file's own */
  constructor(stage: Stage, group = stage.group) {
    this.#node = stage.kubelet.node
    this.#records = createRecordClient({
      http: inGroup(stage.bed.http, group),
      fieldManager: 'gracewatch-agent',
      force: false,
      required: ['kernel'],
    })
  }

  /** Its own pod, Ready on the test's node. */
  static pod(stage: Stage, namespace: string): Promise<FakePod> {
    return stage.kubelet.pod(namespace, 'gracewatch-agent', { containers: ['agent'] })
  }

  /** What it measured, as if the last of it had come now. */
  facts(pod: FakePod, story: Story = 'delivered', change: Partial<KernelFacts> = {}): KernelFacts {
    const measured = MEASURED[story]
    const text = moved(JSON.stringify(measured), Date.now() - Date.parse(measured.tracedUntil))
    const facts = JSON.parse(text) as KernelFacts // of the same form as before
    const containers = facts.containers?.map((container) => ({ ...container, containerID: `containerd://${pod.uid}-app` }))
    return { ...facts, ...(containers === undefined ? {} : { containers }), node: this.#node, ...change }
  }

  async write(pod: FakePod, kernel: KernelFacts): Promise<void> {
    const { namespace, name, uid } = pod
    const written = await this.#records.apply({
      metadata: { namespace, name: recordName(pod) },
      pod: { namespace, name, uid, node: this.#node },
      kernel,
    })
    if (written.result !== 'Written') throw new Error(`the agent's write was refused: ${written.message}`)
  }

  /** All in one: an app that took its stop signal, seen to its end. */
  async saw(pod: FakePod, story: Story = 'delivered'): Promise<void> {
    await this.write(pod, this.facts(pod, story))
  }
}
