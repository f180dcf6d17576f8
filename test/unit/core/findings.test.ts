/** What a finding tells its reader: the numbers, and what to change. The cases in which one is told stand with what they are about. */
import { describe, expect, test } from 'vitest'
import { aPod, type PodOptions, type PodStory } from '../builders.ts'
import { findingOf, typesOf } from './reading.ts'

const stopping = (options: PodOptions): PodStory =>
  aPod(options)
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })

/** The true times begin 0.4 s into a second, so that an exit at 0.6, 1.6 … is the exact one that the kubelet tells. */
const over = (pod: PodStory, exit: { at: number; code: number; reason?: string }) =>
  pod
    .exited('app', exit)
    .reported({ at: exit.at + 0.1, phase: exit.code === 0 ? 'Succeeded' : 'Failed' })
    .removed({ at: exit.at + 0.3 })
    .record()

const hook = (handler: 'Exec' | 'Sleep', seconds?: number) => [
  { name: 'app', preStop: { handler, ...(seconds === undefined ? {} : { seconds }) } },
]

describe('PreStopOverran', () => {
  test('says when the stop signal came and that SIGKILL followed 2 s later', () => {
    const record = over(stopping({ grace: 5, containers: hook('Sleep', 12) }), { at: 7.13, code: 137 })
    const { message, container, severity } = findingOf(record, 'PreStopOverran')
    expect({ container, severity }).toEqual({ container: 'app', severity: 'Warning' })
    expect(message).toMatch(
      /^the preStop hook was still running when the 5 s grace period ended; the stop signal came at about 5\.[01] s, SIGKILL 2\.0 s later\. Shorten the hook/,
    )
  })

  test('says no signal times for an end that has none', () => {
    const pod = stopping({ grace: 6, containers: hook('Exec') }).preStopFailed('app', { at: 8.15 })
    expect(findingOf(over(pod, { at: 8.13, code: 137 }), 'PreStopOverran').message).not.toContain('undefined')
  })
})

describe('GraceExhausted', () => {
  test('of a container without a hook does not speak of one', () => {
    const { message } = findingOf(over(stopping({ grace: 5 }), { at: 5.12, code: 137 }), 'GraceExhausted')
    expect(message).toMatch(
      /^the process did not end after SIGTERM \(sent about 0\.0 s into it\) within the 5 s grace period and was killed after about 5\.0 s\. Look at what PID 1/,
    )
    expect(message).not.toContain('hook')
  })

  test('gives a range where the signal may have come at any time of it', () => {
    const pod = stopping({ grace: 15, containers: hook('Exec') })
    const { message } = findingOf(over(pod, { at: 15.12, code: 137 }), 'GraceExhausted')
    expect(message).toMatch(/after SIGTERM \(sent 0\.0 to 13\.\d s into it\)/)
    const late = stopping({ grace: 15, containers: hook('Sleep', 4) }).exited('app', { at: 15.12, code: 137 })
    const lost = late.reported({ at: 15.2, phase: 'Failed' }).removed({ at: 15.4 }).record()
    expect(findingOf(lost, 'GraceExhausted').message).toMatch(/after SIGTERM \(sent 4\.0 to 13\.\d s into it\)/)
  })

  test('names the stop signal that the container asks for', () => {
    const containers = [{ name: 'app', stopSignal: 'SIGQUIT' }]
    const { message } = findingOf(over(stopping({ grace: 5, containers }), { at: 5.12, code: 137 }), 'GraceExhausted')
    expect(message).toContain('did not end after SIGQUIT')
    expect(message).toContain('does not pass SIGQUIT on')
    expect(message).not.toContain('SIGTERM')
  })

  test('after a hook that fitted says that it took its share', () => {
    const record = over(stopping({ grace: 15, containers: hook('Exec') }), { at: 15.12, code: 137 })
    expect(findingOf(record, 'GraceExhausted').message).toContain('The Exec preStop hook took its share of the grace period.')
  })

  test('after a hook that left less than 2 s says so, as no more than likely: a slow kill looks the same', () => {
    const record = over(stopping({ grace: 6, containers: hook('Exec') }), { at: 7.9, code: 137 })
    expect(findingOf(record, 'GraceExhausted').message).toContain('has most likely left it no more than 2.0 s')
  })
})

