/** What tests of the command have in common: a kubeconfig for a server of the tests, and the package as npm installs it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
/** With the Node of this test before any other of the machine. */
const PATH = `${dirname(process.execPath)}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`

/** Of namespace shop on that server. */
export const kubeconfigOf = (server: string) =>
  JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: {} }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'shop' } }],
  })

export interface Running {
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly output: { stdout: string; stderr: string }
  readonly ended: Promise<number | null>
}

export function started(child: ChildProcess): Running {
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  const ended = new Promise<number | null>((done, fail) => {
    child.on('error', fail)
    child.on('close', done)
  })
  return { child, output, ended }
}

/** The package out of `npm pack`: built, without TypeScript, in a folder that has nothing else. */
export class InstalledPackage {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async in(folder: string): Promise<InstalledPackage> {
    const npm = (args: readonly string[], cwd: string) =>
      promisify(execFile)('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd,
        // An install of the repository's own must not redirect this one.
        env: { ...process.env, PATH, npm_config_prefix: undefined, npm_config_local_prefix: undefined },
      })
    await npm(['pack', '--pack-destination', folder], root)
    const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'))
    await writeFile(join(folder, 'package.json'), '{}')
    await npm(['install', join(folder, tarball ?? '')], folder)
    return new InstalledPackage(folder)
  }

  get files(): string {
    return join(this.#folder, 'node_modules/gracewatch')
  }

  start(program: 'gracewatch' | 'kubectl-gracewatch', ...args: string[]): Running {
    const env = { PATH, HOME: this.#folder, TZ: 'UTC' }
    return started(spawn(join(this.#folder, 'node_modules/.bin', program), args, { cwd: this.#folder, env }))
  }

  /** To its end. */
  async run(program: 'gracewatch' | 'kubectl-gracewatch', ...args: string[]) {
    const { output, ended } = this.start(program, ...args)
    return { code: await ended, ...output }
  }
}
