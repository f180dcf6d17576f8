import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import type { Cluster } from './cluster.ts'
import { ClusterError } from './errors.ts'
import { buildImage, TREE_IMAGE } from './product-image.ts'
import type { Progress } from './progress.ts'

/** The name under which the manifests know the image; what runs here is the image of this tree. */
const IMAGE_IN_MANIFESTS = 'ghcr.io/gracewatch/gracewatch'
const READY_TIMEOUT = '180s'
const FIELD_MANAGER = 'gracewatch-install'

/** A part that is installed by itself: a folder of manifests, and the workload that has to be ready. */
interface Part {
  readonly title: string
  readonly manifests: string
  /** Folders of kustomize Components that go with them. */
  readonly components?: readonly string[]
  readonly namespace: string
  readonly workload: string
}

const DEPLOY = resolve(import.meta.dirname, '../../deploy')

const CONTROLLER: Part = {
  title: 'the controller',
  manifests: join(DEPLOY, 'manifests'),
  namespace: 'gracewatch-system',
  workload: 'deployment/gracewatch-controller',
}

const AGENT: Part = {
  title: 'the agent',
  manifests: join(DEPLOY, 'agent'),
  namespace: 'gracewatch-agent-system',
  workload: 'daemonset/gracewatch-agent',
}

/** What deploy/gates and deploy/cleanup have beside deploy/manifests and the CRDs, which stay. */
const POLICIES = ['mutatingadmissionpolicybinding', 'mutatingadmissionpolicy']
const RIGHTS = ['clusterrolebinding', 'clusterrole']
const labelOf = (component: 'gates' | 'cleanup') => `app.kubernetes.io/name=gracewatch,app.kubernetes.io/component=${component}`
const CLEANUPS = 'podcleanups.gracewatch.dev'
const GATES = 'podreadinessgates.gracewatch.dev'
const WITHOUT_FINALIZERS = '{"metadata":{"finalizers":null}}'

export interface InstallOptions {
  /** An image that the cluster can pull by itself; without it the image of this tree is built and imported. */
  readonly image?: string
  /** Whether the agent runs too. An agent that is there and not wanted is removed. */
  readonly agent?: boolean
  /** Whether the controller manages readiness gates. Where it does not, gates that are there are removed, and so are its rights for them. */
  readonly gates?: boolean
  /** Whether the controller deletes finished pods. Where it does not, PodCleanups that are there are removed, and so is its right to delete. */
  readonly cleanup?: boolean
}

/**
 * Installs as a user would, with the project's own manifests, and returns once the controller's caches are ready and the agent of
 * every node reads its trace.
 */
export async function install(
  cluster: Cluster,
  progress: Progress,
  { image: given, agent = false, gates = false, cleanup = false }: InstallOptions = {},
): Promise<{ readonly image: string }> {
  const image = given ?? (await importTreeImage(cluster, progress))
  const injection = await hasMutatingPolicies(cluster)
  const controller = { ...CONTROLLER, ...controllerManifests({ gates, injection, cleanup }) }
  const parts = agent ? [controller, AGENT] : [controller]
  if (!agent) await removeAgent(cluster, progress)
  if (!gates) await removeGates(cluster, progress)
  // What was left of another time would delete pods as soon as cleanup is installed again.
  if (!cleanup) await cluster.tryKubectl(['delete', CLEANUPS, '--all', '-A'])
  for (const part of parts) await applyManifests(cluster, part, image)
  for (const part of parts) await untilReady(cluster, progress, part)
  // A controller that still has gates or cleans up needs its rights until it is replaced.
  if (!gates) await cluster.kubectl(['delete', [...(injection ? POLICIES : []), ...RIGHTS].join(','), '-l', labelOf('gates')])
  if (!cleanup) await cluster.kubectl(['delete', RIGHTS.join(','), '-l', labelOf('cleanup')])
  await forgetOlderImages(cluster, image)
  return { image }
}

/** As docs/gates.md and docs/cleanup.md tell people to install each, and both. */
function controllerManifests(wanted: {
  gates: boolean
  injection: boolean
  cleanup: boolean
}): Pick<Part, 'manifests' | 'components'> {
  if (!wanted.gates) return { manifests: join(DEPLOY, wanted.cleanup ? 'cleanup' : 'manifests') }
  const manifests = join(DEPLOY, wanted.injection ? 'gates' : 'gates/controller')
  return wanted.cleanup ? { manifests, components: [join(DEPLOY, 'cleanup/component')] } : { manifests }
}

