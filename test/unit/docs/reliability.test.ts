/** docs/reliability.md has a row for each fault that the chaos tests make, in the order and the words of their list. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { FAULTS } from '../../chaos/faults.ts'
import { SPECIAL } from '../../chaos/special.ts'

it('docs/reliability.md has these rows, and no other', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../../docs/reliability.md'), 'utf8')
  const [, section = ''] = page.split('## What happens when')
  const rows = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| (.+?) \| (.+?) \|$/gm)].slice(1)
  const told = [...FAULTS.filter(({ name }) => name !== 'no fault'), ...SPECIAL]
  expect(rows.map(([, name, happens]) => ({ name, happens }))).toEqual(told.map(({ name, happens }) => ({ name, happens })))
})
