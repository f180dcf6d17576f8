import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import type { Cluster } from './cluster.ts'
import { ClusterError } from './errors.ts'
import { buildImage, TREE_IMAGE } from './product-image.ts'
import type { Progress } from './progress.ts'

const MANIFESTS = resolve(import.meta.dirname, '../../deploy/manifests')
const NAMESPACE = 'gracewatch-system'
const DEPLOYMENT = 'gracewatch-controller'
/** The name under which the manifests know the image; what runs here is the image of this tree. */
const IMAGE_IN_MANIFESTS = 'ghcr.io/gracewatch/gracewatch'
const READY_TIMEOUT = '180s'

export interface InstallOptions {
  /** An image that the cluster can pull by itself; without it the image of this tree is built and imported. */
  readonly image?: string
}

/** Installs the controller as a user would, with the project's own manifests, and returns once its caches are ready. */
export async function install(
  cluster: Cluster,
  progress: Progress,
  options: InstallOptions = {},
): Promise<{ readonly image: string }> {
  if (!existsSync(join(MANIFESTS, 'kustomization.yaml'))) {
    throw new ClusterError(`${MANIFESTS}/kustomization.yaml is missing: there is nothing to install`)
  }
  const image = options.image ?? (await importTreeImage(cluster, progress))
  await applyManifests(cluster, image)
  await progress.step('waiting for the controller to be ready', async () => {
    const rollout = await cluster.tryKubectl([
      'rollout',
      'status',
      `deployment/${DEPLOYMENT}`,
      '-n',
      NAMESPACE,
      `--timeout=${READY_TIMEOUT}`,
    ])
    if (rollout.code !== 0)
      throw new ClusterError(`the controller is not ready after ${READY_TIMEOUT}:\n${await describeFailure(cluster)}`)
  })
  await forgetOlderImages(cluster, image)
  return { image }
}

/** Each is 200 MB unpacked; what ran from them has just been replaced. */
async function forgetOlderImages(cluster: Cluster, kept: string): Promise<void> {
  const older = (await cluster.images()).filter((reference) => reference.startsWith(`${TREE_IMAGE}:`) && reference !== kept)
  for (const reference of older) await cluster.ctr(['images', 'remove', reference])
}

async function importTreeImage(cluster: Cluster, progress: Progress): Promise<string> {
  const image = await buildImage(progress)
  await progress.step('importing the image', () => cluster.importImage(image))
  return image.reference
}

/** Applies an overlay, in a folder of its own outside the tree, that names another image and changes nothing else. */
async function applyManifests(cluster: Cluster, image: string): Promise<void> {
  const overlay = mkdtempSync(join(tmpdir(), 'gracewatch-install-'))
  try {
    const separator = image.lastIndexOf(':')
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [relative(overlay, MANIFESTS)],
      images: [{ name: IMAGE_IN_MANIFESTS, newName: image.slice(0, separator), newTag: image.slice(separator + 1) }],
    }
    writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(kustomization))
    // The CRD and what is of its kind cannot be in one apply's first pass, so the second has to succeed.
    const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager=gracewatch-install', '-k', overlay]
    const first = await cluster.tryKubectl(apply)
    if (first.code !== 0) await cluster.kubectl(apply)
  } finally {
    rmSync(overlay, { recursive: true, force: true })
  }
}

/** What a person would look at: the pods, their last Events, and the end of the controller's log. */
async function describeFailure(cluster: Cluster): Promise<string> {
  const parts = await Promise.all([
    cluster.tryKubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'wide']),
    cluster.tryKubectl(['get', 'events', '-n', NAMESPACE, '--sort-by=.lastTimestamp']),
    cluster.tryKubectl(['logs', `deployment/${DEPLOYMENT}`, '-n', NAMESPACE, '--tail=20']),
  ])
  return parts.map((part) => (part.stdout + part.stderr).trim().split('\n').slice(-20).join('\n')).join('\n\n')
}