/** Its pods first, by themselves: what they write as they stop needs their rights, which go with the rest. */
async function removeAgent(cluster: Cluster, progress: Progress): Promise<void> {
  const there = await cluster.kubectl(['get', '-k', AGENT.manifests, '--ignore-not-found', '-o', 'name'])
  if (there.trim() === '') return
  await progress.step('removing the agent', async () => {
    const remove = ['delete', '--ignore-not-found', '--timeout=120s']
    await cluster.kubectl([...remove, '--cascade=foreground', AGENT.workload, '-n', AGENT.namespace])
    await cluster.kubectl([...remove, '-k', AGENT.manifests])
  })
}

/** Injection needs a kind that Kubernetes serves in this version from 1.36 on. */
async function hasMutatingPolicies(cluster: Cluster): Promise<boolean> {
  const { resources } = JSON.parse(await cluster.kubectl(['get', '--raw', '/apis/admissionregistration.k8s.io/v1'])) as {
    resources: { name: string }[] // APIResourceList
  }
  return resources.some(({ name }) => name === 'mutatingadmissionpolicies')
}

/** While the controller is there: each gate goes once its pods are released. */
async function removeGates(cluster: Cluster, progress: Progress): Promise<void> {
  const list = async () => {
    const { code, stdout } = await cluster.tryKubectl([
      'get',
      GATES,
      '-A',
      '-o',
      'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
    ])
    return code === 0 ? stdout.split('\n').filter((line) => line !== '') : []
  }
  if ((await list()).length === 0) return
  await progress.step('removing readiness gates', async (note) => {
    await cluster.tryKubectl(['delete', GATES, '--all', '-A', '--timeout=60s'])
    for (const line of await list()) {
      note(`nobody released the pods of ${line.replace(' ', '/')}`)
      const [namespace = '', name = ''] = line.split(' ')
      await cluster.tryKubectl(['patch', GATES, name, '-n', namespace, '--type=merge', '-p', WITHOUT_FINALIZERS])
    }
  })
}

async function untilReady(cluster: Cluster, progress: Progress, part: Part): Promise<void> {
  await progress.step(`waiting for ${part.title} to be ready`, async () => {
    const wait = ['rollout', 'status', part.workload, '-n', part.namespace, `--timeout=${READY_TIMEOUT}`]
    const rollout = await cluster.tryKubectl(wait)
    if (rollout.code === 0) return
    throw new ClusterError(`${part.title} is not ready after ${READY_TIMEOUT}:\n${await describeFailure(cluster, part)}`)
  })
}

/** Each is 200 MB unpacked; what ran from them has just been replaced. */
async function forgetOlderImages(cluster: Cluster, kept: string): Promise<void> {
  const older = (await cluster.images()).filter((reference) => reference.startsWith(`${TREE_IMAGE}:`) && reference !== kept)
  for (const reference of older) await cluster.ctr(['images', 'remove', reference])
}

/** Builds the image of this tree, if need be, and puts it on the node. Returns its reference. */
export async function importTreeImage(cluster: Cluster, progress: Progress): Promise<string> {
  const image = await buildImage(progress)
  await progress.step('importing the image', () => cluster.importImage(image))
  return image.reference
}

/** Applies an overlay, in a folder of its own outside the tree, that names another image and changes nothing else. */
async function applyManifests(cluster: Cluster, { manifests, components = [] }: Part, image: string): Promise<void> {
  if (!existsSync(join(manifests, 'kustomization.yaml'))) {
    throw new ClusterError(`${manifests}/kustomization.yaml is missing: there is nothing to install`)
  }
  const overlay = mkdtempSync(join(tmpdir(), 'gracewatch-install-'))
  try {
    const separator = image.lastIndexOf(':')
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [relative(overlay, manifests)],
      components: components.map((component) => relative(overlay, component)),
      images: [{ name: IMAGE_IN_MANIFESTS, newName: image.slice(0, separator), newTag: image.slice(separator + 1) }],
    }
    writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(kustomization))
    // The CRD and what is of its kind cannot be in one apply's first pass, so the second has to succeed.
    const apply = ['apply', '--server-side', '--force-conflicts', `--field-manager=${FIELD_MANAGER}`, '-k', overlay]
    const first = await cluster.tryKubectl(apply)
    if (first.code !== 0) await cluster.kubectl(apply)
  } finally {
    rmSync(overlay, { recursive: true, force: true })
  }
}

/** What a person would look at: the pods, their last Events, and the end of a log. */
async function describeFailure(cluster: Cluster, { workload, namespace }: Part): Promise<string> {
  const parts = await Promise.all([
    cluster.tryKubectl(['get', 'pods', '-n', namespace, '-o', 'wide']),
    cluster.tryKubectl(['get', 'events', '-n', namespace, '--sort-by=.lastTimestamp']),
    cluster.tryKubectl(['logs', workload, '-n', namespace, '--tail=20']),
  ])
  return parts.map((part) => (part.stdout + part.stderr).trim().split('\n').slice(-20).join('\n')).join('\n\n')
}
