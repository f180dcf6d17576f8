import type { PodTermination } from '../../src/api/pod-termination.ts'
import type { Progress } from '../cluster/progress.ts'
import { EXPERIMENTS } from './experiments.ts'
import { writeRecord } from './records.ts'
import { prepareRollingUpdate, ROLLING_UPDATE, rollingUpdateChecks, trafficWords } from './rolling-update.ts'
import type { Screen } from './screen.ts'
import { runExperiment } from './single-pod.ts'
import type { Target } from './target.ts'
import type { Check } from './verdicts.ts'

export interface Result {
  readonly title: string
  readonly right: boolean
  /** Of the pods that it ended, as they were recorded. */
  readonly records: readonly PodTermination[]
}

/** Runs the six, prints each record as it is there, and returns the verdicts in the order of the numbers. */
export async function runAll(target: Target, screen: Screen, progress: Progress, signal: AbortSignal): Promise<Result[]> {
  const results = new Map<number, Result>()
  const finish = (number: number, title: string, right: boolean, records: readonly PodTermination[]) =>
    results.set(number, { title: `${number}  ${title}`, right, records })
  // Whatever fails first ends the others, so that nothing goes on while things are being removed.
  const failure = new AbortController()
  const stop = AbortSignal.any([signal, failure.signal])
  const doing = new Map<number, string>()

  await progress.step('running the experiments', async (note) => {
    const say = (number: number) => (text: string) => {
      doing.set(number, text)
      note(doingWords(doing))
    }
    const singles = EXPERIMENTS.map(async (experiment) => {
      const { number, title, name } = experiment
      const { record, object } = await runExperiment(target, experiment, say(number), stop)
      const checks = experiment.check(record, target.agent)
      say(number)('')
      screen.result(`${number}  ${title}`, record, checks, writeRecord(name, object))
      finish(
        number,
        title,
        checks.every(({ ok }) => ok),
        [record],
      )
    })
    try {
      await Promise.all(singles)
      await roll(target, screen, say(6), stop, (right, records) => finish(6, ROLLING_UPDATE, right, records))
    } catch (error) {
      failure.abort(error)
      await Promise.allSettled(singles)
      throw error
    }
  })
  return [...results].sort(([a], [b]) => a - b).map(([, result]) => result)
}

/** `starting 1 2 · ending 3`: short enough for a line; those that do nothing any more are left out. */
export function doingWords(doing: ReadonlyMap<number, string>): string {
  const byText = Map.groupBy(
    [...doing].sort(([a], [b]) => a - b),
    ([, text]) => text,
  )
  byText.delete('')
  return [...byText].map(([text, numbers]) => `${text} ${numbers.map(([number]) => number).join(' ')}`).join(' · ')
}

async function roll(
  target: Target,
  screen: Screen,
  note: (text: string) => void,
  signal: AbortSignal,
  finish: (right: boolean, records: readonly PodTermination[]) => void,
): Promise<void> {
  note('starting')
  const update = await prepareRollingUpdate(target, signal)
  const records: PodTermination[] = []
  const all: Check[] = []
  const traffic = await update.run(({ record, object }) => {
    const count = records.push(record)
    const checks = rollingUpdateChecks(record, target.agent)
    all.push(...checks)
    screen.result(`6  ${ROLLING_UPDATE}: old pod ${count} of 3`, record, checks, writeRecord(`6-rolling-update-${count}`, object))
  }, note)
  screen.print('', trafficWords(traffic))
  finish(
    all.every(({ ok }) => ok),
    records,
  )
}
