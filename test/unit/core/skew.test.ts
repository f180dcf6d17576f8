import { describe, expect, it } from 'vitest'
import { Clocks, UNKNOWN_OFFSET } from '../../../src/core/termination/clocks.ts'
import { skewOf } from '../../../src/core/termination/skew.ts'
import { SECOND } from '../../../src/core/time.ts'

const around = (seconds: number, width = 0.1) => ({
  earliest: (seconds - width / 2) * SECOND,
  latest: (seconds + width / 2) * SECOND,
})

describe('the clocks of node and API server', () => {
  it('are not said to be apart while nobody has compared them', () => {
    expect(skewOf(new Clocks(UNKNOWN_OFFSET, UNKNOWN_OFFSET))).toBeUndefined()
    expect(skewOf(new Clocks(around(0), UNKNOWN_OFFSET))).toBeUndefined()
  })

  it('are not said to be apart by what the floored seconds hide, or where the bounds leave another reading', () => {
    expect(skewOf(new Clocks(around(0), around(0.9)))).toBeUndefined()
    expect(skewOf(new Clocks(around(0), around(-0.9)))).toBeUndefined()
    expect(skewOf(new Clocks(around(0), around(3, 5)))).toBeUndefined()
  })

  it('are told apart with the way and the least that it can be', () => {
    expect(skewOf(new Clocks(around(0), around(3)))).toContain("the node's clock is 2.9 s to 3.1 s ahead of the API server's")
    expect(skewOf(new Clocks(around(2), around(-1)))).toContain("the node's clock is 2.9 s to 3.1 s behind the API server's")
    expect(skewOf(new Clocks(around(0), around(30, 3.9)))).toContain('at least 28.0 s ahead')
  })

  it("are told of where the agent saw the node's clock being set, whatever the bounds are", () => {
    expect(skewOf(new Clocks(UNKNOWN_OFFSET, UNKNOWN_OFFSET), true)).toContain('was set while the pod was ending')
  })
})