describe('GraceNearlyExhausted', () => {
  const share = (at: number, code = 0, grace = 30, reason?: string) =>
    over(stopping({ grace }), { at, code, ...(reason === undefined ? {} : { reason }) })

  test('has the time and the share of the grace period', () => {
    const { message, severity } = findingOf(share(27.6), 'GraceNearlyExhausted')
    expect(severity).toBe('Warning')
    expect(message).toMatch(
      /^it ended about 27\.[56] s after the kubelet turned to it, about 92 % of the 30 s grace period: a slower day/,
    )
  })

  test('begins above 80 %, by whatever the whole seconds of the API leave open', () => {
    expect(typesOf(share(24.0))).toEqual([])
    expect(typesOf(share(25.2))).toEqual(['GraceNearlyExhausted'])
    // True share 85 %, but as few as 65 % would look the same.
    expect(typesOf(share(4.35, 0, 5))).toEqual([])
  })

  test('is told of 143 and of an exit code of the program as well', () => {
    expect(typesOf(share(27.6, 143))).toEqual(['GraceNearlyExhausted'])
    expect(typesOf(share(27.6, 3))).toEqual(['GraceNearlyExhausted'])
  })

  test('is not told of what was killed, by whomever', () => {
    expect(typesOf(share(27.6, 137, 30, 'OOMKilled'))).not.toContain('GraceNearlyExhausted')
    expect(typesOf(share(27.6, 137))).not.toContain('GraceNearlyExhausted')
    expect(typesOf(share(30.2, 137))).toEqual(['GraceExhausted'])
  })
})

describe('EndpointReadyAtStopSignal', () => {
  test('says for how long it was still in rotation, in milliseconds', () => {
    const pod = stopping({ grace: 15 }).endpoint('web', 'ready', 'before')
    const record = pod
      .exited('app', { at: 6 })
      .reported({ at: 6.1, phase: 'Succeeded' })
      .endpoint('web', 'gone', { at: 6.15 })
      .removed({ at: 6.3 })
      .record()
    const { message, service, severity } = findingOf(record, 'EndpointReadyAtStopSignal')
    expect({ service, severity }).toEqual({ service: 'web', severity: 'Warning' })
    const gap = Number(/left rotation (\d+) ms later/.exec(message)?.[1])
    expect(gap).toBeGreaterThan(5900)
    expect(gap).toBeLessThan(6100)
  })
})

describe('NoDrainTime', () => {
  const drained = (wait: number) =>
    over(
      stopping({ grace: 15, containers: hook('Sleep', wait) })
        .endpoint('web', 'ready', 'before')
        .endpoint('web', 'terminating', { at: 0.05 }),
      {
        at: wait + 0.6,
        code: 0,
      },
    )

  test('says for how long proxies had heard of it', () => {
    expect(findingOf(drained(3), 'NoDrainTime').message).toMatch(/was taken out about 3\.\d s before the stop signal/)
  })

  test('says so where there was no time at all', () => {
    const pod = stopping({ grace: 15 }).endpoint('web', 'ready', 'before').endpoint('web', 'terminating', { at: 0.13 })
    expect(findingOf(over(pod, { at: 2.6, code: 0 }), 'NoDrainTime').message).toContain(
      'was taken out at about the same time as the stop signal',
    )
  })

  test('is not told where a preStop sleep gave them the time', () => {
    expect(typesOf(drained(6))).toEqual([])
  })
})

describe('EvidenceMissing', () => {
  test('tells when nobody watched, and why', () => {
    const pod = stopping({ grace: 15 }).gap('Event', 1, 2.5, 'resourceVersion too old')
    expect(findingOf(over(pod, { at: 3.6, code: 0 }), 'EvidenceMissing').message).toBe(
      'nobody watched Events from 12:00:01.4Z to 12:00:02.9Z: resourceVersion too old.',
    )
  })

  test('says nothing of a time in which nobody watched before or after', () => {
    const pod = stopping({ grace: 15 }).gap('Event', -20, -10, 'resourceVersion too old').gap('Pod', 50, 60, 'too old')
    expect(typesOf(over(pod, { at: 3.6, code: 0 }))).toEqual([])
  })

  test('names the container of which no Killing Event arrived', () => {
    const pod = aPod({ grace: 15 }).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    expect(findingOf(over(pod, { at: 3.6, code: 0 }), 'EvidenceMissing').message).toMatch(/^no Killing event of app arrived/)
  })
})

describe('the order of findings', () => {
  test('has the gravest first, whatever they are about', () => {
    const pod = stopping({ grace: 5, containers: hook('Sleep', 12) })
      .deleted({ at: 1, grace: 3 })
      .gap('EndpointSlice', 1, 2, 'stale')
      .endpoint('web', 'ready', 'before')
      .endpoint('web', 'published', { at: 0.05 })
      .exited('app', { at: 7.13, code: 137 })
      .reported({ at: 7.2, phase: 'Failed' })
    const record = pod.endpoint('web', 'gone', { at: 7.3 }).removed({ at: 7.4 }).record()
    expect(typesOf(record)).toEqual(['PreStopOverran', 'EndpointReadyAtStopSignal', 'GraceShortened', 'EvidenceMissing'])
  })
})

test('every message is cut to what a record takes', () => {
  const long = 'x'.repeat(3000)
  const pod = stopping({ grace: 15 }).gap('Pod', 1, 2, long)
  expect(findingOf(over(pod, { at: 3.6, code: 0 }), 'EvidenceMissing').message).toHaveLength(1024)
})
