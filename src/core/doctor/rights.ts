/** What each command asks the API server for. */
import { GROUP } from '../../api/group.ts'
import type { Right } from './types.ts'

export interface Need extends Right {
  /** Without it. */
  readonly missed: string
}

const core = (resource: string, missed: string, ...verbs: Right['verb'][]): Need[] =>
  verbs.map((verb) => ({ verb, group: '', resource, missed }))
const own = (resource: string, missed: string, ...verbs: Right['verb'][]): Need[] =>
  verbs.map((verb) => ({ verb, group: GROUP, resource, missed }))

const NO_TRACE = 'trace cannot follow pods'
const NO_RECORDS = 'records cannot be read; the ClusterRole view includes the right'

const NO_SELECTOR = 'a trace of what such an object selects is refused: choose its pods with -l'
/** What selects pods, in the order in which people name it. */
const SELECTING = [
  ['apps', 'deployments'],
  ['apps', 'statefulsets'],
  ['apps', 'daemonsets'],
  ['apps', 'replicasets'],
  ['batch', 'jobs'],
  ['', 'services'],
] as const

/** By command, what one uses first. */
export const NEEDS: ReadonlyMap<string, readonly Need[]> = new Map([
  ['list, show, summary', own('podterminations', NO_RECORDS, 'get', 'list')],
  ['watch', own('podterminations', NO_RECORDS, 'list', 'watch')],
  [
    'trace',
    [
      ...core('pods', NO_TRACE, 'list', 'watch'),
      ...core(
        'events',
        'a trace does not tell when hooks began and stop signals were sent: their bounds get wide',
        'list',
        'watch',
      ),
      ...(['list', 'watch'] as const).map((verb) => ({
        verb,
        group: 'discovery.k8s.io',
        resource: 'endpointslices',
        missed: 'a trace does not tell when Services let go of the pod',
      })),
      { verb: 'get', group: 'apps', resource: 'replicasets', missed: 'a trace names the ReplicaSet instead of the Deployment' },
    ],
  ],
  ['trace --delete', core('pods', 'a trace can follow a termination, and cannot start one', 'delete')],
  ['trace KIND/NAME', SELECTING.map(([group, resource]) => ({ verb: 'get', group, resource, missed: NO_SELECTOR }))],
  ['open', own('podterminations', NO_RECORDS, 'get', 'list', 'watch')],
  [
    'cleanup plan',
    [
      ...core('pods', 'there is no plan without them', 'list'),
      ...own('podcleanups', 'there is no plan without them', 'list'),
      { verb: 'list', group: 'batch', resource: 'jobs', missed: 'pods of Jobs stay, as JobUnknown' },
    ],
  ],
])

export const keyOf = ({ verb, group, resource }: Right) => `${verb} ${resource}${group === '' ? '' : `.${group}`}`
