/** kube-controller-manager's own collector of finished pods, alone in a process of its own beside the cluster's. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { KubeHttp } from '../../../src/kube/http.ts'
import type { Cluster } from '../../cluster/index.ts'
import { eventually } from '../waiting.ts'

export interface Options {
  readonly threshold: number
  /** Requests a second, and how many at once; without it the program's default. */
  readonly rate?: { readonly qps: number; readonly burst: number }
  /** A file that says where the API server is and who asks; without it as the cluster's own. */
  readonly kubeconfig?: string
}

/** Flags of the cluster's own that are given anew: this one knows the last value of a flag, and of --controllers all. */
const REPLACED = /^--(controllers|kube-api-qps|kube-api-burst)=/

/** It counts the pods of the whole cluster: those of other tests have to be gone. */
export async function noneFinished(http: KubeHttp): Promise<void> {
  const fieldSelector = 'status.phase!=Pending,status.phase!=Running,status.phase!=Unknown'
  const none = async () => {
    const list = await http.request({ method: 'GET', path: '/api/v1/pods', query: { fieldSelector, limit: 1 } })
    return list.json<{ items: object[] }>().items.length === 0 || undefined
  }
  await eventually(none, 60_000, 'finished pods of others gone')
}

export class Podgc {
  readonly #child: ChildProcess
  #log = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-4000)
    })
  }

  static start(cluster: Cluster, { threshold, rate, kubeconfig }: Options): Podgc {
    const { command, args } = cluster.commandLine('kube-controller-manager')
    const own = [
      '--controllers=pod-garbage-collector-controller',
      // It serves nothing: the port is the other one's.
      '--secure-port=0',
      `--terminated-pod-gc-threshold=${threshold}`,
      ...(rate === undefined ? [] : [`--kube-api-qps=${rate.qps}`, `--kube-api-burst=${rate.burst}`]),
      // Nor does its controller ask in another name then.
      ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`, '--use-service-account-credentials=false']),
    ]
    const env = { PATH: process.env.PATH }
    return new Podgc(
      spawn(command, [...args.filter((flag) => !REPLACED.test(flag)), ...own], { stdio: ['ignore', 'ignore', 'pipe'], env }),
    )
  }

  /** Throws where it has ended by itself, with the end of its log. */
  check(): void {
    if (this.#child.exitCode !== null) throw new Error(`kube-controller-manager ended with ${this.#child.exitCode}: ${this.#log}`)
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
  }
}
