import { join } from 'node:path'
import type { Certificates } from './certificates.ts'
import { DNS_ADDRESS, type Layout, NODE_ADDRESS, NODE_NAME, POD_NETWORK, POD_RANGE, PORTS } from './layout.ts'

export function etcdArguments(layout: Layout, certificates: Certificates): string[] {
  const client = `https://${NODE_ADDRESS}:${PORTS.etcd}`
  const peer = `https://${NODE_ADDRESS}:${PORTS.etcdPeer}`
  const keyPair = (prefix: string) => [
    `--${prefix}client-cert-auth`,
    `--${prefix}trusted-ca-file=${certificates.ca}`,
    `--${prefix}cert-file=${certificates.certificate('etcd')}`,
    `--${prefix}key-file=${certificates.key('etcd')}`,
  ]
  return [
    `--data-dir=${join(layout.root, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    ...keyPair(''),
    ...keyPair('peer-'),
    // What is written is thrown away with the cluster; a crash of the machine may cost it.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
}

/** https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ */
export function kubeletConfig(layout: Layout, certificates: Certificates): string {
  return asText({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: NODE_ADDRESS,
    port: PORTS.kubelet,
    healthzBindAddress: NODE_ADDRESS,
    healthzPort: PORTS.kubeletHealth,
    tlsCertFile: certificates.certificate('kubelet'),
    tlsPrivateKeyFile: certificates.key('kubelet'),
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: certificates.ca } },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${layout.containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    // A container has no right to lower its own score; the harness's parts run as their caller does.
    oomScoreAdj: 0,
    resolvConf: '/dev/null',
    // Without an address every pod would get a Warning Event (MissingClusterDNS) and the node's resolv.conf.
    clusterDNS: [DNS_ADDRESS],
    clusterDomain: 'cluster.local',
    // The images came from no registry: one that is collected cannot be pulled again.
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '1%', 'nodefs.available': '1%', 'nodefs.inodesFree': '1%', 'imagefs.available': '1%' },
    staticPodPath: layout.staticPods,
    podLogsDir: join(layout.root, 'pod-logs'),
    volumePluginDir: join(layout.kubelet, 'volume-plugins'),
  })
}

/** https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/ */
export function proxyConfig(kubeconfig: string, podRange: string): string {
  return asText({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig },
    hostnameOverride: NODE_NAME,
    bindAddress: NODE_ADDRESS,
    healthzBindAddress: `${NODE_ADDRESS}:${PORTS.proxyHealth}`,
    metricsBindAddress: `${NODE_ADDRESS}:${PORTS.proxyMetrics}`,
    clusterCIDR: podRange,
    oomScoreAdj: 0,
    // Zero leaves the machine's own limits alone.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  })
}

/** A containerd of the cluster's own: nothing of it lies where a system's containerd keeps its things. */
export function containerdConfig(layout: Layout, pauseImage: string, cniPlugins: string): string {
  const at = (name: string) => JSON.stringify(join(layout.root, name))
  return `version = 2
root = ${at('containerd')}
state = ${at('containerd-run')}
[grpc]
  address = ${JSON.stringify(layout.containerdSocket)}
[plugins."io.containerd.internal.v1.opt"]
  path = ${at('containerd-opt')}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${JSON.stringify(pauseImage)}
  # Lowering a score takes CAP_SYS_RESOURCE, which root in a container or small VM may lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${JSON.stringify(cniPlugins)}
    conf_dir = ${JSON.stringify(layout.cni)}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = ${at('runc')}
`
}

/**
 * The API server's own record of every change to pods and endpoint slices, with the times of request and response: truth
 * for tests that owes nothing to any watch. https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
 */
export function auditPolicy(): string {
  return asText({
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    omitManagedFields: true,
    rules: [
      {
        level: 'RequestResponse',
        verbs: ['create', 'update', 'patch', 'delete', 'deletecollection'],
        resources: [
          { group: '', resources: ['pods', 'pods/status', 'pods/eviction'] },
          { group: 'discovery.k8s.io', resources: ['endpointslices'] },
        ],
      },
      { level: 'None' },
    ],
  })
}

/**
 * A veth pair and a route for each pod (ptp), not a bridge: traffic from a pod by a Service to a pod of the same node then
 * always passes the node's IP layer, where kube-proxy's rules translate the answers back.
 */
export function cniConfig(layout: Layout): string {
  return asText({
    cniVersion: '0.4.0',
    name: POD_NETWORK,
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: join(layout.root, 'cni-addresses'),
          ranges: [[{ subnet: POD_RANGE }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  })
}

function asText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
