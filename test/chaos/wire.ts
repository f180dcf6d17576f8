/** A wire between a controller and its API server, by TCP: it passes bytes, or keeps, loses, delays or breaks them. */
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * Held: nothing moves until it is mended, and then all of it does, as TCP has it where a network comes back soon. Lost: whatever is open
 * or opened meanwhile never carries a byte again, and nobody is told. HalfLost: the same for what the API server says; what the
 * controller says arrives.
 */
type Mode = 'Passing' | 'Held' | 'Lost' | 'HalfLost'

interface Line {
  readonly near: Socket
  readonly far: Socket
  lost: 'No' | 'Half' | 'Both'
}

export class Wire {
  readonly #server: Server
  readonly #lines = new Set<Line>()
  #mode: Mode = 'Passing'
  #delayMs = 0
  #resets = 0

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((near) => this.#open(near, connect(target)))
  }

  static async start(url: string): Promise<Wire> {
    const { hostname, port } = new URL(url)
    const wire = new Wire({ host: hostname, port: Number(port) })
    await new Promise<void>((resolve, reject) => {
      wire.#server.once('error', reject).listen(0, '127.0.0.1', resolve)
    })
    return wire
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the wire has been closed')
    return `http://127.0.0.1:${address.port}`
  }

  /** How many connections were broken by reset(). */
  get resets(): number {
    return this.#resets
  }

  /** Something that is open carries nothing any more, and who opened it need not know yet. */
  get dead(): boolean {
    return [...this.#lines].some(({ lost }) => lost !== 'No')
  }

  hold(): void {
    this.#mode = 'Held'
    for (const { near, far } of this.#lines) for (const socket of [near, far]) socket.pause()
  }

  lose(): void {
    this.#mode = 'Lost'
    for (const line of this.#lines) line.lost = 'Both'
  }

  loseAnswers(): void {
    this.#mode = 'HalfLost'
    for (const line of this.#lines) line.lost = 'Half'
  }

  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** RST to both sides of all that is open. */
  reset(): void {
    for (const { near, far } of this.#lines) {
      this.#resets++
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
  }

  mend(): void {
    this.#mode = 'Passing'
    this.#delayMs = 0
    for (const { near, far } of this.#lines) for (const socket of [near, far]) socket.resume()
  }

  async close(): Promise<void> {
    for (const { near, far } of this.#lines) for (const socket of [near, far]) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #open(near: Socket, far: Socket): void {
    const line: Line = { near, far, lost: this.#mode === 'Lost' ? 'Both' : this.#mode === 'HalfLost' ? 'Half' : 'No' }
    this.#lines.add(line)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true)
      let sent = Promise.resolve()
      /** What comes later does not overtake what is delayed, as it does not in TCP. */
      const inOrder = (act: () => void) => {
        const waited = this.#delayMs > 0 ? new Promise<void>((resolve) => setTimeout(resolve, this.#delayMs)) : undefined
        sent = sent.then(() => waited).then(act)
      }
      from.on('data', (bytes) => {
        if (line.lost === 'Both' || (line.lost === 'Half' && from === far)) return
        inOrder(() => void (to.writable && to.write(bytes)))
      })
      // What is lost is not told either: the other side finds out by itself.
      from.on('end', () => line.lost === 'No' && inOrder(() => void to.end()))
      from.on('error', () => {})
      from.on('close', () => {
        if (line.lost !== 'No' && from === far) return
        inOrder(() => {
          to.destroy()
          this.#lines.delete(line)
        })
      })
      if (this.#mode === 'Held') from.pause()
    }
  }
}
