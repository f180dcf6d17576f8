import { KubeError } from '../../src/kube/errors.ts'
import { type KubeObject, nameOf, type Objects, until } from './objects.ts'
import type { Undo } from './undo.ts'

export const CRD_NAME = 'podterminations.gracewatch.dev'

/** Makes what is not there and leaves what is there as it is. */
export async function applyMissing(
  objects: Objects,
  manifests: readonly KubeObject[],
  undo: Undo,
  note: (text: string) => void = () => undefined,
): Promise<void> {
  for (const object of manifests) {
    if (await objects.exists(object)) continue
    note(nameOf(object))
    const path = await objects.pathOf(object)
    undo.add(`removing ${nameOf(object)}`, async () => {
      // Foreground: a workload's pods first, which may have something to write with rights that go with the rest.
      await objects.delete(path, { propagationPolicy: 'Foreground' })
      await objects.gone(path)
    })
    try {
      await objects.apply(object)
    } catch (error) {
      if (error instanceof KubeError && error.code === 'Forbidden') {
        throw new Error(`its user may not install Gracewatch (${nameOf(object)}): use one with cluster-admin`)
      }
      throw error
    }
    if (object.kind === 'CustomResourceDefinition') await awaitEstablished(objects)
  }
}

export async function awaitEstablished(objects: Objects, signal?: AbortSignal): Promise<void> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${CRD_NAME}`
  interface Definition {
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
  }
  await until(
    async () => {
      const definition = await objects.read<Definition>(path)
      return definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') || undefined
    },
    { what: `${CRD_NAME} to be served`, withinMs: 30_000, ...(signal === undefined ? {} : { signal }) },
  )
}
