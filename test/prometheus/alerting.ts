/** From an alert of Prometheus to where a person reads it: a real Alertmanager, and the webhook that it notifies. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RuleFile, ruleFile } from '../../src/alerts/files.ts'
import { Daemon } from './daemon.ts'

/** As Alertmanager documents it: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config */
export interface Notified {
  readonly status: 'firing' | 'resolved'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export class Alerting {
  /** Each alert of each notification, in their order. */
  readonly notified: Notified[] = []
  readonly #server: Server
  #alertmanager: Daemon | undefined

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<Alerting> {
    const server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      request.on('end', () => {
        alerting.notified.push(...(JSON.parse(body) as { alerts: Notified[] }).alerts)
        response.end()
      })
    })
    const alerting = new Alerting(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // it listens on TCP
    const config = {
      // As docs/runbooks/README.md groups them, and quick.
      route: {
        receiver: 'webhook',
        group_by: ['cluster', 'namespace', 'workload'],
        ...{ group_wait: '1s', group_interval: '1s', repeat_interval: '1h' },
      },
      receivers: [{ name: 'webhook', webhook_configs: [{ url: `http://127.0.0.1:${port}/`, send_resolved: true }] }],
    }
    alerting.#alertmanager = await Daemon.start('alertmanager', config, (data) => [
      `--storage.path=${data}`,
      '--cluster.listen-address=',
    ])
    return alerting
  }

  /** What prometheus.yml has of it. */
  get config(): object {
    const { host } = new URL(this.#alertmanager?.url ?? '')
    return { alertmanagers: [{ static_configs: [{ targets: [host] }] }] }
  }

  /** What has been told of an alert. */
  of(alert: string): Notified[] {
    return this.notified.filter(({ labels }) => labels.alertname === alert)
  }

  async stop(): Promise<void> {
    await this.#alertmanager?.stop()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/**
 * The rules with all their times a thirtieth, so that a test sees an alert come and go: 15 minutes are 30 s. promtool has the real times. Of those
 * about the controller itself a tenth: it starts anew within minutes, but not in seconds wherever a test runs.
 */
export function quickRules(): RuleFile {
  const groups = ruleFile().groups.map(({ name, rules }) => {
    const share = name === 'gracewatch-controller' ? 10 : 30
    const seconds = (time: string) => {
      const [, count = '', unit = ''] = /^(\d+)([smh])$/.exec(time) ?? []
      return `${Math.max(1, Math.round((Number(count) * ({ s: 1, m: 60, h: 3600 }[unit] ?? Number.NaN)) / share))}s`
    }
    const quick = rules.map((rule) => ({
      ...rule,
      for: seconds(rule.for),
      expr: rule.expr.replaceAll(/\[(\w+)\]/g, (_, time: string) => `[${seconds(time)}]`),
    }))
    return { name, rules: quick }
  })
  return { groups }
}
