/** What `gracewatch doctor` looks at, and what it says of it. */
import type { Micros } from '../time.ts'

/** What was read, or in a sentence part why it could not be. */
export type Reading<T> = { readonly found: T } | { readonly unknown: string }

/** A pod of Gracewatch's own. */
export interface OwnPod {
  readonly name: string
  readonly namespace: string
  readonly node: string | undefined
  readonly ready: boolean
}

/** The API server's clock less a node's, as that node's agent measured it for a record. */
export interface NodeClock {
  readonly node: string
  readonly earliest: Micros
  readonly latest: Micros
  readonly measuredAt: Micros
}

export interface Right {
  readonly verb: 'get' | 'list' | 'watch' | 'delete'
  readonly group: string
  readonly resource: string
}

export interface DoctorFacts {
  readonly now: Micros
  /** Git version of the API server. */
  readonly kubernetes: string
  /** Resources of the API group, as podterminations; none: it is not there. */
  readonly resources: Reading<readonly string[]>
  readonly controllers: Reading<readonly OwnPod[]>
  readonly agents: Reading<readonly OwnPod[]>
  readonly lease: Reading<{ readonly holder: string; readonly renewedAt: Micros | undefined } | undefined>
  /** Nodes that run pods. */
  readonly nodes: Reading<readonly string[]>
  readonly clocks: Reading<readonly NodeClock[]>
  /** The API server's clock less this machine's; 0 where they are as near as its answers tell. */
  readonly skew: Micros
  /** What one may not, of what the commands need. */
  readonly denied: Reading<readonly Right[]>
  /** Where it was asked. */
  readonly namespace: string
}

/** Failed: nothing is recorded, or this user sees nothing. Warning: something would be missed. Note: it could be more. */
export type Health = 'Ok' | 'Note' | 'Warning' | 'Failed' | 'Unknown'

export interface Check {
  readonly about: string
  readonly health: Health
  readonly text: string
  /** What would be missed, and what to do about it: sentences. */
  readonly missed?: string
}
