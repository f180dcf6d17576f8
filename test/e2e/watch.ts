import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Micros } from '../../src/core/time.ts'
import { type Api, ApiError, type Raw } from './api.ts'

export interface Line {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: Raw
  /** When this process had the line: the change was made before. */
  readonly arrivedAt: Micros
}

export interface WatchOptions {
  readonly api: Api
  readonly now: () => Micros
  /** List path, as /api/v1/pods. */
  readonly path: string
  readonly fieldSelector?: string
  readonly onLine: (line: Line) => void
}

/**
 * The test's own watch: a list, then every line with its time of arrival, resumed at the last resourceVersion when it is cut.
 * Should the API server no longer have that version, a new list follows, and `holes` tells between which times lines may be
 * missing: what happened then has no truth.
 */
export class Watch {
  readonly #options: WatchOptions
  #version = ''
  #stopped = false
  #response: IncomingMessage | undefined
  #failure: Error | undefined
  readonly #known = new Map<string, Raw>()
  #last: Micros = 0
  readonly holes: { readonly from: Micros; readonly to: Micros }[] = []
  #running: Promise<void> = Promise.resolve()

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /** Lists (the objects count as ADDED) and starts watching. */
  async start(): Promise<void> {
    await this.#list()
    this.#running = this.#run().catch((error: unknown) => {
      this.#failure = new Error(`the test's own watch of ${this.#options.path} has ended: ${String(error)}`)
    })
  }

  async #list(): Promise<void> {
    const { api, now } = this.#options
    const list = await api.get(this.#url({}))
    const arrivedAt = now()
    const gone = new Map(this.#known)
    for (const item of list.items) {
      const known = gone.get(item.metadata.uid)
      gone.delete(item.metadata.uid)
      if (known?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#emit('ADDED', item, arrivedAt)
    }
    for (const object of gone.values()) this.#emit('DELETED', object, arrivedAt)
    this.#version = list.metadata.resourceVersion
    this.#last = arrivedAt
  }

  #emit(type: Line['type'], object: Raw, arrivedAt: Micros): void {
    if (type === 'DELETED') this.#known.delete(object.metadata.uid)
    else this.#known.set(object.metadata.uid, object)
    this.#options.onLine({ type, object, arrivedAt })
  }

  /** Throws where the watch has ended. */
  check(): void {
    if (this.#failure) throw this.#failure
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#response?.destroy()
    await this.#running
  }

  #url(query: Record<string, string>): string {
    const { path, fieldSelector } = this.#options
    const search = new URLSearchParams({ ...query, ...(fieldSelector === undefined ? {} : { fieldSelector }) })
    return `${path}?${search}`
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#response = await this.#options.api.stream(
          this.#url({ watch: 'true', resourceVersion: this.#version, allowWatchBookmarks: 'true' }),
        )
        if (this.#stopped) this.#response.destroy()
        await this.#read(this.#response)
      } catch (error) {
        const expired = error instanceof Expired || (error instanceof ApiError && error.status === 410)
        if (expired) await this.#startAgain()
      }
      // The API server may be away for a while: scenarios restart it.
      if (!this.#stopped) await sleep(200)
    }
  }

  async #startAgain(): Promise<void> {
    const from = this.#last
    try {
      await this.#list()
      this.holes.push({ from, to: this.#last })
    } catch {
      // The API server is away again; the next try finds the version gone as before.
    }
  }

  async #read(response: IncomingMessage): Promise<void> {
    response.setEncoding('utf8')
    let rest = ''
    for await (const chunk of response) {
      const arrivedAt = this.#options.now()
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#take(JSON.parse(line), arrivedAt)
    }
  }

  #take(event: { type: string; object: Raw }, arrivedAt: Micros): void {
    if (event.type === 'ERROR') {
      if (event.object.code === 410) throw new Expired(event.object.message)
      throw new Error(event.object.message)
    }
    this.#version = event.object.metadata.resourceVersion
    this.#last = arrivedAt
    if (event.type === 'ADDED' || event.type === 'MODIFIED' || event.type === 'DELETED') {
      this.#emit(event.type, event.object, arrivedAt)
    }
  }
}

class Expired extends Error {}
