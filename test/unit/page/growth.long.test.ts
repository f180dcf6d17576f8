/** What a page costs with many records. */
import { expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import * as records from '../render/records.ts'
import { Records, stored, visit } from './source.ts'

/** Begun so many seconds after the start that the builders have. */
const later = (record: PodTermination, seconds: number): PodTermination => ({ ...record, startedAt: records.at(seconds) })

it('the list is work that grows with the number of records, and not faster', async () => {
  /** Of this thread, which is what it costs on a busy machine as well: the least of some times, in microseconds. */
  const workFor = async (count: number) => {
    const source = new Records(...Array.from({ length: count }, (_, i) => stored(`web-${i}`, later(records.forcedKill(), i))))
    const { ask } = visit(source)
    const times: number[] = []
    for (let more = 1; more <= 7; more++) {
      source.put(stored(`one-more-${more}`, records.graceful()))
      const before = process.threadCpuUsage()
      const text = await (await ask('/?workload=web&since=24h')).text()
      const { user, system } = process.threadCpuUsage(before)
      expect(text).toContain(`1 to 100 of ${count + more}`)
      times.push(user + system)
    }
    return Math.min(...times)
  }
  const few = await workFor(1000)
  const many = await workFor(16_000)
  // A hundred rows are drawn in both, which is most of it with 1,000. What grows with the square would be up to 256 times as much.
  expect(many / few).toBeLessThan(16)
})
