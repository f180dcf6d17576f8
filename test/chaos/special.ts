/** Faults that need pods of their own: a namespace that goes with its pods, and records that have no place yet. */
import type { Stage } from '../apiserver/recorder/stage.ts'
import { eventually } from '../apiserver/waiting.ts'
import { Entry, micros } from './ledger.ts'
import { each, judged, namespaceOf, type Outcome, placeIn, settled } from './round.ts'
import { exits, goes, KINDS, tell } from './stories.ts'
import { PATIENCE_MS, World } from './world.ts'

const DELETED = {
  name: 'the namespace is deleted, and the leader is killed over it',
  happens:
    "The records stand in Gracewatch's own namespace and say that there was no Killing event; those that were there before go with the " +
    'namespace.',
}
const NO_CRD = {
  name: 'the CRD is missing at start and comes later',
  happens: 'Told once for a namespace. What ended meanwhile is recorded when the CRD is there.',
}
export const SPECIAL: readonly { readonly name: string; readonly happens: string }[] = [DELETED, NO_CRD]

const CODES = [0, 0, 1, 143, 0, 1] as const

/** The namespace controller deletes the pods, no Event can be written, the records have to go elsewhere, and the leader dies over it. */
export async function namespaceDeleted(world: World, label: string): Promise<Outcome> {
  const startedAt = performance.now()
  const { kubelet, bed } = world.stage
  const namespace = await namespaceOf(world, `${bed.namespace}-${label}`)
  const pods = await each([...CODES.entries()], async ([index, code]) => {
    const pod = await kubelet.pod(namespace, `pod-${index}`)
    const outcome = code === 0 ? 'Graceful' : code === 143 ? 'Signalled' : 'Failed'
    const entry = world.ledger.add(new Entry('deleted with its namespace', pod, { records: 'One', outcome, code }, kubelet.clock))
    return { pod, entry, code }
  })
  const earliest = micros()
  await bed.kubectl('delete', 'namespace', namespace, '--wait=false')
  await each(pods, async ({ pod, entry }) => {
    await eventually(() => kubelet.deleted(pod), PATIENCE_MS, `${entry} deleted`)
    entry.happened(['Terminating'], { earliest, latest: micros() + 1000 })
    entry.happened(['StopSignal'], { earliest, latest: Number.POSITIVE_INFINITY }, 'app')
  })
  const finish = ({ pod, entry, code }: (typeof pods)[number]) => exits(pod, entry, code).then(() => goes(pod, entry))
  await each(pods.slice(0, 2), finish)
  const { leader } = await world.roles()
  await leader.controller.kill()
  await each(pods.slice(2), finish)
  await world.start()
  await settled(world, label)
  return await judged(world, DELETED.name, startedAt)
}

/** What ends while the API server has no PodTermination is recorded when it has. */
export async function withoutCrd(stage: Stage): Promise<Outcome> {
  const startedAt = performance.now()
  const group = stage.groupName('late')
  const world = new World(stage, { group, own: await stage.namespace('late-own') })
  try {
    await world.prepare()
    await world.ready(await world.start())
    await world.roles()
    const place = placeIn(world, await stage.namespace('late'))
    const whole = async (span: string) => {
      const stories = await each(KINDS, (kind) => tell(kind, place, `${span}-${kind}`))
      await each(stories, (story) => story.begin().then(() => story.end()))
    }
    await whole('before')
    const told = () =>
      world.replicas.some(({ controller }) => controller.said('records refused').some(({ reason }) => reason === 'NotInstalled'))
    await eventually(() => told() || undefined, PATIENCE_MS, 'told that the CRD is missing')
    await stage.brings('podterminations', group)
    await whole('after')
    await settled(world, 'late')
    return await judged(world, NO_CRD.name, startedAt)
  } finally {
    await world.close()
  }
}
