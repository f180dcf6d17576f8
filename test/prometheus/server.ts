/** A real Prometheus on loopback, for a test file of its own. */
import { Daemon } from './daemon.ts'

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

export interface Target {
  /** Name of its job. */
  readonly scrapePool: string
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
}

export class Prometheus {
  readonly url: string
  readonly #daemon: Daemon

  private constructor(daemon: Daemon) {
    this.#daemon = daemon
    this.url = daemon.url
  }

  /** @param config prometheus.yml as an object */
  static async start(config: object): Promise<Prometheus> {
    return new Prometheus(await Daemon.start('prometheus', config, (data) => [`--storage.tsdb.path=${data}`]))
  }

  /** An instant vector, now. */
  async query(expression: string): Promise<Sample[]> {
    const { result } = await this.#get<{ result: { metric: Sample['metric']; value: [number, string] }[] }>(
      `query?query=${encodeURIComponent(expression)}`,
    )
    return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }))
  }

  async targets(): Promise<Target[]> {
    const { activeTargets } = await this.#get<{ activeTargets: Target[] }>('targets')
    return activeTargets
  }

  stop(): Promise<void> {
    return this.#daemon.stop()
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`)
    // As its HTTP API documents it: https://prometheus.io/docs/prometheus/latest/querying/api/
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string }
    if (status !== 'success') throw new Error(`${path}: ${error}`)
    return data
  }
}
