import type { KubeHttp } from './http.ts'

/** The service account of the pod that this process runs in. Host and port: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. */
export interface InClusterOptions {
  readonly inCluster: true
  readonly host: string
  readonly port: string
  /** Where the token, ca.crt and namespace are mounted. Default /var/run/secrets/kubernetes.io/serviceaccount. */
  readonly directory?: string
}

/** A kubeconfig file. Without one: $KUBECONFIG or ~/.kube/config, as kubectl has it. */
export interface KubeconfigOptions {
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
