import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { buildImageFile, sha256, sha256OfFile } from '../cluster/image-tar.ts'
import type { Cluster } from '../cluster/index.ts'
import { findStaticBusybox } from '../cluster/machine.ts'
import { readSettings } from '../cluster/settings.ts'

const APPLETS = ['sh', 'sleep']

/** Builds and imports an image that asks for SIGQUIT as its stop signal, as the one of nginx does. Returns its reference. */
export async function importStopSignalImage(cluster: Cluster): Promise<string> {
  const busybox = await findStaticBusybox()
  if (busybox === undefined) throw new Error('there is no statically linked busybox: install the package busybox-static')
  const image = await buildImageFile(
    {
      name: 'quit',
      version: '1',
      inputs: [sha256(readFileSync(import.meta.filename)), await sha256OfFile(busybox)],
      config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'], StopSignal: 'SIGQUIT' },
      fill: async (rootfs) => {
        const bin = join(rootfs, 'bin')
        mkdirSync(bin)
        copyFileSync(busybox, join(bin, 'busybox'))
        chmodSync(join(bin, 'busybox'), 0o755)
        for (const applet of APPLETS) symlinkSync('/bin/busybox', join(bin, applet))
      },
    },
    readSettings().cacheDir,
  )
  await cluster.importImage(image)
  return image.reference
}
