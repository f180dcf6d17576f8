/** What docs/licences.md says, beside what npm has installed. Whether the page is fresh is asked where all generated files are. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { licencesPage, shippedPackages } from '../../../src/api/licences.ts'

const root = resolve(import.meta.dirname, '../../..')
const packages = shippedPackages(root)
/** Licences that ask for no more than their text and a name, which the packages in the image have. */
const FINE = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'PSF-2.0', 'Python-2.0', 'Unlicense']

it('names every package that is shipped, with the licence that the package itself states', () => {
  const installed = packages.filter(({ path }) => existsSync(join(root, path, 'package.json')))
  // Of what is for another system nothing is installed.
  expect(installed.length).toBeGreaterThan(packages.length / 2)
  const stated = installed.map(({ path }) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'))
    return `${name} ${version} ${license}`
  })
  expect(installed.map(({ name, version, licence }) => `${name} ${version} ${licence}`)).toEqual(stated)
})

it('has what package.json depends on, and nothing that only the development needs', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const direct = packages.filter((it) => it.direct).map(({ name }) => name)
  expect(direct).toEqual(Object.keys(dependencies).toSorted())
  const names = new Set(packages.map(({ name }) => name))
  for (const name of ['vitest', 'typescript', '@biomejs/biome']) {
    expect(devDependencies).toHaveProperty([name])
    expect(names.has(name)).toBe(false)
  }
  const page = licencesPage(root, 'note')
  for (const { name, version } of packages)
    expect(page).toMatch(new RegExp(`^\\| (\\*\\*)?${name}(\\*\\*)? \\| ${version} \\|`, 'm'))
})

it('is of licences that go with Apache-2.0', () => {
  expect(packages.filter(({ licence }) => !FINE.includes(licence))).toEqual([])
})
