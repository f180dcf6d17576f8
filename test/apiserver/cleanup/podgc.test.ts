/**
 * Beside Kubernetes' own collector of finished pods, on the same pods at the same time. The calls of either are held back until the other is as
 * far, so that on any machine both are at it at once, and each comes too late for some of the pods that it chose.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { noneFinished, Podgc } from '../cleanup-bench/podgc.ts'
import { kubeconfigOf } from '../recorder/controller.ts'
import { Front } from '../recorder/front.ts'
import { eventually } from '../waiting.ts'
import { condition, deletes, kept, useCleanup, type World } from './world.ts'

const host = useCleanup('podgc')
/** That ended before Gracewatch came, and as many that ended while it watched. */
const HALF = 50
const KEEP = 20
/** What is between this and KEEP podgc leaves to Gracewatch. */
const THRESHOLD = 40
const RATE = { qps: 1000, burst: 1000 }
/** Of those for which one of the two comes too late. */
const LATE = 3
let world: World

beforeAll(async () => {
  world = host.world
  await noneFinished(world.http)
})

/** An account for podgc, with all rights, as the cluster's own has nearly all. @returns its token, and what removes the rights */
async function podgcAccount(): Promise<{ token: string; end: () => Promise<unknown> }> {
  const { bed } = world.stage
  const { namespace, suffix } = bed
  const binding = `podgc-${suffix}`
  await bed.kubectl('create', 'serviceaccount', 'podgc', '-n', namespace)
  const rights = ['--clusterrole=cluster-admin', `--serviceaccount=${namespace}:podgc`]
  await bed.kubectl('create', 'clusterrolebinding', binding, ...rights)
  const token = (await bed.kubectl('create', 'token', 'podgc', '-n', namespace)).trim()
  return { token, end: () => bed.cluster.tryKubectl(['delete', 'clusterrolebinding', binding]) }
}

it('it keeps its number, records what it deletes and fails at nothing, whichever of the two is first', async () => {
  const { bed, group, records } = world.stage
  const namespace = await world.namespace('pods')
  const old = await world.many(namespace, HALF, {}, 'one')
  const annotated = old.filter((_, index) => index % 12 === 5)
  for (const name of annotated) await world.patch(namespace, name, { annotations: { 'gracewatch.dev/keep': '' } })
  const { front, controller } = await world.lead({ own: bed.namespace, namespaces: [namespace], lease: [] })
  const young = await world.many(namespace, HALF, {}, 'two')
  const uids = new Map((await world.pods(namespace)).map(({ metadata: { name, uid } }) => [name, uid]))

  const nameOf = ({ path }: { path: string }) => path.split('/').at(-1) ?? ''
  const gone = (name: string) => {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    const look = () =>
      world.http.request({ method: 'GET', path }).then(
        () => undefined,
        (error: unknown) => (error instanceof KubeError && error.code === 'NotFound') || undefined,
      )
    // Where it does not go, what is asserted says so.
    return eventually(look, 60_000, `${name} gone`).catch(() => undefined)
  }
  const aPod = new RegExp(`/namespaces/${namespace}/pods/[^/]+$`)
  const gracewatchAsks = Promise.withResolvers<void>()
  const podgcFirst: string[] = []
  const gracewatchFirst = young.slice(0, LATE)
  front.before('DELETE', aPod, async (call) => {
    gracewatchAsks.resolve()
    const name = nameOf(call)
    if (podgcFirst.length < LATE && old.includes(name)) {
      podgcFirst.push(name)
      await gone(name)
    }
    return undefined
  })
  const { token, end } = await podgcAccount()
  const theirs = await Front.start({ cluster: bed.cluster, group, token })
  theirs.before('DELETE', aPod, async (call) => {
    await gracewatchAsks.promise
    if (gracewatchFirst.includes(nameOf(call))) await gone(nameOf(call))
    return undefined
  })

  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-podgc-'))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf({ server: theirs.url, token }), { mode: 0o600 })
  const podgc = Podgc.start(bed.cluster, { threshold: THRESHOLD, rate: RATE, kubeconfig })
  try {
    const asked = () => {
      podgc.check()
      return deletes(theirs, namespace).length > 0 || undefined
    }
    await eventually(asked, 60_000, 'the first deletion that podgc asks for')
    await world.rule(namespace, 'all', { keep: { total: KEEP } })
    const settled = async () => {
      podgc.check()
      const names = await world.names(namespace)
      const over = names.length <= KEEP && names.every((name) => young.includes(name))
      return (over && deletes(theirs, namespace).every(({ status }) => status !== undefined)) || undefined
    }
    await eventually(settled, 90_000, `no more than ${KEEP} left, and podgc done`)
  } finally {
    gracewatchAsks.resolve()
    await podgc.stop()
    await theirs.close()
    rmSync(folder, { recursive: true })
    await end()
  }

  const of = (what: Front, status: number) => deletes(what, namespace).filter((call) => call.status === status)
  const status = await world.statusOf(
    namespace,
    'all',
    'all that it deleted counted',
    ({ toDelete, deleted }) => toDelete === 0 && deleted === of(front, 200).length,
  )
  const left = await world.names(namespace)
  console.log(
    `of ${2 * HALF} pods podgc deleted ${of(theirs, 200).length}, Gracewatch ${of(front, 200).length}, ${left.length} are left; ` +
      `podgc came too late for ${of(theirs, 404).length}, Gracewatch for ${of(front, 404).length + of(front, 409).length}`,
  )
  // Where podgc deletes what was to stay, no more than that is missing in the end; and the youngest stay in any case.
  const least = KEEP - annotated.length
  expect(young.slice(-KEEP)).toEqual(expect.arrayContaining(left))
  expect(left).toEqual(expect.arrayContaining(young.slice(-least)))
  expect(kept(status)).toEqual({ WithinKeepTotal: left.length })

  // No pod was asked for twice, nor one that is protected, and to come too late is no failure.
  const asked = deletes(front, namespace)
  expect(asked.map(nameOf).filter((name, index, all) => all.indexOf(name) !== index || annotated.includes(name))).toEqual([])
  expect(asked.filter(({ status: code }) => ![200, 404, 409].includes(code ?? 0))).toEqual([])
  const answers = (what: Front, names: readonly string[]) =>
    names.map((name) => deletes(what, namespace, name).map((call) => call.status))
  expect(answers(front, podgcFirst)).toEqual(Array(LATE).fill([404]))
  expect(answers(theirs, gracewatchFirst)).toEqual(Array(LATE).fill([404]))
  expect(answers(theirs, annotated)).toEqual(annotated.map(() => [200]))
  expect(status.errors).toBeUndefined()
  for (const type of ['Failing', 'RecordRefused']) expect(condition(status, type)).toMatchObject({ status: 'False' })
  const bad = ({ level, msg, failed = 0 }: { level: string; msg: string; failed?: unknown }) =>
    ['error', 'fatal'].includes(level) || msg.startsWith('cleanup pass failed') || (msg === 'cleanup pass' && failed !== 0)
  expect(controller.lines.all.filter(bad)).toEqual([])

  // Of those that ended before it came, podgc's have none; of the others each has one, whoever deleted it.
  const recorded = new Set([...of(front, 200).map(nameOf), ...young])
  await Promise.all([...recorded].map((name) => records.complete(uids.get(name) ?? '')))

  // It counts on from what is there.
  const more = Array.from({ length: KEEP + 1 - left.length }, (_, index) => `x-${index}`)
  for (const name of more) await world.finished(namespace, name, { phase: 'Succeeded' })
  await world.left(namespace, [...left, ...more].slice(-KEEP))
  expect(controller.running).toBe(true)
})
