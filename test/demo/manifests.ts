import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseAllDocuments, parse as parseYaml } from 'yaml'
import { z } from 'zod'
import type { KubeObject } from './objects.ts'

const MANIFESTS = resolve(import.meta.dirname, '../../deploy/manifests')
export const AGENT_MANIFESTS = resolve(import.meta.dirname, '../../deploy/agent')

const kustomizationSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal('Kustomization'),
  // Anything else would change the objects in a way that is not known here.
  resources: z.array(z.string()),
})
const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
})

/** The objects of the project's manifests, in the order of the kustomization. */
export function readManifests(folder = MANIFESTS): KubeObject[] {
  const { resources } = kustomizationSchema.parse(parseYaml(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')))
  return resources.flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return readManifests(path)
    return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
      const { metadata, ...rest } = objectSchema.parse(document.toJS())
      const { namespace, ...others } = metadata
      return { ...rest, metadata: { ...others, ...(namespace === undefined ? {} : { namespace }) } }
    })
  })
}

const workloadSchema = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        containers: z.array(z.looseObject({ env: z.array(z.looseObject({})) })),
      }),
    }),
  }),
})

/** The manifests' Deployment or DaemonSet with another image, and told to look at one namespace only. */
export function limitedTo(
  namespace: string,
  image: string,
  workload: KubeObject,
  variables: Readonly<Record<string, string>> = {},
): KubeObject {
  const { spec } = workloadSchema.parse(workload)
  const more = Object.entries({ GRACEWATCH_NAMESPACES: namespace, ...variables }).map(([name, value]) => ({ name, value }))
  const containers = spec.template.spec.containers.map((container) => ({
    ...container,
    image,
    env: [...container.env, ...more],
  }))
  return { ...workload, spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, containers } } } }
}
