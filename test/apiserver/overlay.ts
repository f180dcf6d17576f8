/** Manifests of the project on a real API server, under other names and in the test's own namespace, with no controller running. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { established, root, useApiServer } from './connect.ts'

const CRDS = ['podterminations.gracewatch.dev', 'podreadinessgates.gracewatch.dev', 'podcleanups.gracewatch.dev']
/** kubectl would take `pods/status` for a pod of that name; a name is written behind the resource in full, as leases.coordination.k8s.io/x. */
const SUBRESOURCE = /^(.+)\/(status|eviction|exec|log|ephemeralcontainers|finalizers)$/

/** To be called at the top of a test file; what it gives is there from beforeAll on. */
export function useOverlay(folder: string, slug: string, components: readonly string[] = []) {
  const bed = useApiServer(slug)
  const overlay = mkdtempSync(join(tmpdir(), `gracewatch-${slug}-`))
  const prefix = `gw${bed.suffix}-`
  const broughtCrds: string[] = []
  let stderr = ''
  beforeAll(async () => {
    // A right is asked for by the resource's name, which the API server has to know.
    for (const crd of CRDS) {
      if ((await bed.cluster.tryKubectl(['get', 'crd', crd])).code === 0) continue
      broughtCrds.push(crd)
      await bed.kubectl('apply', '--server-side', '-f', join(root, 'crds', `${crd}.yaml`))
      await established(bed, crd)
    }
    const remove = { $patch: 'delete', apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }
    const kustomization = {
      resources: [relative(overlay, join(root, folder))],
      components: components.map((component) => relative(overlay, join(root, component))),
      namespace: bed.namespace,
      namePrefix: prefix,
      replicas: [{ name: 'gracewatch-controller', count: 0 }],
      // What is installed on a shared cluster stays as it is.
      patches: CRDS.map((name) => ({ patch: JSON.stringify({ ...remove, metadata: { name } }) })),
    }
    writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(kustomization))
    const result = await bed.cluster.tryKubectl(['apply', '--server-side', '--validate=strict', '-k', overlay])
    expect(result.code, result.stderr).toBe(0)
    stderr = result.stderr
  })
  afterAll(async () => {
    await bed.cluster.tryKubectl(['delete', '-k', overlay, '--wait=false', '--ignore-not-found'])
    for (const crd of broughtCrds) await bed.cluster.tryKubectl(['delete', 'crd', crd, '--ignore-not-found'])
    rmSync(overlay, { recursive: true })
  })
  return {
    bed,
    prefix,
    /** What kubectl had to say against them. */
    get warnings(): string {
      return stderr
    },
    /** @param what `pods`, `pods/status`, `leases.coordination.k8s.io/NAME` */
    async can(who: string, verb: string, what: string, namespace = bed.namespace): Promise<boolean> {
      const [, resource = what, subresource] = SUBRESOURCE.exec(what) ?? []
      const sub = subresource === undefined ? [] : [`--subresource=${subresource}`]
      const { stdout } = await bed.cluster.tryKubectl(['auth', 'can-i', verb, resource, ...sub, `--as=${who}`, '-n', namespace])
      return stdout.trim() === 'yes'
    },
    /** As `can` names them. */
    controller: () => `system:serviceaccount:${bed.namespace}:${prefix}gracewatch-controller`,
  }
}
