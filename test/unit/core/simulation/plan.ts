/** What a simulated termination is made of, and the generators of it. All durations are milliseconds unless named otherwise. */
import fc from 'fast-check'
import type { ContainerRole, PreStopHandler } from '../../../../src/core/evidence.ts'

export interface HookPlan {
  readonly handler: PreStopHandler
  /** Until it ends by itself; a sleep takes whole seconds. */
  readonly ms: number
  readonly ok: boolean
  /** It makes PID 1 exit, with this code, just before it ends itself (nginx -s quit); whether the kubelet then reports a failure. */
  readonly ends: { readonly code: number; readonly told: boolean } | undefined
  /** Until the kubelet hears of its end. */
  readonly noticed: number
}

export interface ContainerPlan {
  readonly role: Exclude<ContainerRole, 'Init'>
  readonly state: 'Running' | 'NeverStarted' | 'BackOff'
  readonly hook: HookPlan | undefined
  readonly stopSignal: 'SIGINT' | 'SIGQUIT' | undefined
  /** What the stop signal does to it; undefined: nothing. */
  readonly answer: { readonly ms: number; readonly code: number } | undefined
  /** It exits by itself, so long after the delete (or before). */
  readonly own: { readonly ms: number; readonly code: number; readonly reason: string } | undefined
  /** The kubelet turns to it so long after it has turned to the pod. */
  readonly spread: number
  /** From the kubelet's StopContainer to the signal, from the end of the time-out to SIGKILL, from SIGKILL to the exit. */
  readonly signalLatency: number
  readonly killLatency: number
  readonly dying: number
  /** From the exit to when the runtime's shim hears of it, which is what finishedAt says. */
  readonly reaped: number
  /** In the end the kubelet knows no more of it than that it is gone. */
  readonly forgotten: boolean
}

export interface ServicePlan {
  readonly publishNotReady: boolean
  readonly slices: 1 | 2
  /** When readiness changed by its probe, and to what. */
  readonly flips: readonly { readonly ms: number; readonly serving: boolean }[]
  /** Of the endpoints controller to each change. */
  readonly reaction: number
}

export type Ending = 'Delete' | 'EvictionAPI' | 'Taint' | 'ForceDelete' | 'Deadline' | 'Evicted' | 'NodeShutdown'

export interface Plan {
  /** Where in its second everything happens. */
  readonly fraction: number
  readonly ending: Ending
  readonly specGrace: number
  /** Seconds that the delete asks for; undefined: those of the spec. For an eviction or shutdown those that the kubelet takes. */
  readonly askedGrace: number | undefined
  readonly restartPolicy: 'Always' | 'Never'
  readonly containers: readonly ContainerPlan[]
  readonly services: readonly ServicePlan[]
  readonly clocks: {
    readonly api: number
    readonly node: number
    readonly comparedApi: readonly [number, number] | undefined
    readonly comparedNode: readonly [number, number] | undefined
  }
  readonly kubelet: {
    /** From the delete to when it turns to the pod. */
    readonly delay: number
    /** How old its view of a container can be. */
    readonly lag: number
    readonly ack: number | undefined
    readonly statusDelay: number
    readonly phaseDelay: number | undefined
    readonly cleanup: number
    readonly eventDelay: number
    /** It stops, and is back, or its StopContainer fails and is tried again. */
    readonly again: { readonly how: 'Restart' | 'Retry'; readonly ms: number; readonly pause: number } | undefined
  }
  readonly secondDelete: { readonly ms: number; readonly grace: number } | undefined
  readonly finalizerMs: number | undefined
  /** A sandbox changed so long before the delete, which emits the same Killing Event. */
  readonly sandboxKilled: number | undefined
  /** One delay each delivery, taken in turn. */
  readonly deliveries: readonly number[]
  readonly lostEvents: 'None' | 'All' | readonly boolean[]
}

const ms = (min: number, max: number) => fc.integer({ min, max })
/** Mostly quick, sometimes as slow as it gets. */
const latency = (max: number) =>
  fc.oneof({ weight: 3, arbitrary: ms(1, Math.min(60, max)) }, { weight: 1, arbitrary: ms(1, max) })
const maybe = <T>(arbitrary: fc.Arbitrary<T>, weight = 1) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight, arbitrary })

const graces = fc.oneof(fc.constantFrom(0, 1, 2, 3, 5, 15, 30, 60), fc.integer({ min: 0, max: 60 }))

/** A time around that of the grace period, where everything is decided. */
const around = (grace: number) => fc.oneof(ms(0, 3000), ms(Math.max(0, grace * 1000 - 2500), grace * 1000 + 4000), ms(0, 70_000))

function hooks(grace: number): fc.Arbitrary<HookPlan> {
  return fc
    .record({
      handler: fc.constantFrom<PreStopHandler>('Exec', 'Exec', 'HTTPGet', 'Sleep', 'TCPSocket'),
      ms: around(grace),
      ok: fc.boolean(),
      ends: maybe(fc.record({ code: fc.constantFrom(0, 1, 143), told: fc.boolean() })),
      noticed: latency(60),
    })
    .map((hook) => ({
      ...hook,
      ms: hook.handler === 'Sleep' ? Math.round(hook.ms / 1000) * 1000 : hook.handler === 'TCPSocket' ? 1 : hook.ms,
      ok: hook.handler === 'Sleep' || (hook.handler !== 'TCPSocket' && hook.ok),
      ends: hook.handler === 'Exec' && hook.ms > 20 ? hook.ends : undefined,
    }))
}

