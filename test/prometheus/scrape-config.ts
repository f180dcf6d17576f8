import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'

const PAGE = resolve(import.meta.dirname, '../../docs/metrics.md')

/**
 * The job of docs/metrics.md for a Prometheus outside of the cluster, which has neither a service account's token nor a way to find pods by
 * itself.
 */
export function scrapeConfig(kubeconfig: string, token: string): object {
  const [, block = ''] = /```yaml\n(scrape_configs:[^`]*)```/.exec(readFileSync(PAGE, 'utf8')) ?? []
  const [job] = parse(block).scrape_configs
  const discovery = job.kubernetes_sd_configs.map((one: object) => ({ ...one, kubeconfig_file: kubeconfig }))
  return { ...job, authorization: { credentials: token }, kubernetes_sd_configs: discovery }
}
