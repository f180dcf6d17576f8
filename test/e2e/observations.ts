import type { Micros } from '../../src/core/time.ts'
import type { Api, Raw } from './api.ts'
import { type Line, Watch } from './watch.ts'

const RECORDS_PATH = '/apis/gracewatch.dev/v1alpha1/podterminations'

interface Waiter {
  readonly check: () => boolean
  readonly done: () => void
}

/** What the test's own watches have seen, by what it is asked for. Every promise here is settled by a line, never by polling. */
export class Observations {
  readonly pods = new Map<string, Line[]>()
  /** By namespace. */
  readonly slices = new Map<string, Line[]>()
  /** By the UID of the pod that they are about. */
  readonly events = new Map<string, Line[]>()
  /** By the UID of the pod that they record. */
  readonly records = new Map<string, Line[]>()
  readonly #now: () => Micros
  readonly #api: Api
  readonly #watches: Watch[] = []
  readonly #waiters = new Set<Waiter>()
  #onPod: (line: Line) => void

  constructor(api: Api, now: () => Micros, onPod: (line: Line) => void) {
    this.#api = api
    this.#now = now
    this.#onPod = onPod
  }

  async start(): Promise<void> {
    await this.#watch('/api/v1/pods', (line) => {
      file(this.pods, line.object.metadata.uid, line)
      this.#onPod(line)
    })
    await this.#watch('/apis/discovery.k8s.io/v1/endpointslices', (line) =>
      file(this.slices, line.object.metadata.namespace, line),
    )
    await this.#watch(
      '/api/v1/events',
      (line) => file(this.events, line.object.involvedObject.uid, line),
      'involvedObject.kind=Pod',
    )
  }

  /** To be called once the custom resource is there. */
  async watchRecords(): Promise<void> {
    await this.#watch(RECORDS_PATH, (line) => file(this.records, line.object.pod?.uid ?? '', line))
  }

  check(): void {
    for (const watch of this.#watches) watch.check()
  }

  /** True where lines that arrived between these times may be missing. */
  holeBetween(from: Micros, to: Micros): boolean {
    return this.#watches.some(({ holes }) => holes.some((hole) => hole.from < to && hole.to > from))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.stop()))
  }

  podsIn(namespace: string): Line[] {
    const found: Line[] = []
    for (const lines of this.pods.values()) {
      const last = lines.at(-1)
      if (last?.object.metadata.namespace === namespace) found.push(last)
    }
    return found
  }

  /** The newest pod of this name in the namespace. */
  podNamed(namespace: string, name: string): Raw | undefined {
    return this.podsIn(namespace)
      .filter(({ object }) => object.metadata.name === name)
      .at(-1)?.object
  }

  /** Resolves as soon as `find` gives something, asked at every line that arrives. */
  waitFor<T>(find: () => T | undefined | false, seconds: number, what: string): Promise<T> {
    return new Promise((done, fail) => {
      let found: T | undefined | false = find()
      if (found !== undefined && found !== false) {
        done(found)
        return
      }
      const waiter: Waiter = {
        check: () => {
          found = find()
          return found !== undefined && found !== false
        },
        done: () => {
          clearTimeout(timer)
          done(found as T) // check() has just said that it is one
        },
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        try {
          this.check()
          fail(new Error(`waited ${seconds} s in vain: ${what}`))
        } catch (error) {
          fail(error)
        }
      }, seconds * 1_000)
      this.#waiters.add(waiter)
    })
  }

  /** Resolves once nothing has been said about this pod's record for so long. */
  async quiet(uid: string, seconds: number): Promise<void> {
    for (;;) {
      const last = this.records.get(uid)?.at(-1)?.arrivedAt ?? 0
      const left = last + seconds * 1_000_000 - this.#now()
      if (left <= 0) return
      await new Promise((done) => setTimeout(done, left / 1_000))
    }
  }

  async #watch(path: string, take: (line: Line) => void, fieldSelector?: string): Promise<void> {
    const watch = new Watch({
      api: this.#api,
      now: this.#now,
      path,
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      onLine: (line) => {
        take(line)
        for (const waiter of [...this.#waiters]) {
          if (!waiter.check()) continue
          this.#waiters.delete(waiter)
          waiter.done()
        }
      },
    })
    this.#watches.push(watch)
    await watch.start()
  }
}

function file(map: Map<string, Line[]>, key: string, line: Line): void {
  const lines = map.get(key)
  if (lines) lines.push(line)
  else map.set(key, [line])
}
