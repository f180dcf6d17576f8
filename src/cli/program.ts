/** How a person called this program: as gracewatch, or as the plugin kubectl gracewatch. */

import { basename } from 'node:path'

/** kubectl starts its plugin under this name. Out of the repository launch.js hands it down as the name of the process. */
const PLUGIN = [process.argv0, basename(process.argv[1] ?? '')].some((name) => name.startsWith('kubectl-gracewatch'))

/** A text with commands in it, such as "gracewatch list shows…", as this reader has to type them. */
export const asCalled = (text: string): string =>
  PLUGIN ? text.replace(/(?<!kubectl )\bgracewatch (?=[a-z]+\b|COMMAND\b|--)/g, 'kubectl gracewatch ') : text
