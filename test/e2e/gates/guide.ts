import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parse } from 'yaml'
import { run } from '../../cluster/run.ts'
import { helperEnvironment, SEARCH_PATH } from '../../cluster/settings.ts'
import type { Raw } from '../api.ts'
import type { Bed, Stage } from './bed.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
/** The image that the examples run, which no registry has to give: it is the busybox of the tests under this name. */
const IMAGE = 'docker.io/library/busybox:1.37'

/** Of the one who does what the page says. */
export interface Surroundings {
  /** Folders that are first on the PATH, after that of kubectl. */
  readonly path?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** What goes on until Ctrl-C. */
export interface Running {
  /** The first line that it prints. */
  readonly firstLine: Promise<string>
  /** As Ctrl-C does; resolves with the exit code, which is null where a signal ended it. */
  stop(): Promise<number | null>
}

/** What a page tells people to do, done as it is written there: its manifests and its commands are used verbatim. */
export class Guide {
  readonly #bed: Bed
  readonly #page: string
  readonly #text: string
  readonly #surroundings: Surroundings
  #kubeconfigs = 0

  private constructor(bed: Bed, page: string, surroundings: Surroundings) {
    this.#bed = bed
    this.#page = page
    this.#text = readFileSync(join(ROOT, page), 'utf8')
    this.#surroundings = surroundings
  }

  /** @param page `docs/gates.md` */
  static async open(bed: Bed, page: string, surroundings: Surroundings = {}): Promise<Guide> {
    const there = await bed.cluster.images()
    if (!there.includes(IMAGE)) await bed.cluster.ctr(['images', 'tag', bed.busybox, IMAGE])
    return new Guide(bed, page, surroundings)
  }

  async close(): Promise<void> {
    await this.#bed.cluster.ctr(['images', 'remove', IMAGE])
  }

  /** Applies the manifests of an example. */
  async apply(stage: Stage, example: string): Promise<void> {
    const [manifests] = this.#blocks(example, 'yaml')
    if (manifests === undefined) throw new Error(`${this.#page} has no manifests for the example ${example}`)
    await this.#bed.cluster.kubectl(['apply', '-n', stage.namespace, '-f', '-'], { input: manifests })
  }

  /** The commands of an example, a block each. */
  scripts(example: string): string[] {
    return this.#blocks(example, 'sh')
  }

  /** Runs all commands of an example. */
  async run(stage: Stage, example: string): Promise<void> {
    const scripts = this.scripts(example)
    if (scripts.length === 0) throw new Error(`${this.#page} has no commands for the example ${example}`)
    for (const script of scripts) await this.script(stage, script)
  }

  /** The queries of an example for Prometheus, a block each. */
  queries(example: string): string[] {
    return this.#blocks(example, 'promql')
  }

  /** As a person does who is in the repository, with the namespace as the one of the current context. Returns what it printed. */
  async script(stage: Stage, script: string): Promise<string> {
    const kubeconfig = this.#kubeconfig(stage)
    try {
      return await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, env: this.#env(kubeconfig) })
    } finally {
      rmSync(kubeconfig)
    }
  }

  /** Begins one command that goes on until it is stopped. */
  begin(stage: Stage, script: string): Running {
    const kubeconfig = this.#kubeconfig(stage)
    // The shell makes way for the command, so a signal is for that.
    const child = spawn('bash', ['-euo', 'pipefail', '-c', `exec ${script}`], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...helperEnvironment(), ...this.#env(kubeconfig) },
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const ended = once(child, 'close').then(([code]: (number | null)[]) => {
      rmSync(kubeconfig)
      return code ?? null
    })
    const firstLine = Promise.race([
      once(createInterface({ input: child.stdout }), 'line').then(([line]) => String(line)),
      ended.then((code) => Promise.reject(new Error(`${script.trim()} ended with ${code}: ${said}`))),
    ])
    // Whoever stops it without having asked for a line is told nothing.
    firstLine.catch(() => undefined)
    return {
      firstLine,
      stop: () => {
        child.kill('SIGINT')
        return ended
      },
    }
  }

  #env(kubeconfig: string): Record<string, string> {
    const { path = [], env = {} } = this.#surroundings
    return { ...env, KUBECONFIG: kubeconfig, PATH: [this.#bed.cluster.kubectlFolder, ...path, SEARCH_PATH].join(delimiter) }
  }

  /** Path of one that is only for the namespace. */
  #kubeconfig(stage: Stage): string {
    const { cluster, folder } = this.#bed
    const kubeconfig = join(folder, `${stage.namespace}-${this.#kubeconfigs++}.kubeconfig`)
    const config: Raw = parse(readFileSync(cluster.kubeconfigPath, 'utf8'))
    for (const { context } of config.contexts) context.namespace = stage.namespace
    // Relative paths in a kubeconfig are relative to it.
    for (const { cluster: it } of config.clusters) resolveFiles(it, ['certificate-authority'], cluster.kubeconfigPath)
    for (const { user } of config.users) resolveFiles(user, ['client-certificate', 'client-key'], cluster.kubeconfigPath)
    writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
    return kubeconfig
  }

  /** The blocks of a language between the example's mark and the next heading or mark. */
  #blocks(example: string, language: string): string[] {
    const [, rest = ''] = this.#text.split(`<!-- example: ${example} -->`)
    const [section = ''] = rest.split(/^(?:## |<!-- example: )/m)
    return [...section.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, block = '']) => block)
  }
}

function resolveFiles(owner: Raw, fields: readonly string[], file: string): void {
  for (const field of fields) if (owner?.[field]) owner[field] = resolve(dirname(file), owner[field])
}
