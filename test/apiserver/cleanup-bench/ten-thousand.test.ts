/**
 * Thousands of finished pods brought to a threshold: by Gracewatch, and on the same set by kube-controller-manager's own collector. Times are
 * printed, for they are the machine's; which pods go and what is recorded of them is what has to hold.
 *
 * In `npm test` there are 300; GRACEWATCH_CLEANUP_PODS=10000 makes it so many, prints every figure of docs/cleanup.md, and takes a quarter of
 * an hour. GRACEWATCH_CLEANUP_RATES names a file for the deletions a second, which the bench reads.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GROUP } from '../../../src/api/pod-termination.ts'
import { established, root, useApiServer } from '../connect.ts'
import type { ControllerProcess } from '../recorder/controller.ts'
import { createIdentity } from '../recorder/identity.ts'
import { Kubelet } from '../recorder/kubelet.ts'
import { delay } from '../waiting.ts'
import { type Deletion, Deletions } from './deletions.ts'
import { buildController, startController } from './gracewatch.ts'
import { Pile, type PilePod, type What } from './pile.ts'
import { noneFinished, Podgc } from './podgc.ts'
import { requestsServed, since } from './requests.ts'

const MANY = process.env.GRACEWATCH_CLEANUP_PODS
const COUNT = Number(MANY ?? 300)
/** A rate that is a setting does not depend on how many there are. */
const FEW = Math.min(COUNT, 1000)
const thresholdOf = (count: number): number => count / 5
const THRESHOLD = thresholdOf(COUNT)
const TO_DELETE = COUNT - THRESHOLD
const MIB = 1024 * 1024
const MINUTES = 60_000
/** For one run at the slowest rate, and for making its pods. */
const PATIENCE_MS = 2 * MINUTES + (TO_DELETE / 20) * 1000
/** Limits that do not bind. */
const UNBOUND = 10_000
const DEFAULT_RATE = 50
const DEFAULT_CONCURRENCY = 8

const bed = useApiServer('cleanup-bench')
const broughtCrds: string[] = []
const figures: string[] = []
const rates: Record<string, number> = {}
let clusterRoles: string[] = []
let token: string
let kubelet: Kubelet
let pile: Pile

beforeAll(async () => {
  buildController()
  // The program knows its own group alone, and nothing of Gracewatch's runs in a control plane.
  for (const plural of ['podterminations', 'podcleanups']) {
    const crd = `${plural}.${GROUP}`
    if ((await bed.cluster.tryKubectl(['get', 'crd', crd])).code === 0) continue
    broughtCrds.push(crd)
    await bed.kubectl('apply', '--server-side', '-f', join(root, 'crds', `${crd}.yaml`))
    await established(bed, crd)
  }
  const identity = await createIdentity(bed, { namespace: bed.namespace, group: GROUP, cleanup: true })
  token = identity.token
  clusterRoles = identity.clusterRoles
  // What podgc deletes as well is a pod whose node is not there.
  kubelet = await Kubelet.start(bed.http, bed.namespace)
  pile = await Pile.prepare(bed, kubelet.node)
  await noneFinished(bed.http)
}, 10 * MINUTES)

afterAll(async () => {
  const { GRACEWATCH_CLEANUP_RATES: file } = process.env
  if (file !== undefined) writeFileSync(file, JSON.stringify(rates))
  if (figures.length > 0) console.log(`\n${COUNT} finished pods to a threshold of ${THRESHOLD}:\n${figures.join('\n')}`)
  if (pile !== undefined) {
    await pile.clear()
    await bed.cluster.tryKubectl(['delete', 'namespace', ...pile.namespaces, '--wait=false'])
  }
  await kubelet?.stop()
  const roles = clusterRoles.flatMap((name) => [`clusterrole/${name}`, `clusterrolebinding/${name}`])
  if (roles.length > 0) await bed.cluster.tryKubectl(['delete', ...roles, '--wait=false'])
  for (const crd of broughtCrds) await bed.cluster.tryKubectl(['delete', 'crd', crd, '--wait=false'])
}, 10 * MINUTES)

