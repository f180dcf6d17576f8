import { join } from 'node:path'
import { z } from 'zod'
import { call } from './api.ts'
import { certificatesOf, kubeconfigOf } from './certificates.ts'
import { ctr, importImageFile, listImages } from './containerd.ts'
import { ClusterError } from './errors.ts'
import { API_SERVER_URL, NODE_ADDRESS, NODE_NAME, PORTS } from './layout.ts'
import type { RunningCluster } from './lifecycle.ts'
import { type RunOptions, type RunResult, run, tryRun } from './run.ts'
import type { PartName, Shape } from './state.ts'

export interface CertificateFiles {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** A running cluster as tests, demo and bench use it. */
export class Cluster {
  /** True if it was up before this process asked for it: then it is to be left up. */
  readonly foundUp: boolean
  readonly version: string
  readonly shape: Shape
  /** A kubeconfig with cluster-admin rights, by absolute path. */
  readonly kubeconfigPath: string
  readonly apiServerUrl: string = API_SERVER_URL
  /** The one node's name; on a control plane nothing runs there. */
  readonly nodeName: string = NODE_NAME
  /** Socket of the containerd that runs the pods. */
  readonly containerdAddress: string
  /** Folder whose files the kubelet runs as static pods. */
  readonly staticPodsFolder: string
  /** The kubelet's own folder, which has the volumes of the pods. */
  readonly kubeletFolder: string
  /** Changes of pods and endpoint slices as the API server saw them, one JSON object a line; a cluster with a node has it. */
  readonly auditLogPath: string
  /** This release's kubectl, by absolute path. */
  readonly kubectlPath: string
  /** A folder that holds this kubectl and nothing else, for a PATH. */
  readonly kubectlFolder: string
  readonly #running: RunningCluster
  readonly #close: (takeDown: boolean) => Promise<void>

  constructor(running: RunningCluster, foundUp: boolean, close: (takeDown: boolean) => Promise<void>) {
    this.foundUp = foundUp
    this.version = running.state.version
    this.shape = running.state.shape
    this.kubeconfigPath = kubeconfigOf(running.layout, 'admin')
    this.containerdAddress = running.layout.containerdSocket
    this.staticPodsFolder = running.layout.staticPods
    this.kubeletFolder = running.layout.kubelet
    this.auditLogPath = running.layout.auditLog
    this.kubectlPath = running.binaries.kubectl
    this.kubectlFolder = running.binaries.pathFolder
    this.#running = running
    this.#close = close
  }

  /** Runs kubectl as cluster-admin and returns its standard output. Throws ClusterError with what it said. */
  kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return run(this.kubectlPath, args, this.#withKubeconfig(options))
  }

  /** The same, for calls that may fail: whatever kubectl returned. */
  tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return tryRun(this.kubectlPath, args, this.#withKubeconfig(options))
  }

  /** Runs ctr in Kubernetes' namespace of the cluster's containerd. */
  ctr(args: readonly string[]): Promise<string> {
    return ctr(this.containerdAddress, args)
  }

  /** References of the images that pods can run from. */
  async images(): Promise<string[]> {
    this.#assertNode('images')
    return listImages(this.containerdAddress)
  }

  /** Imports an image file that holds the image `reference`, unless it is there. */
  async importImage(image: { readonly reference: string; readonly tarPath: string }): Promise<void> {
    this.#assertNode('imported images')
    return importImageFile(this.containerdAddress, image)
  }

  /** SIGTERM, and SIGKILL where the part takes longer than it may. The API server can take a minute. */
  stopPart(name: PartName): Promise<void> {
    return this.#running.supervisor.stop(name)
  }

  /** SIGKILL. */
  killPart(name: PartName): Promise<void> {
    return this.#running.supervisor.stop(name, 'at once')
  }

  /** Returns once the part does its work. `more`: arguments for this start alone, beside its own. */
  startPart(name: PartName, more: readonly string[] = []): Promise<void> {
    return this.#running.supervisor.start(name, more)
  }

  restartPart(name: PartName): Promise<void> {
    return this.#running.supervisor.restart(name)
  }

  /** SIGSTOP: connections and ports stay open, nothing is answered. */
  pausePart(name: PartName): Promise<void> {
    return this.#running.supervisor.pause(name)
  }

  resumePart(name: PartName): Promise<void> {
    return this.#running.supervisor.resume(name)
  }

  /** As the part is configured: for a second one beside it, with other settings. */
  commandLine(name: PartName): { readonly command: string; readonly args: readonly string[] } {
    return this.#running.supervisor.commandLine(name)
  }

  logFile(name: PartName): string {
    return this.#running.supervisor.logFile(name)
  }

  /** Throws ClusterError, with the end of its log, if a part has ended that nobody took down. */
  assertPartsAlive(): void {
    this.#running.supervisor.assertAllAlive()
  }

  /** Paths of the cluster-admin's client certificate, for clients that read no kubeconfig. */
  get adminCertificate(): CertificateFiles {
    const files = certificatesOf(this.#running.layout)
    return { ca: files.ca, certificate: files.certificate('admin'), key: files.key('admin') }
  }

  /**
   * Compacts etcd up to its present revision and returns that. A resourceVersion before it is answered with 410 Gone once
   * the API server does not have it in its watch cache either: kill and start kube-apiserver for that.
   */
  async compactEtcd(): Promise<number> {
    const status = z.object({ header: z.object({ revision: z.coerce.number() }) })
    const { header } = status.parse(await this.#etcd('/v3/maintenance/status', {}))
    await this.#etcd('/v3/kv/compaction', { revision: String(header.revision), physical: true })
    return header.revision
  }

  /** Ends this process's use of the cluster; takes it down unless it was found up or shall be kept. */
  close(options: { readonly keep?: boolean } = {}): Promise<void> {
    return this.#close(!this.foundUp && options.keep !== true)
  }

  /** Takes the cluster down in any case. */
  down(): Promise<void> {
    return this.#close(true)
  }

  async #etcd(path: string, body: unknown): Promise<unknown> {
    const url = `https://${NODE_ADDRESS}:${PORTS.etcd}${path}`
    const certificates = certificatesOf(this.#running.layout)
    const answer = await call(url, certificates, 'apiserver-to-etcd', {
      method: 'POST',
      body: JSON.stringify(body),
      timeoutMs: 30_000,
    })
    if (answer?.status === 200) return JSON.parse(answer.body)
    throw new ClusterError(`etcd did not accept ${path}: ${answer ? `${answer.status} ${answer.body}` : 'no answer'}`)
  }

  #withKubeconfig(options: RunOptions): RunOptions {
    // The person's own cache would keep what a cluster of the past served at this address.
    const cache = join(this.#running.layout.root, 'kubectl-cache')
    return { ...options, env: { ...options.env, KUBECONFIG: this.kubeconfigPath, KUBECACHEDIR: cache } }
  }

  #assertNode(what: string): void {
    if (this.shape !== 'node') throw new ClusterError(`a control plane has no ${what}: bring the cluster up with a node`)
  }
}
