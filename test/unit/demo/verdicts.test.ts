import { describe, expect, it } from 'vitest'
import type { Mark, MarkType, PodTermination } from '../../../src/api/pod-termination.ts'
import { formatTime, parseTime, SECOND } from '../../../src/core/time.ts'
import { EXPERIMENTS } from '../../demo/experiments.ts'
import { rollingUpdateChecks } from '../../demo/rolling-update.ts'
import { finds, hookEndedWithin, hookEnds, killComes, measured } from '../../demo/verdicts.ts'

const START = Date.UTC(2026, 10, 24, 21, 31, 1) * 1000
const at = (seconds: number) => formatTime(START + Math.round(seconds * SECOND))

/** A mark of the container app, in seconds from the start. */
function mark(type: MarkType, best: number, [earliest, latest]: [number, number] = [best, best]): Mark {
  return {
    mark: type,
    container: 'app',
    at: at(best),
    earliest: at(earliest),
    latest: at(latest),
    source: 'Kubelet',
    clock: 'Node',
    confidence: 'Inferred',
  }
}

/** What experiment 3 records when all is right. */
const OVERRUN: PodTermination = {
  pod: { namespace: 'demo', name: '3-prestop-20s', uid: 'u' },
  state: 'Complete',
  outcome: 'ForcedKill',
  containers: [{ name: 'app', role: 'Main', outcome: 'ForcedKill', preStop: { handler: 'Exec', result: 'Overran' } }],
  findings: [{ type: 'PreStopOverran', severity: 'Warning', container: 'app', message: 'it was still running' }],
  timeline: [mark('PreStopStarted', 0.1), mark('StopSignal', 15.2, [15.1, 15.5]), mark('Kill', 17.2, [17.1, 17.5])],
}
const GRACEFUL: PodTermination = {
  pod: { namespace: 'demo', name: 'web-1', uid: 'u', workload: { kind: 'Deployment', name: 'web' } },
  state: 'Complete',
  outcome: 'Graceful',
  containers: [{ name: 'app', role: 'Main', outcome: 'Graceful', exit: { code: 0 } }],
  endpoints: [{ service: 'web', readyAtStopSignal: 'False' }],
}

const with_ = (record: PodTermination, more: Partial<PodTermination>): PodTermination => ({ ...record, ...more })
const wrong = (number: number, record: PodTermination, agent = false) => {
  const experiment = EXPERIMENTS.find((it) => it.number === number)
  if (experiment === undefined) throw new Error(`no experiment ${number}`)
  return experiment.check(record, agent).filter(({ ok }) => !ok)
}

describe('the verdict on experiment 3', () => {
  it('is right for a hook that overran', () => {
    expect(wrong(3, OVERRUN)).toEqual([])
  })

  it.each<[string, Partial<PodTermination>, string]>([
    ['another outcome', { outcome: 'Killed' }, 'outcome Killed; it has to be ForcedKill'],
    [
      'a hook in time',
      { containers: [{ name: 'app', role: 'Main', preStop: { handler: 'Exec', result: 'Succeeded' } }] },
      'preStop',
    ],
    ['no finding', { findings: [] }, 'no finding PreStopOverran'],
    ['a SIGKILL at 15 s', { timeline: [mark('PreStopStarted', 0.1), mark('Kill', 15.2)] }, 'SIGKILL 15.1 s after'],
    ['no SIGKILL', { timeline: [mark('PreStopStarted', 0.1)] }, 'no mark Kill'],
  ])('is wrong for %s, and says so', (_, more, words) => {
    const problems = wrong(3, with_(OVERRUN, more))
    expect(problems).toHaveLength(1)
    expect(problems[0]?.words).toContain(words)
  })
})

describe('the verdict on the others', () => {
  it('takes an Unknown hook of 15 s, as long as SIGKILL came 2 s after the signal', () => {
    const hook = [{ name: 'app', role: 'Main' as const, preStop: { handler: 'Exec' as const, result: 'Unknown' as const } }]
    const marks = (kill: number) => [mark('PreStopStarted', 0), mark('StopSignal', 15, [0, 15.7]), mark('Kill', kill, [15, 17.7])]
    const record = with_(OVERRUN, { containers: hook, findings: [], timeline: marks(17) })
    expect(wrong(1, record)).toEqual([])
    expect(wrong(1, with_(record, { timeline: marks(15.9) }))).toHaveLength(1)
  })

  it('wants of experiment 2 bounds that hold 10 s, and SIGKILL at 15 s', () => {
    const hook = [{ name: 'app', role: 'Main' as const, preStop: { handler: 'Exec' as const, result: 'Unknown' as const } }]
    const marks = (over: [number, number]) => [
      mark('PreStopStarted', 0),
      mark('PreStopFinished', over[0], over),
      mark('Kill', 15.3, [15, 15.8]),
    ]
    const record = with_(OVERRUN, { containers: hook, timeline: marks([0, 13.8]) })
    expect(wrong(2, record)).toEqual([])
    expect(wrong(2, with_(record, { timeline: marks([11, 13.8]) }))).toHaveLength(1)
    expect(wrong(2, with_(record, { timeline: marks([0, 9]) }))).toHaveLength(1)
  })

  it('wants of experiment 4 a finding that says what to look at', () => {
    expect(wrong(4, OVERRUN).map(({ words }) => words)).toEqual([
      'no finding GraceExhausted; it has to be found for container app',
    ])
  })

  it('wants of experiment 5 exit code 0', () => {
    expect(wrong(5, GRACEFUL)).toEqual([])
    expect(wrong(5, with_(GRACEFUL, { containers: [] }))).toHaveLength(1)
  })

  it('wants of each old pod of the rolling update its Deployment, and that it left the Service first', () => {
    expect(rollingUpdateChecks(GRACEFUL, false).every(({ ok }) => ok)).toBe(true)
    const late = with_(GRACEFUL, { endpoints: [{ service: 'web', readyAtStopSignal: 'True' }] })
    expect(rollingUpdateChecks(late, false).filter(({ ok }) => !ok)).toHaveLength(1)
    const bare = with_(GRACEFUL, { pod: { namespace: 'demo', name: 'web-1', uid: 'u' } })
    expect(rollingUpdateChecks(bare, false).filter(({ ok }) => !ok)).toHaveLength(1)
  })
})