async function filled(what: What, count = COUNT): Promise<Map<string, PilePod>> {
  await pile.clear()
  const at = performance.now()
  // Until they have finished, a ReplicaSet that wants no pods would delete them.
  await bed.cluster.stopPart('kube-controller-manager')
  const pods = await pile.fill(count, what).finally(() => bed.cluster.startPart('kube-controller-manager'))
  console.log(`${count} finished pods (${what}) made in ${((performance.now() - at) / 1000).toFixed(1)} s`)
  expect(pods.size).toBe(count)
  expect((await pile.left()).size).toBe(count)
  return pods
}

/** Deletions a second from the first to the last. */
function rateOf(deletions: readonly Deletion[]): { readonly seconds: number; readonly perSecond: number } {
  const seconds = ((deletions.at(-1)?.at ?? Number.NaN) - (deletions[0]?.at ?? Number.NaN)) / 1000
  return { seconds, perSecond: (deletions.length - 1) / seconds }
}

/** The requests of anybody, all and the commonest. */
function perDelete(requests: readonly (readonly [string, number])[], deletes: number): string {
  const share = (count: number) => (count / deletes).toFixed(2)
  const total = requests.reduce((sum, [, count]) => sum + count, 0)
  const commonest = requests.slice(0, 4).map(([key, count]) => `${key} ${share(count)}`)
  return `${share(total)} requests a delete (${commonest.join(', ')})`
}

/** Of the deletions a second, neither held back by a rate. */
function tellRatio(what: string, rate: number | undefined): void {
  const { podgc } = rates
  if (rate !== undefined && podgc !== undefined) figures.push(`Gracewatch ${what}: ${(rate / podgc).toFixed(2)} of podgc's rate`)
}

interface GracewatchRun {
  readonly what: What
  readonly rate: number
  readonly concurrency: number
  readonly count?: number
}

