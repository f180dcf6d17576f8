/** A real Prometheus on loopback, for a test file of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../apiserver/recorder/controller.ts'
import { prometheusBinary } from './promtool.ts'

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

export interface Target {
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
}

const READY_MS = 30_000

export class Prometheus {
  readonly url: string
  readonly #child: ChildProcess
  readonly #folder: string
  #said = ''

  private constructor(child: ChildProcess, url: string, folder: string) {
    this.#child = child
    this.url = url
    this.#folder = folder
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = `${this.#said}${text}`.slice(-10_000)
    })
  }

  /** @param config prometheus.yml as an object */
  static async start(config: object): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-prometheus-'))
    writeFileSync(join(folder, 'prometheus.yml'), stringify(config))
    const address = `127.0.0.1:${await freePort()}`
    const child = spawn(
      await prometheusBinary('prometheus'),
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=${address}`,
        '--log.level=warn',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const prometheus = new Prometheus(child, `http://${address}`, folder)
    const until = performance.now() + READY_MS
    while ((await fetch(`${prometheus.url}/-/ready`).catch(() => undefined))?.ok !== true) {
      if (performance.now() > until || child.exitCode !== null) {
        await prometheus.stop()
        throw new Error(`Prometheus is not ready\n${prometheus.#said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return prometheus
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

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once('close', resolve))
      this.#child.kill('SIGTERM')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`)
    // As its HTTP API documents it: https://prometheus.io/docs/prometheus/latest/querying/api/
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string }
    if (status !== 'success') throw new Error(`${path}: ${error}`)
    return data
  }
}
