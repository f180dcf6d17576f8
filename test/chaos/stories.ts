/** Ends of pods of every kind, each in two halves, so that a fault can come before, between, or after them. */
import type { KubeHttp } from '../../src/kube/http.ts'
import type { FakePod, Kubelet, PodOptions } from '../apiserver/recorder/kubelet.ts'
import { delay } from '../apiserver/waiting.ts'
import { Entry, type Expected, type Ledger, micros } from './ledger.ts'

/** A pod that is there, and what is to become of it. */
export interface Story {
  readonly kind: Kind
  readonly entry: Entry
  begin(): Promise<void>
  end(): Promise<void>
}

export interface Place {
  readonly http: KubeHttp
  readonly kubelet: Kubelet
  readonly ledger: Ledger
  readonly namespace: string
  /** A fault lasts: a replica that loses changes has never seen what is made now. */
  readonly unseen: boolean
}

type Make = (place: Place, name: string) => Promise<Omit<Story, 'kind'>>

const CONTAINER = 'app'

async function enter(place: Place, story: string, name: string, expected: Expected, options: PodOptions = {}) {
  const pod = await place.kubelet.pod(place.namespace, name, options)
  const entry = place.ledger.add(new Entry(story, pod, expected, place.kubelet.clock))
  entry.bornUnseen = place.unseen
  return { pod, entry }
}

async function stopping(pod: FakePod, entry: Entry, preStop = false): Promise<void> {
  await entry.did(['Terminating'], () => pod.delete())
  await entry.did(['Acknowledged'], () => pod.acknowledge())
  const earliest = micros()
  await pod.killing()
  entry.killingTold = true
  // Until it exits, the hook and the signal are somewhere in between.
  const latest = Number.POSITIVE_INFINITY
  entry.happened(preStop ? ['PreStopStarted', 'PreStopFinished', 'StopSignal'] : ['StopSignal'], { earliest, latest }, CONTAINER)
}

/** @param why what its container exited by, where something made it */
export async function exits(
  pod: FakePod,
  entry: Entry,
  code: number,
  { phase, why = [] }: { readonly phase?: 'Succeeded' | 'Failed'; readonly why?: readonly 'Kill'[] } = {},
): Promise<void> {
  const earliest = micros()
  await pod.exit({ code, ...(phase === undefined ? {} : { phase }) })
  const at = { earliest, latest: micros() + 1000 }
  entry.happened([...why, 'ContainerExited'], at, CONTAINER)
  if (phase !== undefined) entry.happened(['PodFinished'], at)
}

export async function goes(pod: FakePod, entry: Entry): Promise<void> {
  await entry.did(['Removed'], () => pod.remove())
  entry.removed = true
}

function stopped(story: string, code: number, outcome: 'Graceful' | 'Signalled' | 'Failed', preStop = false): Make {
  return async (place, name) => {
    const options: PodOptions = preStop ? { preStop: { exec: { command: ['sleep', '1'] } } } : {}
    const { pod, entry } = await enter(place, story, name, { records: 'One', outcome, cause: 'Deleted', code }, options)
    return {
      entry,
      begin: () => stopping(pod, entry, preStop),
      end: async () => {
        await exits(pod, entry, code)
        await goes(pod, entry)
      },
    }
  }
}

/** The runtime kills it when its second of grace is over (the kubelet gives two). */
const killed: Make = async (place, name) => {
  const expected = { records: 'One', outcome: 'ForcedKill', cause: 'Deleted', code: 137 } as const
  const { pod, entry } = await enter(place, 'forced kill', name, expected, { grace: 2 })
  let dueAt = 0
  return {
    entry,
    begin: async () => {
      await entry.did(['Terminating'], () => pod.delete())
      dueAt = Date.now() + 2000
      const earliest = micros()
      await pod.killing()
      entry.killingTold = true
      entry.happened(['StopSignal'], { earliest, latest: Number.POSITIVE_INFINITY }, CONTAINER)
    },
    end: async () => {
      // The grace is a part of the story.
      await delay(Math.max(0, dueAt - Date.now()))
      await exits(pod, entry, 137, { why: ['Kill'] })
      await goes(pod, entry)
    },
  }
}

const forced: Make = async (place, name) => {
  const expected = { records: 'One', outcome: 'Lost', cause: 'ForceDeleted' } as const
  const { pod, entry } = await enter(place, 'deleted by force', name, expected)
  return {
    entry,
    begin: async () => {
      await entry.did(['Terminating', 'Removed'], () => pod.delete(0))
      entry.removed = true
    },
    end: async () => {},
  }
}

