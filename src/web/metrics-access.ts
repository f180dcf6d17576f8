/**
 * Who may read the metrics: whoever the API server knows by the token of the request (TokenReview) and allows to get the path
 * (SubjectAccessReview of a nonResourceURL), as controller-runtime asks it. Answers are kept for a short time.
 */
import { createHash } from 'node:crypto'
import { KubeError } from '../kube/errors.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'

/** Unauthorized: no token, or one that nobody knows. Unavailable: the API server could not be asked. */
export type Access = 'Allowed' | 'Unauthorized' | 'Forbidden' | 'Unavailable'

export interface MetricsAccess {
  /**
   * @param authorization the header as it came
   * @param client the address that it came from
   */
  check(authorization: string | undefined, path: string, client: string): Promise<Access>
}

export interface TokenAccessOptions {
  readonly http: KubeHttp
  readonly log: Log
  /** Milliseconds, monotonic. Default performance.now(). */
  readonly now?: () => number
}

/** A right that is taken away stays this long; one that is given is noticed this soon. */
const ALLOWED_MS = 60_000
const REFUSED_MS = 10_000
const TIMEOUT_MS = 10_000
const MAX_KEPT = 256
/**
 * Tokens that are asked about at one time, and in a second: those that are made up must not become a flood of reviews. Whoever has been
 * let in is asked about beside them, or they would shut them out once their minute is over.
 */
const MAX_ASKING = 8
const MAX_A_SECOND = 20
/** Of one address: a flood of one pod leaves room for a reader that is new, or whose token is. */
const MAX_A_SECOND_OF_ONE = 5
const SECOND_MS = 1000
const MAX_TOKEN = 32_768

interface Refused {
  readonly access: Access
  readonly until: number
}

interface User {
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export class TokenAccess implements MetricsAccess {
  readonly #options: TokenAccessOptions
  readonly #now: () => number
  /**
   * Until when it is known that they are allowed. By a hash: a token is a secret, and stays no longer than it is asked about. They stay
   * when that is over, until they are refused or others have come since.
   */
  readonly #allowed = new Map<string, number>()
  /** Apart from the others: those that are made up take the place of none that was let in. */
  readonly #refused = new Map<string, Refused>()
  readonly #asking = new Map<string, Promise<Access>>()
  /** When the second began in which so many have been asked about. */
  #second = { from: Number.NEGATIVE_INFINITY, count: 0, clients: new Map<string, number>() }
  #told: string | undefined

  constructor(options: TokenAccessOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  async check(authorization: string | undefined, path: string, client: string): Promise<Access> {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
    if (token === undefined || token.length > MAX_TOKEN) return 'Unauthorized'
    const key = createHash('sha256').update(`${path} ${token}`).digest('base64')
    const allowedUntil = this.#allowed.get(key)
    if (allowedUntil !== undefined && allowedUntil > this.#now()) return 'Allowed'
    const refused = this.#refused.get(key)
    if (refused !== undefined && refused.until > this.#now()) return refused.access
    this.#refused.delete(key)
    let asking = this.#asking.get(key)
    if (asking === undefined) {
      if (allowedUntil === undefined && (this.#asking.size >= MAX_ASKING || !this.#mayAsk(client))) return 'Unavailable'
      asking = this.#ask(token, path).finally(() => this.#asking.delete(key))
      this.#asking.set(key, asking)
    }
    const access = await asking
    if (access !== 'Unavailable') this.#keep(key, access)
    return access
  }

  #mayAsk(client: string): boolean {
    const now = this.#now()
    if (now - this.#second.from >= SECOND_MS) this.#second = { from: now, count: 0, clients: new Map() }
    const { clients, count } = this.#second
    const own = clients.get(client) ?? 0
    if (count >= MAX_A_SECOND || own >= MAX_A_SECOND_OF_ONE) return false
    this.#second.count++
    clients.set(client, own + 1)
    return true
  }

  #keep(key: string, access: Access): void {
    this.#allowed.delete(key)
    if (access === 'Allowed') keep(this.#allowed, key, this.#now() + ALLOWED_MS)
    else keep(this.#refused, key, { access, until: this.#now() + REFUSED_MS })
  }

  async #ask(token: string, path: string): Promise<Access> {
    try {
      const user = await this.#review(token)
      const access = user === undefined ? 'Unauthorized' : (await this.#mayGet(user, path)) ? 'Allowed' : 'Forbidden'
      this.#told = undefined
      return access
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      if (error.code !== 'Aborted' && error.message !== this.#told) {
        this.#told = error.message
        const help = error.code === 'Forbidden' ? { help: 'give the service account the ClusterRole system:auth-delegator' } : {}
        this.#options.log.warn(
          { error: error.message, ...help },
          'who asks for the metrics cannot be found out, nobody gets them',
        )
      }
      return 'Unavailable'
    }
  }

  async #review(token: string): Promise<User | undefined> {
    const response = await this.#options.http.request({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
      timeoutMs: TIMEOUT_MS,
    })
    const { status } = response.json<{ status?: { authenticated?: boolean; user?: User } }>()
    return status?.authenticated === true ? status.user : undefined
  }

  async #mayGet({ username, uid, groups, extra }: User, path: string): Promise<boolean> {
    const response = await this.#options.http.request({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: username, uid, groups, extra, nonResourceAttributes: { path, verb: 'get' } },
      },
      timeoutMs: TIMEOUT_MS,
    })
    const { status } = response.json<{ status?: { allowed?: boolean; denied?: boolean } }>()
    return status?.allowed === true && status.denied !== true
  }
}

/** In place of the oldest, where there is no room. */
function keep<T>(kept: Map<string, T>, key: string, value: T): void {
  if (kept.size >= MAX_KEPT) {
    const [oldest] = kept.keys()
    if (oldest !== undefined) kept.delete(oldest)
  }
  kept.set(key, value)
}
