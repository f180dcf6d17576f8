/** 1 to 3: the article's experiments, a preStop hook beside a grace period of 15 s before an app that ignores SIGTERM. */
import type { Scenario } from '../scenario.ts'

function experiment(number: number, seconds: number, hook: 'Succeeded' | 'Overran', warnings: string[]): Scenario {
  return {
    number,
    title: `grace 15 s, exec preStop of ${seconds} s`,
    did: `A pod with a grace period of 15 s and an exec preStop of ${seconds} s, whose app takes SIGTERM and goes on, is deleted.`,
    act: async (stage) => {
      const { manifests } = stage
      const app = manifests.program('app', { ON_TERM: 'ignore', TICK_MS: 50 }, { lifecycle: manifests.execHook(seconds) })
      return [await stage.deleted(manifests.pod('app', [app], { terminationGracePeriodSeconds: 15 }))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'ForcedKill',
        warnings,
        containers: {
          app: {
            outcome: 'ForcedKill',
            preStop: hook === 'Overran' ? ['Overran', 'Unknown'] : [hook, 'Unknown'],
            stopSignal: ['Delivered', 'Unknown'],
            kill: ['Runtime'],
            code: 137,
          },
        },
      },
    ],
  }
}

export const graceAndHooks: readonly Scenario[] = [
  // A hook of just the grace period ends by itself or is cut off, as the machine has it.
  experiment(1, 15, 'Overran', ['PreStopOverran/app|GraceExhausted/app']),
  experiment(2, 10, 'Succeeded', ['GraceExhausted/app']),
  experiment(3, 20, 'Overran', ['PreStopOverran/app']),
]