describe('the verdicts where an agent measures', () => {
  const seen = (record: PodTermination, more: Partial<PodTermination> = {}): PodTermination => ({
    ...record,
    containers: record.containers?.map((it) => ({ ...it, stopSignal: { name: 'SIGTERM', result: 'Delivered' as const } })),
    timeline: [...(record.timeline ?? []), mark('ContainerExited', 17.3)].map((it) =>
      it.mark === 'PreStopStarted'
        ? it
        : { ...it, confidence: 'Measured' as const, earliest: it.at, latest: formatTime((parseTime(it.at) ?? 0) + 60) },
    ),
    ...more,
  })

  it('want measured marks, a result of the signal, and no Unknown hook', () => {
    expect(wrong(3, seen(OVERRUN), true)).toEqual([])
    expect(wrong(3, OVERRUN, true).map(({ words }) => words)).toEqual([
      'SIGTERM missing; it has to be Delivered',
      'SIGTERM, SIGKILL, the exit: not measured; it has to be measured to 10 ms',
    ])
    const unknown = [{ name: 'app', role: 'Main' as const, preStop: { handler: 'Exec' as const, result: 'Unknown' as const } }]
    expect(wrong(1, with_(OVERRUN, { containers: unknown }), true).map(({ words }) => words)).toContain(
      'preStop Unknown; it has to be Overran or Succeeded',
    )
  })

  it('take nothing for measured whose bounds are wide, or cannot be read', () => {
    const at3 = (latest: string) => ({ ...mark('Kill', 3), confidence: 'Measured' as const, latest })
    for (const latest of [at(3.011), 'never']) {
      expect(measured(with_(OVERRUN, { timeline: [at3(latest)] }), 'Kill').ok).toBe(false)
    }
    expect(measured(with_(OVERRUN, { timeline: [at3(at(3.001))] }), 'Kill')).toEqual({
      ok: true,
      words: 'SIGKILL: measured in the kernel, to 1.0 ms',
    })
  })

  it('want of experiment 4 the shell, the app and the remedy', () => {
    const says = (message: string) => [
      { type: 'StopSignalIgnored' as const, severity: 'Warning' as const, container: 'app', message },
    ]
    const record = (message: string) =>
      seen(OVERRUN, {
        containers: [{ name: 'app', role: 'Main', stopSignal: { name: 'SIGTERM', result: 'Ignored' } }],
        findings: says(message),
      })
    expect(wrong(4, record('sh kept it from node: use exec'), true)).toEqual([])
    expect(wrong(4, record('sh kept it from node'), true)).toHaveLength(1)
    expect(wrong(4, OVERRUN, true).length).toBeGreaterThan(1)
  })

  it('want of experiment 2 the end of the hook itself', () => {
    const record = (end: number) => with_(OVERRUN, { timeline: [mark('PreStopStarted', 0), mark('PreStopFinished', end)] })
    expect(hookEnds(record(10.2), 10).ok).toBe(true)
    expect(hookEnds(record(13.8), 10)).toEqual({ ok: false, words: 'the hook ended 13.80 s after its start; it has to be 10 s' })
    expect(hookEnds(with_(OVERRUN, { timeline: [] }), 10).ok).toBe(false)
  })
})

describe('checks', () => {
  it('are wrong, not right by accident, where a time cannot be read', () => {
    const broken = { ...mark('Kill', 17), at: 'never' }
    expect(killComes(with_(OVERRUN, { timeline: [mark('PreStopStarted', 0), broken] }), 'PreStopStarted', 17).ok).toBe(false)
  })

  it('take the stop signal for the end of a hook that has no mark of its own', () => {
    const record = with_(OVERRUN, { timeline: [mark('PreStopStarted', 0), mark('StopSignal', 7, [0, 13])] })
    expect(hookEndedWithin(record, 10)).toEqual({ ok: true, words: 'the hook ended 0.0 s to 13.0 s after its start' })
  })

  it('name the phrases that a message lacks', () => {
    const check = finds(OVERRUN, 'PreStopOverran', 'still running', 'what to change')
    expect(check.ok).toBe(false)
    expect(check.words).toContain('it has to be a message with “what to change”')
  })
})
