/** The brake in whole rollouts: a Deployment by its controller's own arithmetic, second by second, over pods that end well or do not. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { handover, rulesOf } from '../../../../src/core/gates/handover.ts'
import type { EndedPod, Hold } from '../../../../src/core/gates/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { condition, NOW } from './builders.ts'

const SLACK = 9
const WORKLOAD = { kind: 'Deployment', name: 'web', uid: 'deploy-1', apiVersion: 'apps/v1' }

interface Given {
  readonly replicas: number
  readonly maxSurge: number
  readonly maxUnavailable: number
  readonly grace: number
  /** Seconds until the containers of a new pod are ready, by its number. */
  readonly startup: readonly number[]
  /** Seconds from the end of a pod to its record. */
  readonly lag: number
  /** Whether the brake looks before the Deployment does, in each second. */
  readonly brakeFirst: boolean
  readonly endsWell: (index: number) => boolean
  readonly window?: string
  readonly maxHold?: string
}

interface Pod {
  readonly uid: string
  readonly revision: 'old' | 'new'
  readonly readyAt: number
  letIn: boolean
  terminating?: { since: number; deadline: number; endsAt: number; outcome: 'ForcedKill' | 'Graceful' }
}

class Rollout {
  readonly #given: Given
  readonly #rules: ReturnType<typeof rulesOf>
  readonly pods: Pod[]
  readonly ended: EndedPod[] = []
  second = 0
  hold: Hold | undefined
  fewest: number
  #made = 0

  constructor(given: Given) {
    this.#given = given
    const { window = '1h', maxHold = '2h' } = given
    this.#rules = rulesOf({ maxForcedKills: 0, window, outcomes: ['ForcedKill'], waitForVerdict: true, maxHold })
    const old = (index: number): Pod => ({ uid: `o${index}`, revision: 'old', readyAt: -60, letIn: true })
    this.pods = Array.from({ length: given.replicas }, (_, index) => old(index))
    this.fewest = given.replicas
  }

  get kills(): number {
    return this.ended.filter(({ outcome }) => outcome === 'ForcedKill').length
  }
  get over(): boolean {
    return this.pods.every(({ revision, letIn }) => revision === 'new' && letIn) && this.pods.length === this.#given.replicas
  }

