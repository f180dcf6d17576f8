import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterError } from './errors.ts'
import type { Layout } from './layout.ts'
import { findCommand } from './machine.ts'
import { type PartSpec, specHash } from './parts.ts'
import { kill, signal, startDetached, stateOf, stop } from './processes.ts'
import { partEnvironment } from './settings.ts'
import { type ClusterState, type PartName, partCondition, writeState } from './state.ts'

const START_TIMEOUT_MS = 120_000
/** A part that answers nothing although it runs gets this long before it is taken for broken and restarted. */
const HANG_TIMEOUT_MS = 10_000
const POLL_MS = 100
const LOG_TAIL_LINES = 25

/** Starts, stops and heals single parts, and keeps their record. */
export class Supervisor {
  readonly #layout: Layout
  readonly #state: ClusterState
  readonly #specs: ReadonlyMap<PartName, PartSpec>
  /** Parts that this supervisor has seen doing their work: if one of them ends, whatever waits for it waits in vain. */
  readonly #seenHealthy = new Set<PartName>()

  constructor(layout: Layout, state: ClusterState, specs: readonly PartSpec[]) {
    this.#layout = layout
    this.#state = state
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]))
  }

  get names(): PartName[] {
    return [...this.#specs.keys()]
  }

  /**
   * Starts the part unless it runs, and returns once it does its work. With arguments beside its own it is not as configured: healing
   * restarts it without them.
   */
  async start(name: PartName, more: readonly string[] = []): Promise<void> {
    if (!this.#isRunning(name)) await this.#launch(name, more)
    await this.#untilHealthy(name, START_TIMEOUT_MS)
  }

  /**
   * Makes the part run, healthy and as it should be configured, whatever happened to it; returns what had to be done.
   * A paused part is continued; one that hangs or was started otherwise is restarted.
   */
  async heal(name: PartName): Promise<'running' | 'resumed' | 'started' | 'restarted'> {
    const spec = this.#spec(name)
    const condition = partCondition(this.#state, name)
    if (condition === 'running' || condition === 'paused') {
      const asConfigured = this.#state.parts[name]?.spec === specHash(spec)
      if (condition === 'paused') await this.resume(name)
      if (asConfigured && (await this.#becomesHealthy(name, HANG_TIMEOUT_MS)))
        return condition === 'paused' ? 'resumed' : 'running'
      // At once: the API server's graceful stop takes a minute, and what hangs would not stop by itself.
      await this.stop(name, 'at once')
      await this.start(name)
      return 'restarted'
    }
    await this.start(name)
    return 'started'
  }

  /** Ends the part: gracefully, or at once. It is recorded as taken down on purpose. */
  async stop(name: PartName, how: 'gracefully' | 'at once' = 'gracefully'): Promise<void> {
    const part = this.#state.parts[name]
    if (!part) return
    this.#record(name, { ...part, stopped: true })
    if (!this.#isRunning(name)) return
    if (how === 'gracefully') await stop(part, this.#spec(name).stopGraceMs)
    else await kill(part)
  }

  async restart(name: PartName): Promise<void> {
    await this.stop(name)
    await this.start(name)
  }

  /** SIGSTOP: the part keeps its connections and ports, and answers nothing. */
  async pause(name: PartName): Promise<void> {
    await this.#signalUntil(name, 'SIGSTOP', 'paused')
  }

  async resume(name: PartName): Promise<void> {
    await this.#signalUntil(name, 'SIGCONT', 'running')
  }

  /** Whether the part runs as it should be configured and does its work. */
  async isWhole(name: PartName): Promise<boolean> {
    const spec = this.#spec(name)
    const part = this.#state.parts[name]
    return this.conditionOf(name) === 'running' && part?.spec === specHash(spec) && (await spec.healthy())
  }

  conditionOf(name: PartName): ReturnType<typeof partCondition> {
    return partCondition(this.#state, name)
  }

  logFile(name: PartName): string {
    return logFileOf(this.#layout, name)
  }

  commandLine(name: PartName): { readonly command: string; readonly args: readonly string[] } {
    const { command, args } = this.#spec(name)
    return { command: findCommand(command) ?? command, args }
  }

  /** Throws, naming the part and showing the end of its log, if one that was healthy has ended and was not taken down. */
  assertAlive(): void {
    for (const name of this.#seenHealthy) {
      if (partCondition(this.#state, name) === 'died') throw new ClusterError(this.#describeDeath(name))
    }
  }

  /** The same for every part of the cluster. */
  assertAllAlive(): void {
    for (const name of this.names) this.#seenHealthy.add(name)
    this.assertAlive()
  }

  #describeDeath(name: PartName): string {
    const file = this.logFile(name)
    return `${name} has died; the end of its log (${file}):\n${logTail(file)}`
  }

  #isRunning(name: PartName): boolean {
    return ['running', 'paused'].includes(partCondition(this.#state, name))
  }

  #spec(name: PartName): PartSpec {
    const spec = this.#specs.get(name)
    if (spec) return spec
    throw new ClusterError(`a cluster of shape ${this.#state.shape} has no ${name}: its parts are ${this.names.join(', ')}`)
  }

  async #launch(name: PartName, more: readonly string[]): Promise<void> {
    const own = this.#spec(name)
    const spec = { ...own, args: [...own.args, ...more] }
    for (const [path, text] of Object.entries(spec.files)) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    mkdirSync(this.#layout.logs, { recursive: true })
    const command = findCommand(spec.command) ?? spec.command
    const options = { command, args: spec.args, env: partEnvironment(), cwd: this.#layout.root, logFile: this.logFile(name) }
    const { pid, startTicks } = await startDetached(options)
    this.#record(name, { pid, startTicks, spec: specHash(spec), startedAt: new Date().toISOString(), stopped: false })
  }

  async #untilHealthy(name: PartName, timeoutMs: number): Promise<void> {
    if (await this.#becomesHealthy(name, timeoutMs)) return
    const file = this.logFile(name)
    throw new ClusterError(
      `${name} does not get ready within ${timeoutMs / 1_000} s; the end of its log (${file}):\n${logTail(file)}`,
    )
  }

  async #becomesHealthy(name: PartName, timeoutMs: number): Promise<boolean> {
    const spec = this.#spec(name)
    const deadline = performance.now() + timeoutMs
    for (;;) {
      if (this.conditionOf(name) === 'died') throw new ClusterError(this.#describeDeath(name))
      // It may be waiting for another that has ended.
      this.assertAlive()
      if (await spec.healthy()) {
        this.#seenHealthy.add(name)
        return true
      }
      if (performance.now() > deadline) return false
      await sleep(POLL_MS)
    }
  }

  async #signalUntil(name: PartName, what: NodeJS.Signals, wanted: 'running' | 'paused'): Promise<void> {
    const part = this.#state.parts[name]
    if (!part || !signal(part, what))
      throw new ClusterError(`${name} does not run, so that it cannot be sent ${what}: start it first`)
    const deadline = performance.now() + 5_000
    while (stateOf(part) !== wanted) {
      if (performance.now() > deadline) throw new ClusterError(`${name} is not ${wanted} 5 s after ${what}`)
      await sleep(10)
    }
  }

  #record(name: PartName, part: NonNullable<ClusterState['parts'][PartName]>): void {
    this.#state.parts[name] = part
    writeState(this.#layout.stateFile, this.#state)
  }
}

export function logFileOf(layout: Layout, name: PartName): string {
  return join(layout.logs, `${name}.log`)
}

/** The last lines of a log, each cut to what a terminal can show. */
export function logTail(file: string, lines: number = LOG_TAIL_LINES): string {
  if (!existsSync(file)) return '(there is no log)'
  const all = readFileSync(file, 'utf8').trimEnd().split('\n')
  return all
    .slice(-lines)
    .map((line) => (line.length > 400 ? `${line.slice(0, 400)}…` : line))
    .join('\n')
}
