import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterError } from './errors.ts'
import type { ImageFile } from './image-tar.ts'
import { run } from './run.ts'

/** The namespace in which containerd keeps what belongs to Kubernetes. */
const NAMESPACE = 'k8s.io'
/** containerd's CRI plugin puts it on an image once the kubelet can see it. */
const SEEN_BY_KUBELET = 'io.cri-containerd.image=managed'

/** Runs ctr against a containerd, in Kubernetes' namespace. */
export function ctr(socket: string, args: readonly string[]): Promise<string> {
  return run('ctr', ['--address', socket, '--namespace', NAMESPACE, ...args])
}

/** References of all images that the kubelet can use, as `localhost/gracewatch-test/busybox:1.35.0-0a1b2c3d`. */
export async function listImages(socket: string): Promise<string[]> {
  const lines = (await ctr(socket, ['images', 'list'])).split('\n').slice(1)
  return lines
    .filter((line) => line.includes(SEEN_BY_KUBELET))
    .flatMap((line) => line.split(/\s+/)[0] ?? [])
    .filter((reference) => reference.includes('/'))
}

/** Imports an image file and returns once the kubelet can use it. */
export async function importImageFile(socket: string, image: ImageFile): Promise<void> {
  if ((await listImages(socket)).includes(image.reference)) return
  await ctr(socket, ['images', 'import', image.tarPath])
  const deadline = performance.now() + 20_000
  while (!(await listImages(socket)).includes(image.reference)) {
    if (performance.now() > deadline)
      throw new ClusterError(`${image.tarPath} was imported, but containerd has no image ${image.reference}`)
    await sleep(100)
  }
}
