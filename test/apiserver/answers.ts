/** kubectl on an API server whose answer, yes or no, is what a test is about. */
import { expect } from 'vitest'
import type { Cluster } from '../cluster/index.ts'

export function answersOf(cluster: () => Cluster) {
  const kubectl = (args: readonly string[], input?: unknown) =>
    cluster().tryKubectl(args, input === undefined ? {} : { input: JSON.stringify(input) })
  return {
    kubectl,

    /** kubectl's standard error of a call that has to fail. */
    async refusal(args: readonly string[], input?: unknown): Promise<string> {
      const { code, stderr } = await kubectl(args, input)
      expect(code, 'the call was accepted').not.toBe(0)
      return stderr
    },

    /** Its standard output; a warning is a failure. */
    async accepted(args: readonly string[], input?: unknown): Promise<string> {
      const { code, stdout, stderr } = await kubectl(args, input)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      return stdout
    },
  }
}
