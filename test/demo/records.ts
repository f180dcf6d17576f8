import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { stringify } from 'yaml'
import { API_VERSION, type PodTermination, podTerminationSchema } from '../../src/api/pod-termination.ts'
import { report } from '../../src/page/report.ts'
import { type KubeObject, until } from './objects.ts'
import type { Target } from './target.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const OUT = join(ROOT, 'out/demo')

const LATE_MS = 5_000

export interface Recorded {
  readonly record: PodTermination
  /** As the API server has it. */
  readonly object: KubeObject
}

/** Waits for the Complete record of the pod. */
export async function awaitRecord(
  { objects, namespace, agent }: Target,
  pod: { readonly name: string; readonly uid: string },
  withinMs: number,
  signal: AbortSignal,
): Promise<Recorded> {
  const path = `/apis/${API_VERSION}/namespaces/${namespace}/podterminations`
  let seen = 'there is no record of it'
  let completeAt: number | undefined
  return until(
    async () => {
      const { items } = await objects.read<{ items: KubeObject[] }>(path, { fieldSelector: `pod.uid=${pod.uid}` })
      const [object] = items
      if (object === undefined) return undefined
      const record = podTerminationSchema.parse(object)
      seen = `its record is ${record.state ?? 'begun'}`
      if (record.state !== 'Complete') return undefined
      completeAt ??= performance.now()
      // What an agent says late is folded in; then it is not waited for any longer.
      const settled = !agent || record.kernel?.complete === true || performance.now() - completeAt > LATE_MS
      return settled ? { record, object: { ...object, apiVersion: API_VERSION, kind: 'PodTermination' } } : undefined
    },
    { what: `the record of pod ${pod.name}`, withinMs, signal, seen: () => seen },
  )
}

/** Writes it without what only the API server's own bookkeeping needs. Returns the path from the project's root. */
export function writeRecord(name: string, { apiVersion, kind, metadata, ...rest }: KubeObject): string {
  const { managedFields: _, ...kept } = metadata
  mkdirSync(OUT, { recursive: true })
  writeFileSync(join(OUT, `${name}.yaml`), stringify({ apiVersion, kind, metadata: kept, ...rest }))
  return `out/demo/${name}.yaml`
}

/** Writes one page with a drawing of each record. Returns the path from the project's root. */
export function writeReport(records: readonly PodTermination[], folder = OUT): string {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'report.html')
  writeFileSync(
    path,
    report(records, {
      title: 'Six ways in which pods end',
      intro: ['As npm run demo has just seen them on a real cluster; each is also beside this file, as YAML.'],
      timeZone: timeZone === 'Etc/UTC' ? 'UTC' : timeZone,
    }),
  )
  return relative(ROOT, path)
}
