/** Whether the API server can inject gates into pods: by discovery, which everybody may read, since the policies are none of the controller's. */
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'

/** It is asked again after this: the API server may be upgraded. */
const ASK_AGAIN_MS = 600_000

export class Injection {
  readonly #http: Pick<KubeHttp, 'request'>
  readonly #log: Log
  #known: { readonly can: boolean | undefined; readonly askedAt: number } | undefined

  constructor(http: Pick<KubeHttp, 'request'>, log: Log) {
    this.#http = http
    this.#log = log
  }

  /** Undefined: not known. */
  async isServed(): Promise<boolean | undefined> {
    const now = performance.now()
    if (this.#known !== undefined && now - this.#known.askedAt < ASK_AGAIN_MS) return this.#known.can
    let can: boolean | undefined
    try {
      const response = await this.#http.request({ method: 'GET', path: '/apis/admissionregistration.k8s.io/v1' })
      const { resources = [] } = response.json<{ resources?: readonly { name: string }[] }>()
      can = resources.some(({ name }) => name === 'mutatingadmissionpolicies')
    } catch (error) {
      this.#log.debug({ error: String(error) }, 'whether the API server can inject is not known')
    }
    this.#known = { can, askedAt: now }
    return can
  }
}
