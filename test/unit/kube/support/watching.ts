/** A reflector on a test server, with everything that it says kept for the test to look at. */
import { createClock } from '../../../../src/kube/clock.ts'
import { DecodeError } from '../../../../src/kube/errors.ts'
import { HttpClient } from '../../../../src/kube/http-client.ts'
import type { Log } from '../../../../src/kube/log.ts'
import { Reflector } from '../../../../src/kube/reflector.ts'
import type { Change, Gap, Packed, ReflectorOptions } from '../../../../src/kube/reflector-types.ts'
import { PODS, type TestApiServer } from './server.ts'

export interface Thing {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly text?: string
}

function decodeThing(raw: unknown): Thing {
  // What the test's own world made.
  const { metadata, text, broken } = raw as { metadata: Thing; text?: string; broken?: boolean }
  if (broken) throw new DecodeError('spec.broken', 'absent', broken)
  const { uid, namespace, name, resourceVersion } = metadata
  return { uid, namespace, name, resourceVersion, ...(text !== undefined && { text }) }
}

/** Every other version is packed, so that either kind follows on either. */
function packThing({ namespace, name, resourceVersion, text }: Thing): Packed<Thing> | undefined {
  if (Number(resourceVersion) % 2 === 1) return undefined
  const rest = text === undefined ? {} : { text }
  return { namespace, name, unpack: (uid, version) => ({ uid, namespace, name, resourceVersion: version, ...rest }) }
}

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: Record<string, unknown>
}

function recordingLog(lines: LogLine[]): Log {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } })
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export class Watching {
  readonly changes: Change<Thing>[] = []
  readonly gaps: Gap[] = []
  readonly errors: unknown[] = []
  readonly log: LogLine[] = []
  readonly http: HttpClient
  readonly clock = createClock()
  readonly reflector: Reflector<Thing>

  constructor(server: Pick<TestApiServer, 'url'>, options: Partial<ReflectorOptions<Thing>> = {}) {
    this.http = new HttpClient({
      server: server.url,
      clock: this.clock,
      userAgent: 'test',
      credentials: async () => ANONYMOUS,
    })
    const { onChange, timings, ...others } = options
    this.reflector = new Reflector<Thing>({
      http: this.http,
      clock: this.clock,
      path: PODS,
      decode: decodeThing,
      pack: packThing,
      log: recordingLog(this.log),
      onGap: (gap) => this.gaps.push(gap),
      onError: (error) => this.errors.push(error),
      ...others,
      onChange: (change) => {
        this.changes.push(change)
        onChange?.(change)
      },
      timings: { backoffBaseMs: 10, backoffMaxMs: 100, inactivityMs: 2000, initialEventsMs: 2000, ...timings },
    })
  }

  /** What was told, in words: "Added web-1", with the version where it matters to the test. */
  get told(): string[] {
    return this.changes.map(({ type, object }) => `${type} ${object.name}`)
  }

  get names(): string[] {
    return [...this.reflector.values()].map(({ name }) => name).sort()
  }

  async end(): Promise<void> {
    await this.reflector.stop()
    await this.http.close()
  }
}

const ANONYMOUS = { headers: {}, tls: {} }

/** Waits until the condition holds. The condition's own words are the message where it never does. */
export async function until(condition: () => boolean, timeoutMs = 4000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never came true: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Long enough for anything on loopback to have happened that was going to. */
export function settle(ms = 40): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
