/** A reflector of something that the controller may not be allowed to read, or that may not be there. */
import type { RecorderClock } from '../../../kube/clock.ts'
import { KubeError } from '../../../kube/errors.ts'
import type { KubeHttp } from '../../../kube/http.ts'
import type { Log } from '../../../kube/log.ts'
import { Reflector } from '../../../kube/reflector.ts'
import type { Change, Identified, ReflectorTimings } from '../../../kube/reflector-types.ts'

/**
 * Reading: not known yet. Synced: what is known is so. Forbidden, NotFound (there is no such collection), Failing: nothing is known, and
 * it is tried again and again.
 */
export type Access = 'Reading' | 'Synced' | 'Forbidden' | 'NotFound' | 'Failing'

export interface WatchSource {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly timings?: Partial<ReflectorTimings>
}

export interface WatchOptions<T> extends WatchSource {
  readonly path: string
  readonly fieldSelector?: string
  readonly decode: (raw: unknown) => T
  /** Not before it is Synced. */
  readonly onChange: (change: Change<T>) => void
  /** It is another now. On Synced, `values` are the whole of it. */
  readonly onAccess: (access: Access) => void
}

export class Watch<T extends Identified> {
  readonly #options: WatchOptions<T>
  #reflector: Reflector<T>
  #access: Access = 'Reading'
  #detail = ''
  #stopped = false
  readonly #ending = new Set<Promise<void>>()

  constructor(options: WatchOptions<T>) {
    this.#options = options
    this.#reflector = this.#begin()
  }

  get access(): Access {
    return this.#access
  }

  /** What the server said last, where it is Failing. */
  get detail(): string {
    return this.#detail
  }

  /** Empty unless it is Synced. */
  values(): Iterable<T> {
    return this.#access === 'Synced' ? this.#reflector.values() : []
  }

  /** When it resolves, nothing is open. Nothing is told from the call on. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#end(this.#reflector)
    await Promise.all(this.#ending)
  }

  #begin(): Reflector<T> {
    const { http, clock, log, timings = {}, path, fieldSelector, decode, onChange } = this.#options
    const reflector: Reflector<T> = new Reflector<T>({
      http,
      clock,
      log,
      timings,
      path,
      fieldSelector,
      decode,
      onChange: (change) => {
        if (this.#access === 'Synced' && this.#reflector === reflector) onChange(change)
      },
      onSynced: () => this.#now('Synced'),
      onError: (error) => {
        if (this.#reflector === reflector && error instanceof KubeError) this.#failed(error)
      },
    })
    reflector.start()
    return reflector
  }

  #failed({ code, message }: KubeError): void {
    if (code === 'Aborted') return
    const refused = code === 'Forbidden' || code === 'NotFound'
    // What was known outlives a server that is away for a moment, but not a right that was taken.
    if (this.#reflector.synced && !refused) return
    this.#detail = message
    if (this.#reflector.synced) {
      // It would resume where it was, and nobody would hear of what was missed meanwhile.
      this.#end(this.#reflector)
      this.#reflector = this.#begin()
    }
    this.#now(refused ? code : 'Failing')
  }

  #end(reflector: Reflector<T>): void {
    const ending = reflector.stop().finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  #now(access: Access): void {
    if (this.#stopped || this.#access === access) return
    this.#access = access
    this.#options.onAccess(access)
  }
}
