import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import { call } from './api.ts'
import { type Certificates, certificatesOf, FRONT_PROXY_NAME, kubeconfigOf } from './certificates.ts'
import type { Binaries } from './kubernetes.ts'
import { type Layout, NODE_ADDRESS, NODE_NAME, POD_RANGE, PORTS, SERVICE_RANGE } from './layout.ts'
import { auditPolicy, containerdConfig, etcdArguments, kubeletConfig, proxyConfig } from './part-config.ts'
import type { PartName, Shape } from './state.ts'

/** How one part of the cluster is started and judged. */
export interface PartSpec {
  readonly name: PartName
  readonly command: string
  readonly args: readonly string[]
  /** Configuration files that it reads, by absolute path. */
  readonly files: Readonly<Record<string, string>>
  /** True once it does its work. */
  healthy(): Promise<boolean>
  /** How long a graceful stop may take before SIGKILL. */
  readonly stopGraceMs: number
}

export interface PartContext {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly shape: Shape
  readonly pauseImage: string
  readonly cniPlugins: string
}

/** Pods bound to Nodes that nobody runs would be deleted by these after 40 s. */
const CONTROLLERS_THAT_REMOVE_PODS = [
  'pod-garbage-collector-controller',
  'node-lifecycle-controller',
  'taint-eviction-controller',
]

/** The parts of a shape, in the order in which they start. */
export function partsOf(context: PartContext): PartSpec[] {
  const all = context.shape === 'node'
  return [
    etcd(context),
    apiServer(context),
    controllerManager(context),
    ...(all ? [scheduler(context), containerd(context), kubelet(context), proxy(context)] : []),
  ]
}

/** Hash over what makes a running part this part: a part that was started otherwise has to be restarted. */
export function specHash(spec: PartSpec): string {
  return createHash('sha256')
    .update(JSON.stringify([spec.command, spec.args, spec.files]))
    .digest('hex')
    .slice(0, 16)
}

function answersOk(url: string, certificates: Certificates, client: 'admin' | 'apiserver-to-etcd' = 'admin') {
  return async () => (await call(url, certificates, client))?.status === 200
}

function etcd({ layout, binaries }: PartContext): PartSpec {
  const certificates = certificatesOf(layout)
  return {
    name: 'etcd',
    command: binaries.program('etcd'),
    args: etcdArguments(layout, certificates),
    files: {},
    healthy: answersOk(`https://${NODE_ADDRESS}:${PORTS.etcd}/health`, certificates, 'apiserver-to-etcd'),
    stopGraceMs: 10_000,
  }
}

function apiServer({ layout, binaries, shape }: PartContext): PartSpec {
  const certificates = certificatesOf(layout)
  const policy = join(layout.config, 'audit-policy.json')
  // Not where thousands of pods that nobody runs are written: there it would cost more than what is measured.
  const audit = shape === 'node'
  return {
    name: 'kube-apiserver',
    command: binaries.program('kube-apiserver'),
    args: [
      `--bind-address=${NODE_ADDRESS}`,
      `--advertise-address=${NODE_ADDRESS}`,
      `--secure-port=${PORTS.apiServer}`,
      `--cert-dir=${layout.certificates}`,
      `--tls-cert-file=${certificates.certificate('apiserver')}`,
      `--tls-private-key-file=${certificates.key('apiserver')}`,
      `--client-ca-file=${certificates.ca}`,
      `--etcd-servers=https://${NODE_ADDRESS}:${PORTS.etcd}`,
      `--etcd-cafile=${certificates.ca}`,
      `--etcd-certfile=${certificates.certificate('apiserver-to-etcd')}`,
      `--etcd-keyfile=${certificates.key('apiserver-to-etcd')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${certificates.serviceAccountPublicKey}`,
      `--service-account-signing-key-file=${certificates.serviceAccountKey}`,
      `--service-cluster-ip-range=${SERVICE_RANGE}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged=true',
      '--event-ttl=1h',
      // By any other type the API server would look the node's name up, and logs and exec would fail.
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-certificate-authority=${certificates.ca}`,
      `--kubelet-client-certificate=${certificates.certificate('apiserver-to-kubelet')}`,
      `--kubelet-client-key=${certificates.key('apiserver-to-kubelet')}`,
      `--proxy-client-cert-file=${certificates.certificate('front-proxy')}`,
      `--proxy-client-key-file=${certificates.key('front-proxy')}`,
      `--requestheader-client-ca-file=${certificates.ca}`,
      `--requestheader-allowed-names=${FRONT_PROXY_NAME}`,
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-username-headers=X-Remote-User',
      ...(audit ? auditArguments(layout, policy) : []),
    ],
    files: audit ? { [policy]: auditPolicy() } : {},
    healthy: answersOk(`https://${NODE_ADDRESS}:${PORTS.apiServer}/readyz`, certificates),
    // It lets requests in flight end, a minute at most, and keeps its port until then.
    stopGraceMs: 75_000,
  }
}

