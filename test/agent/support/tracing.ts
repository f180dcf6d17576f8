import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Trace, type TraceOptions } from '../../../src/agent/tracefs.ts'
import type { TraceLine } from '../../../src/core/kernel/parse.ts'

/** A mount of tracefs of this test's own: whoever else mounts and unmounts it on this machine is no matter here. */
export function mountTracefs(): { readonly folder: string; unmount(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-tracing-'))
  execFileSync('/bin/mount', ['-t', 'tracefs', 'tracefs', folder])
  return {
    folder,
    /** Also where a test has failed and left its trace open: that goes with this process. */
    unmount() {
      for (const name of readdirSync(join(folder, 'instances'))) {
        if (!name.startsWith(PREFIX)) continue
        try {
          rmdirSync(join(folder, 'instances', name))
        } catch {
          // Still open.
        }
      }
      execFileSync('/bin/umount', ['--lazy', folder])
      rmdirSync(folder)
    },
  }
}

const PREFIX = `gracewatch-agent-test-${process.pid}`
let count = 0
export const instanceName = () => `${PREFIX}-${++count}`

export const traceOptions = (folder: string, options: Partial<TraceOptions> = {}): TraceOptions => ({
  folder,
  instance: instanceName(),
  bufferKilobytes: 512,
  linesPerSecond: 5000,
  onLines: () => {},
  onFault: (error) => {
    throw error
  },
  ...options,
})

export const instanceOf = ({ folder, instance }: Pick<TraceOptions, 'folder' | 'instance'>) => join(folder, 'instances', instance)
export const exists = (options: Pick<TraceOptions, 'folder' | 'instance'>) => existsSync(instanceOf(options))

/** An open trace, and all that it gave. */
export async function tracing(folder: string, options: Partial<TraceOptions> = {}) {
  const lines: TraceLine[] = []
  const all = traceOptions(folder, {
    ...options,
    onLines: (more) => {
      lines.push(...more)
      options.onLines?.(more)
    },
  })
  const trace = await Trace.open(all)
  trace.start()
  return { trace, lines, options: all, folder: instanceOf(all) }
}
