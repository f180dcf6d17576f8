/**
 * `npm run -s sbom`: the bill of materials of what is shipped, as CycloneDX, on standard output. It is npm's own, from the lock file alone, less
 * what only the development needs: `npm sbom --omit=dev` leaves out what a development dependency names too (seen in npm 11.19: yaml and zod).
 */
import { execFile } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { shippedPackages } from '../../src/api/licences.ts'

const ROOT = resolve(import.meta.dirname, '../..')

const bomSchema = z.looseObject({
  bomFormat: z.literal('CycloneDX'),
  metadata: z.looseObject({ component: z.looseObject({ 'bom-ref': z.string(), name: z.string() }) }),
  components: z.array(z.looseObject({ 'bom-ref': z.string(), name: z.string(), version: z.string() })),
  dependencies: z.array(z.looseObject({ ref: z.string(), dependsOn: z.array(z.string()).optional() })),
})

export async function billOfMaterials(root = ROOT): Promise<z.infer<typeof bomSchema>> {
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--loglevel=error']
  // The Node that this runs under goes first: npm is a program of it.
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`,
  }
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, env, maxBuffer: 64 * 1024 * 1024 })
  const bom = bomSchema.parse(JSON.parse(stdout))
  const shipped = new Set(shippedPackages(root).map(({ name, version }) => `${name}@${version}`))
  const components = bom.components.filter(({ name, version }) => shipped.has(`${name}@${version}`))
  const kept = new Set(components.map((component) => component['bom-ref']))
  // npm names the root after its folder.
  const component = { ...bom.metadata.component, name: 'gracewatch' }
  kept.add(component['bom-ref'])
  const dependencies = bom.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map((entry) => ({ ...entry, dependsOn: (entry.dependsOn ?? []).filter((ref) => kept.has(ref)) }))
  return { ...bom, metadata: { ...bom.metadata, component }, components, dependencies }
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`)
