/** What follows from the answers of one pod to one httpGet check. Pure. */
import type { CheckResult } from '../../../core/gates/types.ts'

export interface ThresholdOptions {
  /** Answers in a row that make it pass, failures in a row that make it fail again. From 1. */
  readonly successThreshold: number
  readonly failureThreshold: number
  /** What is asked, as GET http://10.0.0.1:80/. */
  readonly what: string
}

/**
 * The messages are the same for as long as the same is found: each other one is a write. A pod that fails now in this way, now in that,
 * keeps the message of the first until another has come failureThreshold times in a row.
 */
export class Thresholds {
  readonly #options: ThresholdOptions
  #state: 'New' | 'Kept' | 'Pass' | 'Fail'
  /** The pod is another one than before: what its condition says is not true of it. */
  readonly #renewed: boolean
  #successes = 0
  #failures = 0
  /** What it fails with, and what it failed with lately if that is something else, how often. */
  #failure = ''
  #other = { failure: '', count: 0 }

  /**
   * @param start Kept: the condition is True since before anybody here has asked; it then takes as much to fail as if it had been found
   * passing. New: it does not pass until it has answered. Renewed: so, and the condition has to say that
   */
  constructor(options: ThresholdOptions, start: 'New' | 'Kept' | 'Renewed') {
    this.#options = options
    this.#state = start === 'Kept' ? 'Kept' : 'New'
    this.#renewed = start === 'Renewed'
  }

  passed(): void {
    this.#successes++
    this.#failures = 0
    this.#other = { failure: '', count: 0 }
    if (this.#state === 'Kept' || this.#successes >= this.#options.successThreshold) this.#state = 'Pass'
    else {
      this.#state = 'Fail'
      this.#failure = ''
    }
  }

  failed(failure: string): void {
    const { failureThreshold } = this.#options
    this.#failures++
    this.#successes = 0
    this.#other = { failure, count: this.#other.failure === failure ? this.#other.count + 1 : 1 }
    if (this.#state === 'Fail') {
      if (this.#failure === '' || this.#other.count >= failureThreshold) this.#failure = failure
    } else if (this.#state === 'New' || this.#failures >= failureThreshold) {
      this.#state = 'Fail'
      this.#failure = failure
    }
  }

  get result(): CheckResult {
    const { what, successThreshold } = this.#options
    switch (this.#state) {
      case 'Pass':
        return { state: 'Pass', reason: 'Answered', message: `${what} is answered` }
      case 'Fail':
        return {
          state: 'Fail',
          reason: 'ProbeFailed',
          message:
            this.#failure === ''
              ? `${what} is answered, which has to be so ${successThreshold} times in a row`
              : `${what} failed: ${this.#failure}`,
        }
      case 'Kept':
        return { ...this.#unasked, state: 'Unknown', pending: true }
      default:
        return this.#renewed ? this.#unasked : { ...this.#unasked, pending: true }
    }
  }

  get #unasked(): CheckResult {
    return { state: 'Fail', reason: 'NotYetProbed', message: `${this.#options.what} has not been answered yet` }
  }
}
