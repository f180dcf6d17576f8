/** docs/licences.md: what the program is shipped with, as package-lock.json has it, and under which licences. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      name: z.string().optional(),
      version: z.string().optional(),
      license: z.string().optional(),
      dev: z.boolean().optional(),
      dependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
})

export interface ShippedPackage {
  /** Where npm puts it: node_modules/NAME, or below another package's. */
  readonly path: string
  readonly name: string
  readonly version: string
  /** As SPDX writes it. */
  readonly licence: string
  /** Named by package.json itself. */
  readonly direct: boolean
}

/** The packages that are there after `npm ci --omit=dev`, by name. */
export function shippedPackages(root: string): ShippedPackage[] {
  const { packages } = lockSchema.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  const direct = new Set(Object.keys(packages['']?.dependencies ?? {}).map((name) => `node_modules/${name}`))
  const found = Object.entries(packages).flatMap(([path, entry]) => {
    if (path === '' || entry.dev === true) return []
    const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const { version, license } = entry
    if (version === undefined || license === undefined)
      throw new Error(`package-lock.json says no version or no licence of ${path}: look it up, and name it here`)
    return [{ path, name, version, licence: license, direct: direct.has(path) }]
  })
  return found.sort((a, b) => compare(a.name, b.name) || compare(a.version, b.version))
}

/** The same everywhere, whatever the language of the machine. */
const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))

export function licencesPage(root: string, note: string): string {
  const packages = shippedPackages(root)
  const counts = Map.groupBy(packages, ({ licence }) => licence)
  const rows = packages.map(
    ({ name, version, licence, direct }) => `| ${direct ? `**${name}**` : name} | ${version} | ${licence} |`,
  )
  return [
    '# Licences',
    '',
    note,
    '',
    'Gracewatch is under Apache-2.0 ([LICENSE](../LICENSE)). It is shipped with these packages, the bold ones by its own choice, the others because',
    'those need them; the text of each licence lies in the folder of its package in the image (`/app/node_modules`), where the package has one. Beside',
    'them the image has what its base image has: Node.js, which is under the MIT licence, and Debian.',
    '',
    ...[...counts]
      .sort(([a, left], [b, right]) => right.length - left.length || compare(a, b))
      .map(([licence, those]) => `- ${licence}: ${those.length}`),
    '',
    '| package | version | licence |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
