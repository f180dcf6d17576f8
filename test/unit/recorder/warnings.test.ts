import { describe, expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { Warnings } from '../../../src/controllers/recorder/warnings.ts'
import { SECOND } from '../../../src/core/time.ts'
import type { KubernetesEvent } from '../../../src/kube/events.ts'

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

function aDesk() {
  const written: KubernetesEvent[] = []
  let now = 1_800_000_000 * SECOND
  let refuse = false
  const warnings = new Warnings({
    log,
    now: () => now,
    writer: {
      write: async (event) => {
        if (refuse) throw new Error('the API server is away')
        written.push(event)
        return { result: 'Written' }
      },
    },
  })
  return {
    warnings,
    written,
    told: () => written.map(({ object, reason, count }) => `${object.kind}/${object.name} ${reason} ${count}`),
    pass: (seconds: number) => {
      now += seconds * SECOND
    },
    refuse: () => {
      refuse = true
    },
  }
}

function aForcedKill(
  pod: string,
  workload: { kind: string; name: string } | undefined = { kind: 'Deployment', name: 'web' },
): PodTermination {
  return {
    pod: {
      namespace: 'shop',
      name: pod,
      uid: `uid-of-${pod}`,
      graceSeconds: 15,
      ...(workload === undefined ? {} : { workload: { ...workload, uid: `uid-of-${workload.name}`, apiVersion: 'apps/v1' } }),
    },
    outcome: 'ForcedKill',
    findings: [
      { type: 'GraceExhausted', severity: 'Warning', container: 'app', message: 'the process did not end' },
      { type: 'NoDrainTime', severity: 'Info', service: 'web', message: 'only a word' },
    ],
  }
}

describe('Events of what a person should look at', () => {
  it('stand on the pod and on its workload, with the uid by which describe finds them, and not for findings of severity Info', async () => {
    const { warnings, written, told } = aDesk()
    await warnings.tell(aForcedKill('web-1'))
    expect(told()).toEqual(['Pod/web-1 GraceExhausted 1', 'Deployment/web GraceExhausted 1'])
    expect(written[1]?.object).toMatchObject({ apiVersion: 'apps/v1', namespace: 'shop', uid: 'uid-of-web' })
    expect(written[1]?.message).toBe('pod web-1: app: the process did not end')
  })

  it('stand once where the pod is its own workload', async () => {
    const { warnings, told } = aDesk()
    await warnings.tell(aForcedKill('lonely', { kind: 'Pod', name: 'lonely' }))
    expect(told()).toEqual(['Pod/lonely GraceExhausted 1'])
  })

  it('of a drained node of 100 pods are one at once and one with the count when the five minutes are over', async () => {
    const { warnings, written, told, pass } = aDesk()
    for (let pod = 1; pod <= 100; pod++) await warnings.tell(aForcedKill(`web-${pod}`))
    expect(told()).toEqual(['Pod/web-1 GraceExhausted 1', 'Deployment/web GraceExhausted 1'])
    pass(299)
    await warnings.flush()
    expect(written).toHaveLength(2)
    pass(2)
    await warnings.flush()
    expect(told()[2]).toBe('Deployment/web GraceExhausted 100')
    expect(written[2]?.message).toContain('100 pods')
    expect(written[2]?.message).toContain('web-1, web-2, web-3, web-4, web-5 and 95 more')
  })

  it('come again after five minutes, and of a single one no count follows', async () => {
    const { warnings, told, pass } = aDesk()
    await warnings.tell(aForcedKill('web-1'))
    pass(301)
    await warnings.flush()
    await warnings.tell(aForcedKill('web-2'))
    expect(told()).toEqual([
      'Pod/web-1 GraceExhausted 1',
      'Deployment/web GraceExhausted 1',
      'Pod/web-2 GraceExhausted 1',
      'Deployment/web GraceExhausted 1',
    ])
  })

  it('do not hide those of another workload or another finding', async () => {
    const { warnings, told } = aDesk()
    await warnings.tell(aForcedKill('web-1'))
    await warnings.tell(aForcedKill('api-1', { kind: 'StatefulSet', name: 'api' }))
    await warnings.tell({
      ...aForcedKill('web-2'),
      findings: [{ type: 'PreStopOverran', severity: 'Warning', message: 'too long' }],
    })
    expect(told()).toContain('StatefulSet/api GraceExhausted 1')
    expect(told()).toContain('Deployment/web PreStopOverran 1')
  })

  it('that cannot be written are counted and break nothing', async () => {
    const { warnings, refuse } = aDesk()
    refuse()
    await expect(warnings.tell(aForcedKill('web-1'))).resolves.toBeUndefined()
    expect(warnings.failed).toBe(2)
  })
})
