/** The judge is judged: a right record made wrong in one place has to be found out, in every kind of place. */
import { describe, expect, it } from 'vitest'
import type { Mark, PodTermination } from '../../src/api/pod-termination.ts'
import { assemble } from '../../src/core/termination/index.ts'
import { formatTime, parseTime, SECOND } from '../../src/core/time.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'
import { verify } from '../e2e/verify.ts'
import { CLOCKS, factsByLine } from './facts.ts'
import { type Fixture, readFixtures } from './fixture.ts'

function rightRecord(fixture: Fixture): PodTermination {
  const record = assemble([...factsByLine(fixture).flat(), ...CLOCKS], (fixture.lines.at(-1)?.arrivedAt ?? 0) + SECOND)
  if (record === undefined) throw new Error(`${fixture.name} gives no record`)
  return { ...record, pod: { ...record.pod, workload: { kind: 'Pod', name: fixture.truth.pod.name } } }
}

const fixture = readFixtures().find(({ name }) => name.startsWith('03-'))
if (fixture === undefined) throw new Error('the fixture of scenario 3 is missing')
const expected = SCENARIOS.find(({ number }) => number === 3)?.expect[0]
if (expected === undefined) throw new Error('scenario 3 is missing')

const right = rightRecord(fixture)
const problemsOf = (record: PodTermination) => verify(record, fixture.truth, expected).problems
const withTimeline = (change: (timeline: Mark[]) => Mark[]) => ({ ...right, timeline: change([...(right.timeline ?? [])]) })
const later = (text: string, seconds: number) => formatTime((parseTime(text) ?? 0) + seconds * SECOND)

describe('the comparison of a record with the truth', () => {
  it('finds nothing wrong with a right record', () => {
    expect(problemsOf(right)).toEqual([])
  })

  it.each(['Terminating', 'PreStopStarted', 'StopSignal', 'Kill', 'ContainerExited', 'Removed'])('misses %s', (kind) => {
    const problems = problemsOf(withTimeline((timeline) => timeline.filter(({ mark }) => mark !== kind)))
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${kind}( of app)? happened in .* but is not in the record$`))])
  })

  it.each(right.timeline ?? [])('sees that $mark is said to be too late', (moved) => {
    const problems = problemsOf(
      withTimeline((timeline) =>
        timeline.map((mark) => {
          if (mark !== moved) return mark
          const [at, earliest, latest] = [later(mark.at, 100), later(mark.earliest, 100), later(mark.latest, 100)]
          return { ...mark, at, earliest, latest }
        }),
      ),
    )
    expect(problems).toContainEqual(expect.stringMatching(new RegExp(`^${moved.mark}.* is said to lie in`)))
  })

  it('sees a best estimate outside of its bounds', () => {
    const problems = problemsOf(
      withTimeline((timeline) => timeline.map((mark) => (mark.mark === 'Kill' ? { ...mark, at: later(mark.latest, 1) } : mark))),
    )
    expect(problems).toEqual(['Kill of app has its best estimate outside of its own bounds'])
  })

  it('sees a mark of something that did not happen', () => {
    const kill = right.timeline?.find(({ mark }) => mark === 'Kill')
    const problems = problemsOf(withTimeline((timeline) => (kill ? [...timeline, { ...kill, container: 'other' }] : timeline)))
    expect(problems).toContain('Kill of other is in the record but did not happen')
  })

  it('sees a timeline that is not in causal order', () => {
    const problems = problemsOf(withTimeline((timeline) => timeline.reverse()))
    expect(problems).toContain('Kill of app stands before StopSignal of app in the timeline')
    expect(problems).toContain('Removed stands before Terminating in the timeline')
  })

  it.each<[string, Partial<PodTermination>, RegExp]>([
    ['state', { state: 'Overdue' }, /^state is Overdue, not Complete$/],
    ['outcome', { outcome: 'Graceful' }, /^outcome is Graceful, not ForcedKill$/],
    ['cause', { cause: { type: 'Unknown' } }, /^cause is Unknown, not Deleted$/],
    ['pod', { pod: { ...right.pod, uid: 'another' } }, /^pod.uid is another, not /],
    ['workload', { pod: { ...right.pod, workload: { kind: 'Job', name: 'x' } } }, /^workload is Job\/x, not Pod\/app$/],
    ['missing finding', { findings: [] }, /^finding PreStopOverran\/app \(Warning\) is missing$/],
    [
      'needless finding',
      { findings: [...(right.findings ?? []), { type: 'ClockSkew', severity: 'Info', message: 'x' }] },
      /^finding ClockSkew\/undefined is not expected: x$/,
    ],
    ['missing container', { containers: [] }, /^container app is not in the record$/],
  ])('sees a wrong %s', (_, change, problem) => {
    expect(problemsOf({ ...right, ...change })).toEqual([expect.stringMatching(problem)])
  })

  it.each<[string, object]>([
    ['outcome', { outcome: 'Graceful' }],
    ['kill', { kill: { by: 'OOM' } }],
    ['exit code', { exit: { code: 0 } }],
    ['preStop', { preStop: { handler: 'Exec', result: 'Failed' } }],
    ['stopSignal', { stopSignal: { name: 'SIGTERM', result: 'Ignored' } }],
    ['role', { role: 'Sidecar' }],
  ])('sees a wrong %s of a container', (field, change) => {
    const containers = (right.containers ?? []).map((container) => ({ ...container, ...change }))
    expect(problemsOf({ ...right, containers })).toEqual([expect.stringMatching(new RegExp(`^container app: ${field} is `))])
  })
})
