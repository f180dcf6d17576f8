/** docs/cleanup.md, done on a real node as it is written there. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Raw } from '../api.ts'
import type { Bed, Stage } from '../gates/bed.ts'
import { Guide } from '../gates/guide.ts'

/** Beside other tests, but not beside those of its own describe. */
const IN_ORDER = { concurrent: false }
const CLEANUPS = '/apis/gracewatch.dev/v1alpha1'

let bed: Bed
let guide: Guide
let stage: Stage

const pods = async (): Promise<Raw[]> => (await bed.api.get(stage.path('Pod'))).items
const records = async (): Promise<Raw[]> => (await bed.api.get(`${CLEANUPS}/namespaces/${stage.namespace}/podterminations`)).items
const names = (objects: readonly Raw[]): string[] => objects.map(({ metadata }) => metadata.name).toSorted()
/** The names that a plan has in its column POD. */
const planned = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line) => / (import-\S+) +Failed +dry run /.exec(line)?.[1] ?? [])
    .toSorted()

export function guided(given: { readonly bed: Bed }): void {
  beforeAll(async () => {
    bed = given.bed
    guide = await Guide.open(bed, 'docs/cleanup.md')
    stage = await bed.stage('cleanup-guide')
  })
  afterAll(() => guide?.close())

  describe.concurrent('docs/cleanup.md', () => {
    it('its first PodCleanup only tells, and then deletes what the plan named, with a record of each', IN_ORDER, async () => {
      const [tells = '', plans = '', lets = ''] = guide.scripts('first')
      await guide.apply(stage, 'first')
      expect(await guide.script(stage, tells)).toMatch(/^finished +7 +4 +0 +true +True /m)
      const before = await pods()
      expect(before).toHaveLength(7)
      const named = planned(await guide.script(stage, plans))
      expect(named).toHaveLength(4)
      const failed = before.filter(({ metadata }) => metadata.name !== 'check')

      const said = await guide.script(stage, lets)
      const left = names(await pods())
      expect(left).toHaveLength(3)
      expect(left).toContain('check')
      expect(names(before).filter((name) => !left.includes(name))).toEqual(named)
      // Those of pods that ended while the controller watched stand before anything is deleted, and stay the only ones.
      const written = (await records()).map(({ pod, outcome, state }) => `${pod.name} ${pod.uid} ${outcome} ${state}`)
      const expected = failed.map(({ metadata }) => `${metadata.name} ${metadata.uid} Failed Complete`)
      expect(written.toSorted()).toEqual(expected.toSorted())
      expect(said).toContain('PodsDeleted')
      const { status } = await bed.api.get(`/apis/batch/v1/namespaces/${stage.namespace}/jobs/import`)
      expect(status.failed).toBe(6)
    })

    it.each(['workflows', 'evicted'])('its PodCleanup %s is one that the controller accepts', IN_ORDER, async (name) => {
      await guide.apply(stage, name)
      await stage.kubectl('wait', `podcleanup/${name}`, '--for=condition=Accepted', '--timeout=60s')
    })
  })
}

/** What takes the rights from the controller: to be called last. */
export function wayOut(external: boolean): void {
  it.skipIf(external)('its way out takes the right to delete pods from the controller, and leaves the records', async () => {
    const controller = 'system:serviceaccount:gracewatch-system:gracewatch-controller'
    const may = (verb: string, resource: string) =>
      bed.cluster.tryKubectl(['auth', 'can-i', verb, resource, `--as=${controller}`]).then(({ stdout }) => stdout.trim())
    expect(await may('delete', 'pods')).toBe('yes')
    await guide.run(stage, 'away')
    // The authorizer hears of it by a watch.
    await expect.poll(() => may('delete', 'pods')).toBe('no')
    await expect.poll(() => may('list', 'podcleanups.gracewatch.dev')).toBe('no')
    expect((await records()).length).toBe(6)
  })
}