function auditArguments(layout: Layout, policy: string): string[] {
  return [
    `--audit-policy-file=${policy}`,
    `--audit-log-path=${layout.auditLog}`,
    '--audit-log-mode=blocking',
    '--audit-log-maxsize=200',
    '--audit-log-maxbackup=1',
  ]
}

function controllerManager({ layout, binaries, shape }: PartContext): PartSpec {
  const certificates = certificatesOf(layout)
  const without = CONTROLLERS_THAT_REMOVE_PODS.map((name) => `-${name}`)
  return {
    name: 'kube-controller-manager',
    command: binaries.program('kube-controller-manager'),
    args: [
      `--kubeconfig=${kubeconfigOf(layout, 'controller-manager')}`,
      `--authentication-kubeconfig=${kubeconfigOf(layout, 'controller-manager')}`,
      `--authorization-kubeconfig=${kubeconfigOf(layout, 'controller-manager')}`,
      `--bind-address=${NODE_ADDRESS}`,
      `--secure-port=${PORTS.controllerManager}`,
      `--tls-cert-file=${certificates.certificate('controller-manager')}`,
      `--tls-private-key-file=${certificates.key('controller-manager')}`,
      `--root-ca-file=${certificates.ca}`,
      `--cluster-signing-cert-file=${certificates.ca}`,
      `--cluster-signing-key-file=${certificates.caKey}`,
      `--service-account-private-key-file=${certificates.serviceAccountKey}`,
      '--use-service-account-credentials=true',
      // There is one: an election would only add its lease's length to every restart.
      '--leader-elect=false',
      // Its default of 20 requests a second makes the first pod wait 5 s for its account.
      '--kube-api-qps=200',
      '--kube-api-burst=400',
      ...(shape === 'node' ? [] : [`--controllers=${['*', ...without].join(',')}`]),
    ],
    files: {},
    healthy: answersOk(`https://${NODE_ADDRESS}:${PORTS.controllerManager}/healthz`, certificates),
    stopGraceMs: 10_000,
  }
}

function scheduler({ layout, binaries }: PartContext): PartSpec {
  const certificates = certificatesOf(layout)
  return {
    name: 'kube-scheduler',
    command: binaries.program('kube-scheduler'),
    args: [
      `--kubeconfig=${kubeconfigOf(layout, 'scheduler')}`,
      `--authentication-kubeconfig=${kubeconfigOf(layout, 'scheduler')}`,
      `--authorization-kubeconfig=${kubeconfigOf(layout, 'scheduler')}`,
      `--bind-address=${NODE_ADDRESS}`,
      `--secure-port=${PORTS.scheduler}`,
      `--tls-cert-file=${certificates.certificate('scheduler')}`,
      `--tls-private-key-file=${certificates.key('scheduler')}`,
      '--leader-elect=false',
    ],
    files: {},
    healthy: answersOk(`https://${NODE_ADDRESS}:${PORTS.scheduler}/healthz`, certificates),
    stopGraceMs: 10_000,
  }
}

function containerd({ layout, pauseImage, cniPlugins }: PartContext): PartSpec {
  const config = join(layout.config, 'containerd.toml')
  return {
    name: 'containerd',
    command: 'containerd',
    args: ['--config', config],
    files: { [config]: containerdConfig(layout, pauseImage, cniPlugins) },
    healthy: () => accepts(layout.containerdSocket),
    stopGraceMs: 10_000,
  }
}

function kubelet({ layout, binaries }: PartContext): PartSpec {
  const certificates = certificatesOf(layout)
  const config = join(layout.config, 'kubelet.json')
  return {
    name: 'kubelet',
    command: binaries.program('kubelet'),
    args: [
      `--config=${config}`,
      `--kubeconfig=${kubeconfigOf(layout, 'kubelet')}`,
      `--root-dir=${layout.kubelet}`,
      `--cert-dir=${join(layout.kubelet, 'pki')}`,
      `--node-ip=${NODE_ADDRESS}`,
      `--hostname-override=${NODE_NAME}`,
      '--v=2',
    ],
    files: { [config]: kubeletConfig(layout, certificates) },
    healthy: answersOk(`http://${NODE_ADDRESS}:${PORTS.kubeletHealth}/healthz`, certificates),
    stopGraceMs: 10_000,
  }
}

function proxy({ layout, binaries }: PartContext): PartSpec {
  const config = join(layout.config, 'kube-proxy.json')
  return {
    name: 'kube-proxy',
    command: binaries.program('kube-proxy'),
    args: [`--config=${config}`],
    files: { [config]: proxyConfig(kubeconfigOf(layout, 'proxy'), POD_RANGE) },
    healthy: answersOk(`http://${NODE_ADDRESS}:${PORTS.proxyHealth}/healthz`, certificatesOf(layout)),
    stopGraceMs: 10_000,
  }
}

/** Whether somebody listens on a Unix socket. */
function accepts(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ path })
    socket.on('connect', () => done(true)).on('error', () => done(false))
    socket.on('connect', () => socket.destroy())
  })
}
