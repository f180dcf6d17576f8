import { readFileSync } from 'node:fs'

/** Of this program, as its package.json has it. */
export function productVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string } // our own file
  return version
}