async function byGracewatch({ what, rate, concurrency, count = COUNT }: GracewatchRun): Promise<number> {
  const pods = await filled(what, count)
  const threshold = thresholdOf(count)
  const toDelete = count - threshold
  const deletions = await Deletions.start(bed.http, pile.label)
  let controller: ControllerProcess | undefined
  try {
    const before = await requestsServed(bed.http)
    const startedAt = performance.now()
    controller = await startController({
      cluster: bed.cluster,
      namespace: bed.namespace,
      token,
      name: 'bench',
      args: [
        ...pile.namespaces.map((namespace) => `--namespaces=${namespace}`),
        '--cleanup',
        `--cleanup-total=${threshold}`,
        '--cleanup-bare-pods',
        '--cleanup-finished-job-pods',
        // These pods have just been made, where a pile is of days ago: it is none to reconstruct as of the last hour, and none too young.
        '--cleanup-min-age=0s',
        '--catch-up=0s',
        `--cleanup-deletes-per-second=${rate}`,
        `--cleanup-concurrency=${concurrency}`,
        `--writes-per-second=${UNBOUND}`,
        // Retention is another matter.
        '--records-per-namespace=100000',
        '--records-total=1000000',
      ],
    })
    const running = controller
    await running.ready()
    await running.leads()
    const idle = running.memory()
    await deletions.reach(toDelete, PATIENCE_MS, () => {
      if (!running.running) throw new Error(`the controller has ended: ${running.text}`)
    })
    const requests = since(before, await requestsServed(bed.http))
    const { resident, peak } = running.memory()
    // Nothing else may go: of each pod more one goes, by a pass that comes after those before.
    for (let more = 1; more <= 2; more += 1) {
      const pod = await pile.add()
      pods.set(pod.uid, pod)
      await deletions.reach(toDelete + more, MINUTES, () => undefined)
    }
    expect(await running.stop()).toMatchObject({ code: 0 })

    const deleted = deletions.all.map(({ uid }) => pods.get(uid))
    const left = await pile.left()
    const recorded = await pile.recorded()
    expect(deletions.all).toHaveLength(toDelete + 2)
    expect(left.size).toBe(threshold)
    expect(deleted.filter((pod) => pod === undefined || pod.protected)).toEqual([])
    const failed = deleted.flatMap((pod) => (pod?.phase === 'Failed' ? [pod] : []))
    expect(failed.filter(({ uid }) => !recorded.has(uid))).toEqual([])
    // Nor of any that Succeeded, nor of any that stays.
    expect(recorded.size).toBe(failed.length)
    expect(running.lines.all.filter(({ level }) => level === 'error')).toEqual([])

    const passed = deletions.all.slice(0, toDelete)
    const { seconds, perSecond } = rateOf(passed)
    const whole = ((passed.at(-1)?.at ?? Number.NaN) - startedAt) / 1000
    const mib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`
    figures.push(
      `Gracewatch (${count} pods, ${what}, at most ${rate} a second, ${concurrency} at once): ${seconds.toFixed(1)} s, ${perSecond.toFixed(0)} deletes a second; ` +
        `${whole.toFixed(1)} s from its start; ${failed.length} records; ${perDelete(requests, toDelete)}; ` +
        `resident ${mib(idle.resident)} at first, ${mib(resident)} after, ${mib(peak)} at most`,
    )
    return perSecond
  } finally {
    if (controller?.running === true) await controller.kill()
    deletions.close()
  }
}

describe(`${COUNT} finished pods`, () => {
  it(
    'Gracewatch brings them to the threshold, and records each Failed one',
    async () => {
      rates.mixed = await byGracewatch({ what: 'mixed', rate: UNBOUND, concurrency: DEFAULT_CONCURRENCY })
    },
    PATIENCE_MS * 2,
  )

  it(
    'podgc on the same set',
    async () => {
      const pods = await filled('mixed')
      const deletions = await Deletions.start(bed.http, pile.label)
      const before = await requestsServed(bed.http)
      const podgc = Podgc.start(bed.cluster, { threshold: THRESHOLD, rate: { qps: UNBOUND, burst: UNBOUND } })
      try {
        await deletions.reach(TO_DELETE, PATIENCE_MS, () => podgc.check())
      } finally {
        await podgc.stop()
        deletions.close()
      }
      const requests = since(before, await requestsServed(bed.http))
      const { seconds, perSecond } = rateOf(deletions.all)
      rates.podgc = perSecond
      expect((await pile.left()).size).toBe(THRESHOLD)
      const deleted = deletions.all.map(({ uid }) => pods.get(uid))
      const count = (is: (pod: PilePod | undefined) => boolean | undefined) => deleted.filter(is).length
      figures.push(
        `podgc (${UNBOUND} requests a second): ${seconds.toFixed(1)} s, ${perSecond.toFixed(0)} deletes a second; ` +
          `${perDelete(requests, TO_DELETE)}; no record of ${count((pod) => pod?.phase === 'Failed')} Failed pods, and ` +
          `${count((pod) => pod?.protected)} of those gone that Gracewatch leaves alone`,
      )
      tellRatio('with a record of each Failed pod', rates.mixed)
    },
    PATIENCE_MS * 2,
  )

  // Figures alone.
  if (MANY === undefined) return

  it(
    'Gracewatch where nothing is to be recorded, as podgc records nothing',
    async () => {
      rates.succeeded = await byGracewatch({ what: 'Succeeded', rate: UNBOUND, concurrency: DEFAULT_CONCURRENCY })
      tellRatio('without records', rates.succeeded)
    },
    PATIENCE_MS * 2,
  )

  it(
    'as they come out of the box: Gracewatch at its default rate, and podgc at its own',
    async () => {
      const perSecond = await byGracewatch({ what: 'mixed', rate: DEFAULT_RATE, concurrency: DEFAULT_CONCURRENCY, count: FEW })
      const toDelete = FEW - thresholdOf(FEW)
      // A second's worth goes at once, and the first of what is seen may be seen late.
      expect((toDelete - 1) / perSecond).toBeGreaterThanOrEqual(toDelete / DEFAULT_RATE - 2)
      await filled('mixed', FEW)
      const deletions = await Deletions.start(bed.http, pile.label)
      const podgc = Podgc.start(bed.cluster, { threshold: thresholdOf(FEW) })
      try {
        // What comes in a burst comes first.
        await deletions.reach(50, MINUTES, () => podgc.check())
        const from = deletions.all.length
        await delay(10_000)
        const { perSecond: own } = rateOf(deletions.all.slice(from - 1))
        figures.push(`podgc at its default rate (--kube-api-qps=20): ${own.toFixed(0)} deletes a second`)
      } finally {
        await podgc.stop()
        deletions.close()
      }
    },
    PATIENCE_MS * 3,
  )
})
