/** The flags that choose among records, the same for every command that reads many. */
import { CAUSES, FINDINGS, type FindingType } from '../api/pod-termination.ts'
import { parseDuration } from '../core/duration.ts'
import { type RecordFilter, STANDINGS } from '../core/record-filter.ts'
import { type Micros, SECOND } from '../core/time.ts'
import { nearest } from '../nearest.ts'
import { UsageError } from './arguments.ts'

const FINDING_TYPES = Object.keys(FINDINGS) as FindingType[] // Object.keys forgets the literal keys

export const FILTER_FLAGS = {
  outcome: { value: 'OUTCOMES', help: 'Only those that ended so, as ForcedKill or Lost,Overdue.', proposed: STANDINGS },
  cause: { value: 'CAUSES', help: 'Only those that ended by this, as Deleted or EvictedByAPI.', proposed: CAUSES },
  finding: { value: 'FINDINGS', help: 'Only those with one of these findings, as PreStopOverran.', proposed: FINDING_TYPES },
  workload: { value: '[KIND/]NAME', help: 'Only the pods of this workload, as web or deploy/web.' },
  since: { value: 'DURATION', help: 'Only what was not over by then: 30m, 12h, 7d.' },
} as const

export type FilterFlags = { readonly [K in keyof typeof FILTER_FLAGS]?: string }

/** The kinds that kubectl has a short name for. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['deploy', 'Deployment'],
  ['sts', 'StatefulSet'],
  ['ds', 'DaemonSet'],
  ['rs', 'ReplicaSet'],
  ['rc', 'ReplicationController'],
  ['cj', 'CronJob'],
  ['po', 'Pod'],
])
const DAY: Micros = 86_400 * SECOND

export interface Chosen {
  /** @param now what --since counts back from */
  filterAt(now: Micros): RecordFilter
  /** Nothing is left out. */
  readonly all: boolean
}

/** Throws UsageError. */
export function chosenBy({ outcome, cause, finding, workload, since }: FilterFlags): Chosen {
  const age = since === undefined ? undefined : ageOf(since)
  const filter: RecordFilter = {
    ...(outcome === undefined ? {} : { outcomes: wordsOf('--outcome', outcome, STANDINGS) }),
    ...(cause === undefined ? {} : { causes: wordsOf('--cause', cause, CAUSES) }),
    ...(finding === undefined ? {} : { findings: wordsOf('--finding', finding, FINDING_TYPES) }),
    ...(workload === undefined ? {} : { workload: workloadOf(workload) }),
  }
  return {
    filterAt: (now) => (age === undefined ? filter : { ...filter, since: now - age }),
    all: age === undefined && Object.keys(filter).length === 0,
  }
}

/** In any case: nobody remembers whether it is OOMKilled or OomKilled. */
function wordsOf<T extends string>(flag: string, text: string, known: readonly T[]): T[] {
  return text.split(',').map((word) => {
    const found = known.find((candidate) => candidate.toLowerCase() === word.toLowerCase())
    if (found !== undefined) return found
    const near = nearest(word, known)
    throw new UsageError(`${flag} ${word}: ${near === undefined ? `choose from ${known.join(', ')}` : `did you mean ${near}?`}`)
  })
}

/** `7d` as well, which Kubernetes has not. */
function ageOf(text: string): Micros {
  const days = /^(\d{1,4})d$/.exec(text)
  const age = days === null ? parseDuration(text) : Number(days[1]) * DAY
  if (age === undefined) throw new UsageError(`--since ${text}: write a duration as 30m, 12h or 7d`)
  return age
}

/** A workload as kubectl names it: NAME, or KIND/NAME with the kind's name, plural or short name. */
export function workloadOf(text: string): { kind?: string; name: string } {
  const [first = '', name, ...more] = text.split('/')
  if (more.length > 0 || name === '' || first === '')
    throw new UsageError(`--workload ${text}: write NAME or KIND/NAME, as deploy/web`)
  return name === undefined ? { name: first } : { kind: kindOf(first), name }
}

/** deploy, deployment, deployments and deployments.apps are a Deployment. */
function kindOf(word: string): string {
  const kind = word.split('.')[0]?.toLowerCase() ?? ''
  return KINDS.get(kind) ?? kind.replace(/s$/, '')
}
