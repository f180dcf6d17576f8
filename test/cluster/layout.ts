import { join } from 'node:path'

/** An address of the harness's own on the bridge node0: nothing of the cluster listens on any other. */
export const NODE_ADDRESS = '10.250.0.1'
export const NODE_INTERFACE = 'node0'
export const NODE_NAME = 'node-1'

export const SERVICE_RANGE = '10.96.0.0/16'
/** The first address of the range: Kubernetes gives it to the Service default/kubernetes. */
export const API_SERVICE_ADDRESS = '10.96.0.1'
/** Named in the pods' resolv.conf, as on every cluster; nobody answers there, see network.ts. */
export const DNS_ADDRESS = '10.96.0.10'
export const POD_RANGE = '10.244.0.0/24'
/** Name of the CNI network, and so of its records under /var/lib/cni. */
export const POD_NETWORK = 'gracewatch-pods'

export const PORTS = {
  etcd: 2379,
  etcdPeer: 2380,
  apiServer: 6443,
  kubelet: 10250,
  kubeletHealth: 10248,
  proxyMetrics: 10249,
  proxyHealth: 10256,
  controllerManager: 10257,
  scheduler: 10259,
} as const

export const API_SERVER_URL = `https://${NODE_ADDRESS}:${PORTS.apiServer}`

/** Where everything of the running cluster lies, below its one folder. */
export interface Layout {
  readonly root: string
  readonly stateFile: string
  /** What the machine was like before. */
  readonly beforeFile: string
  readonly logs: string
  readonly certificates: string
  readonly kubeconfigs: string
  /** Configuration files that the parts read. */
  readonly config: string
  readonly kubelet: string
  readonly staticPods: string
  readonly cni: string
  readonly containerdSocket: string
  /** What the API server wrote down of changes to pods and endpoint slices. */
  readonly auditLog: string
}

export function layoutOf(stateDir: string): Layout {
  return {
    root: stateDir,
    stateFile: join(stateDir, 'cluster.json'),
    beforeFile: join(stateDir, 'before.json'),
    logs: join(stateDir, 'logs'),
    certificates: join(stateDir, 'certificates'),
    kubeconfigs: join(stateDir, 'kubeconfigs'),
    config: join(stateDir, 'config'),
    kubelet: join(stateDir, 'kubelet'),
    staticPods: join(stateDir, 'static-pods'),
    cni: join(stateDir, 'cni'),
    containerdSocket: join(stateDir, 'containerd.sock'),
    auditLog: join(stateDir, 'logs', 'audit.log'),
  }
}
