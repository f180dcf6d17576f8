import { request } from 'node:https'
import { expect } from 'vitest'
import { type Family, parseExposition, seriesValue } from '../../unit/metrics/exposition.ts'
import { freePort } from '../recorder/controller.ts'

/** The metrics port of a controller, asked as Prometheus does it, by everybody. */
export class MetricsPort {
  readonly #port: number

  private constructor(port: number) {
    this.#port = port
  }

  static async reserve(): Promise<MetricsPort> {
    return new MetricsPort(await freePort())
  }

  /** Settings of the controller. */
  get args(): string[] {
    return [`--metrics-address=127.0.0.1:${this.#port}`, '--metrics-auth=false']
  }

  async scrape(): Promise<Map<string, Family>> {
    return parseExposition(await this.text())
  }

  /** Of the one series with these labels; undefined where there is none. */
  async value(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
    return seriesValue(await this.scrape(), name, labels)
  }

  /** Waits until that series has this value: what it tells of arrives by a watch. */
  async becomes(value: number, name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await expect.poll(() => this.value(name, labels), { timeout: 30_000 }).toBe(value)
  }

  text(): Promise<string> {
    return new Promise((resolve, reject) => {
      // The certificate is of the controller's own making.
      const call = request({ host: '127.0.0.1', port: this.#port, path: '/metrics', rejectUnauthorized: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))))
      })
      call.on('error', reject).end()
    })
  }
}
