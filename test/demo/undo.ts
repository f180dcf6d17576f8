import type { Progress } from '../cluster/progress.ts'

interface Step {
  readonly what: string
  readonly run: () => Promise<void>
}

/** What has to be taken back, in the reverse order of its making. */
export class Undo {
  readonly #steps: Step[] = []

  /** `what` is the title of the step, as "removing namespace web". */
  add(what: string, run: () => Promise<void>): void {
    this.#steps.push({ what, run })
  }

  /** Runs every step once, however the others end. Returns what could not be taken back, one sentence each. */
  async run(progress: Progress): Promise<string[]> {
    const left: string[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const { what, run } = step
      try {
        await progress.step(what, run)
      } catch (error) {
        left.push(`${what} failed: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return left
  }
}
