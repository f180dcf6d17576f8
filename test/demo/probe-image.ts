import { podSpec } from './experiments.ts'
import { type KubeObject, type Objects, until } from './objects.ts'

export interface ImageProbe {
  /** It was built from the project's Dockerfile. */
  readonly isGracewatch: boolean
}

interface Pod {
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string }
        readonly terminated?: { readonly exitCode: number; readonly message?: string }
      }
    }[]
  }
}

const PULL_WITHIN_MS = 300_000
const NODE_AT_LEAST = 20
const POD_NAME = 'probe'
/** Why a container will not start however long one waits. */
const HOPELESS = [
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]
const PULL_FAILED = ['ErrImagePull', 'ImagePullBackOff']

/** Runs the image once, so that what is wrong with it is said before the first experiment. It may have to be pulled. */
export async function probeImage(
  objects: Objects,
  namespace: string,
  image: string,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<ImageProbe> {
  const says = `JSON.stringify({node: process.versions.node, isGracewatch: require('fs').existsSync('/app/dist/main.js')})`
  const spec = podSpec(image, { command: ['sh', '-c', `node -p "${says}" > /dev/termination-log`] }, 1)
  const pod: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: POD_NAME, namespace },
    spec: { ...spec, restartPolicy: 'Never' },
  }
  await objects.apply(pod)
  const path = await objects.pathOf(pod)
  let failedPulls = 0
  let last = 'it was not scheduled'
  const terminated = await until(
    async () => {
      const found = await objects.read<Pod>(path)
      const { status } = found
      const state = status?.containerStatuses?.[0]?.state
      const reason = state?.waiting?.reason
      last = [reason, state?.waiting?.message].filter(Boolean).join(': ') || unscheduled(found) || last
      note(reason ?? status?.phase ?? '')
      if (reason !== undefined && HOPELESS.includes(reason)) throw new Error(imageProblem(image, last))
      // A registry can fail once; the second time is not luck any more.
      if (reason !== undefined && PULL_FAILED.includes(reason) && ++failedPulls > 20) throw new Error(imageProblem(image, last))
      return state?.terminated
    },
    { what: `a pod of image ${image} to run`, withinMs: PULL_WITHIN_MS, signal, seen: () => last },
  )
  await objects.delete(path)
  const { exitCode, message = '' } = terminated
  if (exitCode !== 0) throw new Error(imageProblem(image, `it has no Node or no /bin/sh (exit code ${exitCode})`))
  const { node, isGracewatch } = JSON.parse(message) as { node: string; isGracewatch: boolean } // our own words, from above
  if (Number.parseInt(node, 10) < NODE_AT_LEAST) throw new Error(imageProblem(image, `its Node is ${node}, too old`))
  return { isGracewatch }
}

const unscheduled = ({ status }: Pod) =>
  status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False')?.message

const imageProblem = (image: string, what: string) =>
  `the image ${image} cannot be used: ${what}. Name one that this cluster has or can pull with --image (kind load docker-image puts one into kind)`
