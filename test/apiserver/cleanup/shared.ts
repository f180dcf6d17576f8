/** One controller with the settings as they are, for all tests that need no other: each has namespaces of its own there. */
import { beforeAll } from 'vitest'
import type { Running } from '../recorder/stage.ts'
import { useCleanup, type World } from './world.ts'

const LABELS = [
  'failed',
  'succeeded',
  'told',
  'live',
  'full',
  'few',
  'deletes',
  'kinds',
  'opted',
  'young',
  'sets',
  'read',
  'asked',
  'forbidden',
  'finalizer',
  'late',
  'only',
  'two',
  'owners',
  'changed',
  'dry',
  'passes',
] as const
export type Label = (typeof LABELS)[number]
export type Spaces = Readonly<Record<Label, string>>

export interface Shared {
  readonly world: World
  readonly spaces: Spaces
  readonly running: Running
  /** Resolves when passes have been over that began after the call. */
  passes(): Promise<void>
}

/** @param before what is to be there when the controller comes */
export function useShared(slug: string, before: (world: World, spaces: Spaces) => Promise<void>): Shared {
  const host = useCleanup(slug)
  const made: Partial<{ spaces: Spaces; running: Running }> = {}
  const there = <T>(what: T | undefined): T => {
    if (what === undefined) throw new Error('the controller is there from beforeAll on')
    return what
  }
  beforeAll(async () => {
    const { world } = host
    const names = await Promise.all(LABELS.map(async (label) => [label, await world.namespace(label)] as const))
    const spaces = Object.fromEntries(names) as Record<Label, string> // of each label
    made.spaces = spaces
    await before(world, spaces)
    await world.rule(spaces.passes, 'all', { keep: { total: 0 } })
    made.running = await world.lead({
      own: world.stage.bed.namespace,
      namespaces: Object.values(spaces),
      lease: [],
      // Only what is needed of a record is asked for: a cleanup records what it deletes all the same.
      args: ['--record=Abnormal'],
    })
  })
  return {
    get world() {
      return host.world
    },
    get spaces() {
      return there(made.spaces)
    },
    get running() {
      return there(made.running)
    },
    passes: () => host.world.passes(there(made.spaces).passes),
  }
}
