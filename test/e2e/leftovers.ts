/** What a test process that was killed could not remove any more: everything that outlives a process bears its id. */
import { execFile } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Api, Raw } from './api.ts'

export const FOLDER_PREFIX = 'gracewatch-e2e-'
/** Label of the namespaces of the scenarios: the process that made them. */
const OWNER_LABEL = 'gracewatch-e2e'
export const NFT_TABLE = 'gracewatch_e2e'

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export async function removeLeftovers(api: Api): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(FOLDER_PREFIX) ? Number(name.slice(FOLDER_PREFIX.length).split('-')[0]) : Number.NaN
    if (Number.isInteger(pid) && !lives(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  const { items } = await api.get(`/api/v1/namespaces?labelSelector=${OWNER_LABEL}`)
  for (const { metadata } of items.filter((item: Raw) => !lives(Number(item.metadata.labels[OWNER_LABEL])))) {
    await api.delete(`/api/v1/namespaces/${metadata.name}`)
  }
  // Only one test at a time has the cluster, so a table that is there is nobody's.
  await promisify(execFile)('nft', ['delete', 'table', 'inet', NFT_TABLE]).catch(() => undefined)
}

/**
 * The controller manager's watches come back from a restart of the API server after a back-off that doubles from 0.8 s to 30 s, each up to
 * twice as long (client-go, NewReflectorWithOptions); until then it sees no namespace.
 */
const SERVICE_ACCOUNT_WITHIN = 60_000

/** A namespace in which pods can be made: they are refused until it has its default service account. */
export async function createNamespace(api: Api, name: string, onCreated: () => void): Promise<void> {
  const labels = { [OWNER_LABEL]: String(process.pid) }
  await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  onCreated()
  const late = performance.now() + SERVICE_ACCOUNT_WITHIN
  while (performance.now() < late) {
    if (await api.find(`/api/v1/namespaces/${name}/serviceaccounts/default`)) return
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`namespace ${name} got no default service account in 60 s: is kube-controller-manager running?`)
}