  run(seconds: number): this {
    for (const end = this.second + seconds; this.second < end; this.second++) {
      this.#end()
      if (this.#given.brakeFirst) this.#brake()
      this.#deployment()
      if (!this.#given.brakeFirst) this.#brake()
      this.fewest = Math.min(this.fewest, this.#alive().filter((pod) => this.#available(pod)).length)
    }
    return this
  }

  #alive = () => this.pods.filter(({ terminating }) => terminating === undefined)
  #available = ({ letIn, readyAt }: Pod) => letIn && readyAt <= this.second

  /** A pod stands among the workload's until its record is there. */
  #end(): void {
    for (const pod of [...this.pods]) {
      const { terminating } = pod
      if (terminating === undefined || this.second < terminating.endsAt + this.#given.lag) continue
      this.pods.splice(this.pods.indexOf(pod), 1)
      const finishedAt = NOW + terminating.endsAt * SECOND
      this.ended.push({ uid: pod.uid, name: `web-${pod.uid}`, outcome: terminating.outcome, finishedAt })
    }
  }

  /** As pkg/controller/deployment/rolling.go has it: up to the surge, or, the next time, down by what is available beyond the least. */
  #deployment(): void {
    const { replicas, maxSurge, maxUnavailable, startup } = this.#given
    const count = (revision: Pod['revision']) => this.#alive().filter((pod) => pod.revision === revision).length
    const more = Math.min(replicas - count('new'), replicas + maxSurge - this.#alive().length)
    for (let i = 0; i < more; i++) {
      const readyAt = this.second + (startup[this.#made % startup.length] ?? 1)
      this.pods.push({ uid: `n${this.#made++}`, revision: 'new', readyAt, letIn: false })
    }
    if (more > 0) return
    const available = this.#alive().filter((pod) => this.#available(pod))
    const fewer = Math.min(count('old'), available.length - (replicas - maxUnavailable))
    const old = this.#alive().filter(({ revision }) => revision === 'old')
    for (const pod of old.slice(0, Math.max(0, fewer))) {
      const well = this.#given.endsWell(Number(pod.uid.slice(1)))
      const deadline = this.second + this.#given.grace
      pod.terminating = {
        since: this.second,
        deadline,
        endsAt: well ? this.second + 1 : deadline,
        outcome: well ? 'Graceful' : 'ForcedKill',
      }
    }
  }

  #brake(): void {
    const now = NOW + this.second * SECOND
    for (const pod of this.#alive().filter(({ letIn }) => !letIn)) {
      const { result, hold } = handover({
        rules: this.#rules,
        namespace: 'shop',
        uid: pod.uid,
        revision: pod.revision,
        current: condition('False'),
        containersReady: pod.readyAt <= this.second,
        hold: this.hold,
        now,
        overdueSlack: SLACK * SECOND,
        facts: {
          workload: WORKLOAD,
          pods: this.pods.map(({ uid, revision, terminating }) => ({
            uid,
            name: `web-${uid}`,
            revision,
            ...(terminating === undefined
              ? {}
              : { terminating: { since: NOW + terminating.since * SECOND, deadline: NOW + terminating.deadline * SECOND } }),
          })),
          revisions: new Map([
            ['old', 1],
            ['new', 2],
          ]),
          ended: this.ended,
        },
      })
      this.hold = hold
      if (result.state === 'Pass') pod.letIn = true
    }
  }
}

const settings = fc
  .record({
    replicas: fc.integer({ min: 2, max: 9 }),
    maxSurge: fc.nat(4),
    maxUnavailable: fc.nat(4),
    grace: fc.integer({ min: 2, max: 30 }),
    // The Deployment is quicker than any container.
    startup: fc.array(fc.integer({ min: 2, max: 10 }), { minLength: 1, maxLength: 6 }),
    lag: fc.nat(SLACK - 1),
    brakeFirst: fc.boolean(),
  })
  .filter(({ replicas, maxSurge, maxUnavailable }) => maxSurge + maxUnavailable > 0 && maxUnavailable < replicas)
const RUNS = { numRuns: 50 }
/** How many old pods the Deployment takes down before anything is known of them. */
const step = ({ maxSurge, maxUnavailable }: Given) => (maxUnavailable > 0 ? maxUnavailable : maxSurge)

describe('a rollout with the brake', () => {
  it('of old pods that all have to be killed stops after one step of the Deployment, the others untouched', () => {
    fc.assert(
      fc.property(settings, (some) => {
        const given = { ...some, endsWell: () => false }
        const rollout = new Rollout(given).run(200)
        const least = Math.min(step(given), given.replicas)
        expect(rollout.kills).toBeGreaterThan(0)
        expect(rollout.kills).toBeLessThanOrEqual(least)
        // Where old pods are left, it is held, and says so. Where the one step took them all, there is nothing to protect.
        const left = rollout.pods.filter(({ revision }) => revision === 'old').length
        expect(left).toBe(given.replicas - rollout.kills)
        if (left > 0) expect(rollout.hold?.revision).toBe('new')
        expect(rollout.fewest).toBeGreaterThanOrEqual(given.replicas - given.maxUnavailable)
      }),
      RUNS,
    )
  })

  it('of old pods that end well goes to its end, and holds nothing', () => {
    fc.assert(
      fc.property(settings, (some) => {
        const rollout = new Rollout({ ...some, endsWell: () => true }).run(600)
        expect(rollout.over).toBe(true)
        expect(rollout.hold).toBeUndefined()
      }),
      RUNS,
    )
  })

  it('goes to its end, however its pods end: maxHold lets the revision in for good', () => {
    fc.assert(
      fc.property(settings, fc.array(fc.boolean(), { minLength: 1 }), (some, well) => {
        const endsWell = (index: number) => well[index % well.length] ?? false
        expect(new Rollout({ ...some, endsWell, maxHold: '5m' }).run(1000).over).toBe(true)
      }),
      RUNS,
    )
  })

  it('goes on by itself, step for step, as the kills leave the window', () => {
    fc.assert(
      fc.property(settings, (some) => {
        const given = { ...some, replicas: Math.min(6, some.replicas), maxUnavailable: 1, endsWell: () => false, window: '1m' }
        const rollout = new Rollout(given)
        for (let at = 0; at < 30 && !rollout.over; at++) rollout.run(60 + given.grace + SLACK + 20)
        expect(rollout.over).toBe(true)
        expect(rollout.kills).toBe(given.replicas)
      }),
      RUNS,
    )
  })
})
