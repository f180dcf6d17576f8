/** The controller as its image has it: compiled, with the flags of the Dockerfile, and with a pod's service account that talks TLS. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../../cluster/index.ts'
import { root } from '../connect.ts'
import { ControllerProcess, freePort, NODE_FLAGS } from '../recorder/controller.ts'

const DIST = join(root, 'out/test/cleanup-bench-dist')
const SERVICE_ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount'

/** Compiles the sources as the image's build does. */
export function buildController(): void {
  rmSync(DIST, { recursive: true, force: true })
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', DIST], {
    cwd: root,
    stdio: 'inherit',
  })
}

export interface Options {
  readonly cluster: Cluster
  readonly namespace: string
  readonly token: string
  readonly name: string
  readonly args: readonly string[]
}

export async function startController({ cluster, namespace, token, name, args }: Options): Promise<ControllerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-cleanup-bench-'))
  const account = join(folder, 'account')
  mkdirSync(account)
  writeFileSync(join(account, 'token'), token, { mode: 0o600 })
  writeFileSync(join(account, 'ca.crt'), readFileSync(cluster.adminCertificate.ca))
  writeFileSync(join(account, 'namespace'), namespace)
  const { hostname, port } = new URL(cluster.apiServerUrl)
  const health = `127.0.0.1:${await freePort()}`
  // A mount namespace of its own has the service account where a pod has it; the process stays the same one.
  const mounting = `mount -t tmpfs tmpfs /run && mkdir -p ${SERVICE_ACCOUNT} && mount --bind "$0" ${SERVICE_ACCOUNT} && exec "$@"`
  const settings = [`--namespace=${namespace}`, `--pod-name=${name}`, `--health-address=${health}`]
  const words = [process.execPath, ...NODE_FLAGS, join(DIST, 'main.js'), ...settings, ...args]
  const child = spawn('unshare', ['--mount', 'sh', '-c', mounting, account, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production', KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
  })
  const controller = ControllerProcess.of(name, child, health)
  void controller.ended.then(() => rmSync(folder, { recursive: true, force: true }))
  return controller
}
