/** Where the API server is and who we are to it: the service account of our pod, or a kubeconfig. */
import { createClock, type RecorderClock } from './clock.ts'
import type { KubeHttp } from './http.ts'
import { inClusterNamespace, inClusterServer, SERVICE_ACCOUNT_DIRECTORY, serviceAccountCredentials } from './in-cluster.ts'

interface CommonOptions {
  readonly clock?: RecorderClock
  /** Default gracewatch. */
  readonly userAgent?: string
  /** See HttpClientOptions. */
  readonly maxConnections?: number
  readonly maxStreams?: number
}

/** The service account of the pod that this process runs in. Host and port: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. */
export interface InClusterOptions extends CommonOptions {
  readonly inCluster: true
  readonly host: string
  readonly port: string
  /** Where the token, ca.crt and namespace are mounted. Default /var/run/secrets/kubernetes.io/serviceaccount. */
  readonly directory?: string
}

/** A kubeconfig file. Without one: $KUBECONFIG or ~/.kube/config, as kubectl has it. */
export interface KubeconfigOptions extends CommonOptions {
  readonly inCluster?: false
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
}

export interface Connection {
  readonly http: KubeHttp
  /** Namespace of the context or of the service account. */
  readonly namespace: string
  /** Where this connection goes, for a log line or a message. */
  describe(): string
}

/**
 * Makes no call yet, so it succeeds while the API server is away. Throws an Error that says what to do where the files that it
 * needs are missing or unusable. Only a kubeconfig, which may name a proxy, loads the Kubernetes client and undici.
 */
export async function openConnection(options: InClusterOptions | KubeconfigOptions): Promise<Connection> {
  const { clock = createClock(), userAgent = 'gracewatch', maxConnections, maxStreams } = options
  const limits = { ...(maxConnections !== undefined && { maxConnections }), ...(maxStreams !== undefined && { maxStreams }) }
  if (options.inCluster) {
    const directory = options.directory ?? SERVICE_ACCOUNT_DIRECTORY
    const server = inClusterServer(options.host, options.port)
    const namespace = await inClusterNamespace(directory)
    const { LeanHttpClient } = await import('./lean-http-client.ts')
    const http = new LeanHttpClient({ server, credentials: serviceAccountCredentials(directory), clock, userAgent, ...limits })
    return { http, namespace, describe: () => `the cluster of this pod (${server})` }
  }
  const { loadKubeconfig } = await import('./kubeconfig.ts')
  const { HttpClient } = await import('./http-client.ts')
  const { server, context, namespace, proxy, credentials } = await loadKubeconfig(options)
  const http = new HttpClient({ server, credentials, clock, userAgent, proxy, ...limits })
  return { http, namespace, describe: () => `context ${context} (${server})` }
}