function containers(grace: number): fc.Arbitrary<ContainerPlan> {
  return fc.record({
    role: fc.constantFrom<ContainerPlan['role']>('Main', 'Main', 'Main', 'Sidecar', 'Ephemeral'),
    state: fc.constantFrom<ContainerPlan['state']>(
      'Running',
      'Running',
      'Running',
      'Running',
      'Running',
      'NeverStarted',
      'BackOff',
    ),
    hook: maybe(hooks(grace), 3),
    stopSignal: maybe(fc.constantFrom('SIGINT', 'SIGQUIT')),
    answer: maybe(fc.record({ ms: around(grace), code: fc.constantFrom(0, 0, 1, 130, 131, 143, 137) }), 6),
    own: maybe(
      fc.record({
        ms: fc.oneof(ms(-3000, 3000), around(grace)),
        code: fc.constantFrom(0, 1, 2, 137, 139, 143),
        reason: fc.constantFrom('Error', 'OOMKilled'),
      }),
    ),
    spread: latency(200),
    signalLatency: latency(2000),
    killLatency: latency(500),
    dying: latency(1500),
    reaped: ms(0, 80),
    forgotten: fc.constantFrom(false, false, false, false, false, false, false, true),
  })
}

const services = fc.record({
  publishNotReady: fc.boolean(),
  slices: fc.constantFrom(1 as const, 1 as const, 2 as const),
  flips: fc.array(fc.record({ ms: fc.oneof(ms(-4000, 4000), ms(-4000, 60_000)), serving: fc.boolean() }), { maxLength: 3 }),
  reaction: latency(1500),
})

const margin = fc.oneof(ms(0, 20), ms(0, 1500))
const offset = fc.oneof(fc.constant(0), ms(-50, 50), ms(-10_000, 10_000))

export interface PlanOptions {
  readonly endings?: readonly Ending[]
}

export function plans({ endings }: PlanOptions = {}): fc.Arbitrary<Plan> {
  const all: readonly Ending[] = [
    'Delete',
    'Delete',
    'Delete',
    'Delete',
    'EvictionAPI',
    'Taint',
    'ForceDelete',
    'Deadline',
    'Evicted',
    'NodeShutdown',
  ]
  return graces
    .chain((specGrace) =>
      fc.record({
        fraction: ms(0, 999),
        ending: fc.constantFrom(...(endings ?? all)),
        specGrace: fc.constant(specGrace),
        askedGrace: maybe(graces),
        restartPolicy: fc.constantFrom('Always' as const, 'Always' as const, 'Never' as const),
        containers: fc.array(containers(specGrace), { minLength: 1, maxLength: 4 }).map((list) =>
          // A pod has a main container.
          list.some(({ role }) => role === 'Main')
            ? list
            : list.map((item, index) => (index === 0 ? { ...item, role: 'Main' as const } : item)),
        ),
        services: fc.array(services, { maxLength: 2 }),
        clocks: fc.record({
          api: offset,
          node: offset,
          comparedApi: fc.option(fc.tuple(margin, margin), { nil: undefined, freq: 3 }),
          comparedNode: fc.option(fc.tuple(margin, margin), { nil: undefined, freq: 1 }),
        }),
        kubelet: fc.record({
          delay: latency(2000),
          lag: latency(1000),
          ack: fc.option(latency(500), { nil: undefined, freq: 3 }),
          statusDelay: latency(2000),
          phaseDelay: maybe(latency(1000)),
          cleanup: latency(2000),
          eventDelay: latency(1000),
          again: maybe(
            fc.record({ how: fc.constantFrom('Restart' as const, 'Retry' as const), ms: ms(200, 20_000), pause: ms(10, 5000) }),
          ),
        }),
        secondDelete: maybe(fc.record({ ms: ms(10, 20_000), grace: fc.oneof(ms(0, 10), graces) })),
        finalizerMs: maybe(ms(10, 5000)),
        sandboxKilled: maybe(ms(8000, 50_000)),
        deliveries: fc.array(latency(3000), { minLength: 1, maxLength: 12 }),
        lostEvents: fc.oneof(
          { weight: 4, arbitrary: fc.constant('None' as const) },
          { weight: 1, arbitrary: fc.constant('All' as const) },
          { weight: 1, arbitrary: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }) },
        ),
      }),
    )
    .map(consistent)
}

/**
 * What does not fit together is put right: where nothing is restarted, nothing waits for its next start.
 *
 * Assumed of the histories here: where a kubelet begins anew, its first Killing Event is not lost alone. Nothing but the kernel could
 * tell the second run from the first then.
 */
function consistent(plan: Plan): Plan {
  const once = ({ role, state }: ContainerPlan) => plan.restartPolicy === 'Never' && role !== 'Sidecar' && state === 'BackOff'
  return {
    ...plan,
    containers: plan.containers.map((container) => (once(container) ? { ...container, state: 'Running' } : container)),
    lostEvents: plan.kubelet.again === undefined || plan.lostEvents === 'All' ? plan.lostEvents : 'None',
  }
}
