import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { ClusterError, codeOf } from './errors.ts'
import { type ProcessId, stateOf } from './processes.ts'

export const SHAPES = ['node', 'control-plane'] as const
export type Shape = (typeof SHAPES)[number]

/** Every part that a cluster can have, in the order in which they start. */
export const PART_NAMES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'containerd',
  'kubelet',
  'kube-proxy',
] as const
export type PartName = (typeof PART_NAMES)[number]

const partSchema = z.object({
  pid: z.number(),
  startTicks: z.string(),
  /** Hash of the command line and the configuration that the process was started with. */
  spec: z.string(),
  /** RFC 3339. */
  startedAt: z.string(),
  /** Taken down on purpose (by a test), not died. */
  stopped: z.boolean(),
})

const stateSchema = z.object({
  version: z.string(),
  shape: z.enum(SHAPES),
  /** Folder of the binaries that the parts were started from. */
  built: z.string(),
  /** False until everything that `up` does has been done. */
  complete: z.boolean(),
  /** /proc/sys/kernel/random/boot_id: process ids of another boot mean nothing. */
  bootId: z.string(),
  /** RFC 3339. */
  startedAt: z.string(),
  parts: z.partialRecord(z.enum(PART_NAMES), partSchema),
})

export type ClusterState = z.infer<typeof stateSchema>

/** What the machine was like before the cluster, for `down` to restore. A file of its own: it outlives a lost state. */
const beforeSchema = z.object({
  /** Values by path below /proc/sys. */
  sysctls: z.record(z.string(), z.string()),
  /** `ip nat`, as nft lists them. */
  nftTables: z.array(z.string()),
  /** `iptables nat KUBE-MARK-MASQ`, for the chains that the kubelet and CNI plugins would make. */
  chains: z.array(z.string()),
  tracefsMounted: z.boolean(),
})

export type MachineBefore = z.infer<typeof beforeSchema>

/** The state of this machine's cluster, or undefined if there is none. */
export function readState(file: string): ClusterState | undefined {
  return readJson(file, stateSchema)
}

export function writeState(file: string, state: ClusterState): void {
  writeJson(file, state)
}

export function readBefore(file: string): MachineBefore | undefined {
  return readJson(file, beforeSchema)
}

export function writeBefore(file: string, before: MachineBefore): void {
  writeJson(file, before)
}

function readJson<T>(file: string, schema: z.ZodType<T>): T | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  const parsed = schema.safeParse(JSON.parse(text))
  if (parsed.success) return parsed.data
  throw new ClusterError(
    `${file} is not what this version of the harness writes (${z.prettifyError(parsed.error)}): take the cluster down with the tree that brought it up, or delete the file and run down`,
  )
}

/** Written beside and renamed, so that a reader never sees half a file. */
function writeJson(file: string, value: unknown): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const temporary = `${file}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`)
  renameSync(temporary, file)
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** How a recorded part is now. */
export function partCondition(state: ClusterState, name: PartName): 'running' | 'paused' | 'stopped' | 'died' | 'absent' {
  const part = state.parts[name]
  if (!part) return 'absent'
  const process: ProcessId = part
  const now = state.bootId === bootId() ? stateOf(process) : 'gone'
  if (now !== 'gone') return now
  return part.stopped ? 'stopped' : 'died'
}
