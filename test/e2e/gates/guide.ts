import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { run } from '../../cluster/run.ts'
import type { Raw } from '../api.ts'
import type { Bed, Stage } from './bed.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
/** The image that the examples run, which no registry has to give: it is the busybox of the tests under this name. */
const IMAGE = 'docker.io/library/busybox:1.37'

/** What a page of docs/ tells people to do, done as it is written there: its manifests and its commands are used verbatim. */
export class Guide {
  readonly #bed: Bed
  readonly #page: string
  readonly #text: string

  private constructor(bed: Bed, page: string) {
    this.#bed = bed
    this.#page = page
    this.#text = readFileSync(join(ROOT, page), 'utf8')
  }

  /** @param page `docs/gates.md` */
  static async open(bed: Bed, page: string): Promise<Guide> {
    const there = await bed.cluster.images()
    if (!there.includes(IMAGE)) await bed.cluster.ctr(['images', 'tag', bed.busybox, IMAGE])
    return new Guide(bed, page)
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

  /** As a person does who is in the repository, with the namespace as the one of the current context. Returns what it printed. */
  async script(stage: Stage, script: string): Promise<string> {
    const { cluster, folder } = this.#bed
    const kubeconfig = join(folder, `${stage.namespace}.kubeconfig`)
    const config: Raw = parse(readFileSync(cluster.kubeconfigPath, 'utf8'))
    for (const { context } of config.contexts) context.namespace = stage.namespace
    // Relative paths in a kubeconfig are relative to it.
    for (const { cluster: it } of config.clusters) resolveFiles(it, ['certificate-authority'], cluster.kubeconfigPath)
    for (const { user } of config.users) resolveFiles(user, ['client-certificate', 'client-key'], cluster.kubeconfigPath)
    writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
    try {
      const env = { KUBECONFIG: kubeconfig, PATH: `${cluster.kubectlFolder}:${process.env.PATH}` }
      return await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, env })
    } finally {
      rmSync(kubeconfig)
    }
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
