/** Whether the clocks of the node and of the API server are apart by so much that their times in one record mislead a reader. */
import { SECOND } from '../time.ts'
import type { Clocks } from './clocks.ts'
import { seconds } from './findings.ts'

/** Below it the floored seconds of the API hide the difference anyway. */
const TOLERATED = SECOND

/**
 * @param set the agent saw the node's clock being set while the pod was ending
 * @returns the message of ClockSkew; undefined unless the bounds of both clocks leave no other reading
 */
export function skewOf(clocks: Clocks, set = false): string | undefined {
  if (set) {
    return (
      "the node's clock was set while the pod was ending: times of the kubelet (Events, finishedAt) from before and after that " +
      'must not be compared. Look at NTP on the node: a clock that it slews, and does not step, has no such breaks.'
    )
  }
  const [node, api] = [clocks.offset('Node'), clocks.offset('APIServer')]
  const low = node.earliest - api.latest
  const high = node.latest - api.earliest
  if (low <= TOLERATED && high >= -TOLERATED) return undefined
  const [least, most, way] = low > TOLERATED ? [low, high, 'ahead of'] : [-high, -low, 'behind']
  const much = most - least > SECOND ? `at least ${seconds(least)}` : `${seconds(least)} to ${seconds(most)}`
  return (
    `the node's clock is ${much} ${way} the API server's. The bounds of this record allow for it, but times of the kubelet ` +
    '(Events, finishedAt) and of the API server (deletionTimestamp) must not be compared as they stand. Look at NTP on the node.'
  )
}
