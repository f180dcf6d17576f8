/** The metrics port as the settings want it: for the controller and the agent. */
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import type { ListenAddress } from '../settings-table.ts'
import { type Exposition, type MetricsServer, startMetricsServer } from './metrics.ts'
import { TokenAccess } from './metrics-access.ts'
import { type Certificate, certificateOfFiles } from './metrics-files.ts'

export interface MetricsPortSettings {
  readonly metricsTlsCertFile: string | undefined
  readonly metricsTlsKeyFile: string | undefined
  readonly metricsAuth: boolean
}

export interface MetricsPortOptions {
  readonly address: ListenAddress
  readonly settings: MetricsPortSettings
  readonly http: KubeHttp
  readonly log: Log
  readonly exposition: Exposition
  /** DNS names of a certificate of its own making. */
  readonly names: readonly string[]
}

/** Rejects, in words for the settings, where the address or the certificate cannot be used. */
export async function openMetricsPort({ settings, http, log, names, ...rest }: MetricsPortOptions): Promise<MetricsServer> {
  const { metricsTlsCertFile: cert, metricsTlsKeyFile: key, metricsAuth } = settings
  const certificate: Certificate =
    cert === undefined || key === undefined
      ? // What makes one takes memory, which nobody is to pay who has files.
        (await import('./metrics-certificate.ts')).ownCertificate(names)
      : await certificateOfFiles({ cert, key }, log)
  return startMetricsServer({ ...rest, certificate, access: metricsAuth ? new TokenAccess({ http, log }) : undefined, log })
}
