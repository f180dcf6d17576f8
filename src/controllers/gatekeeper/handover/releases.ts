/** The annotation by which a person lets a held rollout go on: its workload is watched while it is held, and no longer. */
import type { Workload } from '../../../core/evidence.ts'
import { RELEASE } from '../../../core/gates/handover.ts'
import type { RecorderClock } from '../../../kube/clock.ts'
import { asObject, metadataOf, optionalObject, optionalString } from '../../../kube/decode/fields.ts'
import { KubeError } from '../../../kube/errors.ts'
import type { KubeHttp } from '../../../kube/http.ts'
import type { Log } from '../../../kube/log.ts'
import { Reflector } from '../../../kube/reflector.ts'
import type { Identified } from '../../../kube/reflector-types.ts'

interface Annotated extends Identified {
  readonly release?: string
}

export class Releases {
  readonly #options: { readonly http: KubeHttp; readonly clock: RecorderClock; readonly log: Log }
  readonly #onChange: (workloadUid: string) => void
  readonly #watches = new Map<string, Reflector<Annotated>>()
  /** Workloads of a kind that the controller may not read: they cannot be released by the annotation, but in every other way. */
  readonly #unreadable = new Set<string>()
  readonly #stopping = new Set<Promise<void>>()

  constructor(
    options: { readonly http: KubeHttp; readonly clock: RecorderClock; readonly log: Log },
    onChange: (workloadUid: string) => void,
  ) {
    this.#options = options
    this.#onChange = onChange
  }

  /** Begins to watch. @returns undefined until its annotation is known */
  of(namespace: string, workload: Workload & { readonly uid: string }): { readonly value: string | undefined } | undefined {
    const watch = this.#watches.get(workload.uid) ?? this.#watch(namespace, workload)
    if (watch.synced) return { value: watch.get(workload.uid)?.release }
    return this.#unreadable.has(workload.uid) ? { value: undefined } : undefined
  }

  end(workloadUid: string): void {
    const watch = this.#watches.get(workloadUid)
    if (watch === undefined) return
    this.#watches.delete(workloadUid)
    this.#unreadable.delete(workloadUid)
    const stopped = watch.stop()
    this.#stopping.add(stopped)
    void stopped.finally(() => this.#stopping.delete(stopped))
  }

  async stop(): Promise<void> {
    for (const uid of [...this.#watches.keys()]) this.end(uid)
    await Promise.all(this.#stopping)
  }

  #watch(
    namespace: string,
    { apiVersion = 'apps/v1', kind, name, uid }: Workload & { readonly uid: string },
  ): Reflector<Annotated> {
    const tell = () => this.#onChange(uid)
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    const watch = new Reflector<Annotated>({
      ...this.#options,
      path: `${root}/namespaces/${namespace}/${kind.toLowerCase()}s`,
      fieldSelector: `metadata.name=${name}`,
      decode,
      onChange: tell,
      onSynced: tell,
      onError: (error) => {
        if (!(error instanceof KubeError) || (error.code !== 'Forbidden' && error.code !== 'NotFound')) return
        if (this.#unreadable.has(uid) || !this.#watches.has(uid)) return
        this.#unreadable.add(uid)
        tell()
      },
    })
    this.#watches.set(uid, watch)
    watch.start()
    return watch
  }
}

function decode(raw: unknown): Annotated {
  const { raw: metadata, ...identity } = metadataOf(asObject(raw, 'object'))
  const annotations = optionalObject(metadata, 'annotations', 'metadata')
  const release = annotations === undefined ? undefined : optionalString(annotations, RELEASE, 'metadata.annotations')
  return { ...identity, ...(release === undefined ? {} : { release }) }
}
