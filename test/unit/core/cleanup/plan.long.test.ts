/** What a plan costs with many pods. */
import { expect, it } from 'vitest'
import { plan } from '../../../../src/core/cleanup/plan.ts'
import { aPod, aRule, aThreshold, MINUTE, NOW } from './builders.ts'

it('plans 150,000 finished pods of 1,000 namespaces in well under a pass of ten seconds', () => {
  const pods = Array.from({ length: 150_000 }, (_, i) =>
    aPod(`p-${i}`, { namespace: `n-${i % 1000}`, age: (i % 7919) * MINUTE, labels: { app: `a-${i % 7}` } }),
  )
  const rules = Array.from({ length: 100 }, (_, i) => aRule({ keep: { total: 50, perOwner: 5 } }, 'rule', `n-${i}`))
  // Of this thread alone, in microseconds: what it costs on a busy machine as well.
  const before = process.threadCpuUsage()
  const threshold = aThreshold({ total: 12_500, perNamespace: 100 })
  const { verdicts } = plan({ pods, rules, jobs: new Map(), now: NOW, threshold })
  const { user, system } = process.threadCpuUsage(before)
  expect(verdicts.filter(({ action }) => action === 'Delete')).toHaveLength(150_000 - 12_500)
  expect(user + system).toBeLessThan(5_000_000)
})
