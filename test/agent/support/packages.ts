import { findCommand } from '../../cluster/machine.ts'
import { run, tryRun } from '../../cluster/run.ts'

/** Debian's package of that name, where the machine has no such command. */
export async function ensureCommand(command: string, debianPackage = command): Promise<void> {
  if (findCommand(command) !== undefined) return
  const install = ['install', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', debianPackage]
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  if ((await tryRun('apt-get', install, { env })).code === 0) return
  await run('apt-get', ['update'], { env })
  await run('apt-get', install, { env })
}
