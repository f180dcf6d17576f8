/** The bill of materials that goes with a release. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { shippedPackages } from '../../src/api/licences.ts'

const root = resolve(import.meta.dirname, '../..')

it('names every package that is shipped, with its hash and licence, and no other', async () => {
  const program = resolve(root, 'test/release/sbom.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [program], { cwd: root, maxBuffer: 64 * 1024 * 1024 })
  const bom = JSON.parse(stdout)
  expect(bom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'gracewatch' } } })
  const named = (bom.components as { name: string; version: string }[]).map(({ name, version }) => `${name}@${version}`)
  const shipped = shippedPackages(root).map(({ name, version }) => `${name}@${version}`)
  expect(named.toSorted()).toEqual([...new Set(shipped)].toSorted())
  for (const component of bom.components) {
    expect(component, component.name).toMatchObject({ hashes: [{ alg: 'SHA-512' }], licenses: [{}] })
    expect(component.purl).toMatch(/^pkg:npm\//)
  }
  const refs = new Set([bom.metadata.component['bom-ref'], ...bom.components.map((it: { 'bom-ref': string }) => it['bom-ref'])])
  const led = bom.dependencies.flatMap(({ ref, dependsOn }: { ref: string; dependsOn: string[] }) => [ref, ...dependsOn])
  expect(new Set(led)).toEqual(refs)
})
