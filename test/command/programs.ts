/**
 * Before the first test: programs of others that these tests call, one after the other where the machine does not have them yet. Built by the
 * test files themselves, which run side by side, they would each be built twice at once, and outlast what a hook has of time.
 */
import { ensureCommand } from '../agent/support/packages.ts'
import { HELM_MAJORS, helmBinary } from '../chart/helm.ts'
import { terminalProgress } from '../cluster/progress.ts'
import { PROGRAMS, prometheusBinary } from '../prometheus/promtool.ts'

export async function setup(): Promise<void> {
  const progress = terminalProgress(process.stderr)
  for (const major of HELM_MAJORS) await progress.step(`helm ${major}`, () => helmBinary(major))
  for (const name of PROGRAMS) await progress.step(name, () => prometheusBinary(name))
  // Debian's package, for its completion.
  // Where it cannot be had, its own tests fail and no other.
  await ensureCommand('zsh').catch((error: unknown) => progress.say(String(error)))
}
