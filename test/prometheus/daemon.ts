/** A server of the Prometheus project on loopback, with a folder of its own that goes with it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../apiserver/recorder/controller.ts'
import { prometheusBinary } from './promtool.ts'

const READY_MS = 90_000

export class Daemon {
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

  /**
   * @param config its configuration file as an object
   * @param args flags beside those that both have, by the folder for its data
   */
  static async start(
    name: 'prometheus' | 'alertmanager',
    config: object,
    args: (data: string) => readonly string[],
  ): Promise<Daemon> {
    const folder = mkdtempSync(join(tmpdir(), `gracewatch-${name}-`))
    const file = join(folder, 'config.yml')
    writeFileSync(file, stringify(config))
    const address = `127.0.0.1:${await freePort()}`
    const flags = [`--config.file=${file}`, `--web.listen-address=${address}`, '--log.level=warn', ...args(join(folder, 'data'))]
    const child = spawn(await prometheusBinary(name), flags, { stdio: ['ignore', 'ignore', 'pipe'] })
    const daemon = new Daemon(child, `http://${address}`, folder)
    const until = performance.now() + READY_MS
    while ((await fetch(`${daemon.url}/-/ready`).catch(() => undefined))?.ok !== true) {
      if (performance.now() > until || child.exitCode !== null) {
        await daemon.stop()
        throw new Error(`${name} is not ready\n${daemon.#said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return daemon
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once('close', resolve))
      this.#child.kill('SIGTERM')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
