/** What code under test leaves open: sockets by the process's own count, timers by a ledger of its own (the test runner has some). */
export class Handles {
  readonly #sockets = sockets()
  readonly #timers = new Map<NodeJS.Timeout, string>()
  readonly #restore: () => void

  constructor() {
    const { setTimeout: timeout, setInterval: interval, clearTimeout: clear } = globalThis
    const timers = this.#timers
    const kept = (make: typeof timeout | typeof interval, repeats: boolean) =>
      function ledger(callback: () => void, ...rest: unknown[]) {
        const run = (...all: []) => {
          if (!repeats) timers.delete(timer)
          callback(...all)
        }
        // The arguments are passed on as they came; both functions return a Timeout.
        const timer = (make as (...all: unknown[]) => NodeJS.Timeout)(run, ...rest)
        timers.set(timer, new Error('timer').stack ?? '')
        return timer
      }
    const cleared = (timer: NodeJS.Timeout) => {
      timers.delete(timer)
      clear(timer)
    }
    Object.assign(globalThis, {
      setTimeout: kept(timeout, false),
      setInterval: kept(interval, true),
      clearTimeout: cleared,
      clearInterval: cleared,
    })
    this.#restore = () => {
      Object.assign(globalThis, { setTimeout: timeout, setInterval: interval, clearTimeout: clear, clearInterval: clear })
    }
  }

  /**
   * Timers that are still to fire, by the stack that made them, and how many more sockets there are than before. Timers that do not
   * keep the process alive are left out: undici has one, for all its clients.
   */
  left(): { sockets: number; timers: string[] } {
    this.#restore()
    return {
      sockets: sockets() - this.#sockets,
      timers: [...this.#timers].flatMap(([timer, stack]) => (timer.hasRef() ? [stack] : [])),
    }
  }
}

function sockets(): number {
  const kinds = ['TCPSocketWrap', 'TLSWrap', 'TCPConnectWrap', 'GetAddrInfoReqWrap']
  return process.getActiveResourcesInfo().filter((kind) => kinds.includes(kind)).length
}