/** The kubelet evicts it for want of memory, and it stands as Failed until somebody deletes it. */
const evicted: Make = async (place, name) => {
  const { pod, entry } = await enter(place, 'evicted', name, { records: 'One', cause: 'Evicted' }, { restartPolicy: 'Never' })
  return {
    entry,
    begin: async () => {
      const earliest = micros()
      const now = `${new Date(place.kubelet.clock.now()).toISOString().slice(0, 19)}Z`
      const terminated = { exitCode: 137, reason: 'Error', startedAt: now, finishedAt: now }
      const conditions = [
        { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', lastTransitionTime: now },
        { type: 'Ready', status: 'False', reason: 'PodFailed', lastTransitionTime: now },
      ]
      const containerStatuses = [
        { name: CONTAINER, state: { terminated }, image: 'none', imageID: '', ready: false, restartCount: 0 },
      ]
      const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' }
      await place.http.request({
        method: 'PATCH',
        path: `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/status`,
        contentType: 'application/strategic-merge-patch+json',
        body: { metadata: { uid: pod.uid }, status: { ...status, conditions, containerStatuses } },
      })
      const at = { earliest, latest: micros() + 1000 }
      entry.happened(['Terminating', 'PodFinished'], at)
      entry.happened(['StopSignal', 'Kill', 'ContainerExited'], at, CONTAINER)
    },
    end: () => goes(pod, entry),
  }
}

/** It fails by itself; that it is deleted later is no second termination. */
const crashed: Make = async (place, name) => {
  const expected = { records: 'One', outcome: 'Failed', code: 3 } as const
  const { pod, entry } = await enter(place, 'failed, then deleted', name, expected, { restartPolicy: 'Never' })
  return {
    entry,
    begin: async () => {
      const earliest = micros()
      await exits(pod, entry, 3, { phase: 'Failed' })
      entry.happened(['Terminating'], { earliest, latest: micros() + 1000 })
    },
    end: () => goes(pod, entry),
  }
}

/** It ends well with nobody stopping it: no termination by default. */
const succeeded: Make = async (place, name) => {
  const expected = { records: 'None', outcome: 'Graceful', code: 0 } as const
  const { pod, entry } = await enter(place, 'succeeded, then deleted', name, expected, { restartPolicy: 'Never' })
  return {
    entry,
    begin: async () => {
      await entry.did(['Terminating'], () => exits(pod, entry, 0, { phase: 'Succeeded' }))
    },
    end: () => goes(pod, entry),
  }
}

/** Deleted while its containers are still being made. */
const unstarted: Make = async (place, name) => {
  const expected = { records: 'One', outcome: 'NeverStarted', cause: 'Deleted' } as const
  const { pod, entry } = await enter(place, 'deleted in mid-start', name, expected, { running: false })
  return {
    entry,
    begin: async () => {
      await entry.did(['Terminating'], () => pod.delete())
      await entry.did(['Acknowledged'], () => pod.acknowledge())
    },
    end: () => goes(pod, entry),
  }
}

/** As a StatefulSet does: the next of the same name comes at once, twice. */
const again: Make = async (place, name) => {
  const make = stopped('same name again', 0, 'Graceful')
  const first = await make(place, name)
  return {
    entry: first.entry,
    begin: () => first.begin(),
    end: async () => {
      await first.end()
      for (let generation = 2; generation <= 3; generation++) {
        const next = await make(place, name)
        await next.begin()
        await next.end()
      }
    },
  }
}

const MAKERS = {
  graceful: stopped('graceful', 0, 'Graceful'),
  hooked: stopped('graceful, with a hook', 0, 'Graceful', true),
  signalled: stopped('ended by the signal', 143, 'Signalled'),
  failing: stopped('failing when stopped', 1, 'Failed'),
  killed,
  forced,
  evicted,
  crashed,
  succeeded,
  unstarted,
  again,
} satisfies Record<string, Make>

export type Kind = keyof typeof MAKERS
export const KINDS = Object.keys(MAKERS) as Kind[] // of the table itself

/** So many of them, in an order of their own. */
export function someOf(count: number, random: () => number): Kind[] {
  const left = [...KINDS]
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(Math.floor(random() * left.length), 1)).flat()
}

export async function tell(kind: Kind, place: Place, name: string): Promise<Story> {
  return { kind, ...(await MAKERS[kind](place, name)) }
}

/** A pod that lives on while others end, and ends last of all. */
export async function bystander(place: Place, name: string): Promise<Story> {
  const story = await tell('graceful', place, name)
  story.entry.expected = { records: 'None' }
  return {
    ...story,
    begin: async () => {
      story.entry.expected = { records: 'One', outcome: 'Graceful', cause: 'Deleted', code: 0 }
      await story.begin()
    },
  }
}
