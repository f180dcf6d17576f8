/**
 * Order statistics of times of which only bounds are known. A container that was killed shows how long it would at least have needed and
 * no more, so every percentile has bounds too: it is no less than that of the lower bounds and no more than that of the upper ones.
 */

/** least <= the truth <= most. `most` is Infinity where nothing bounds it. */
export interface Bounded {
  readonly least: number
  /** Best estimate; of what has no upper bound, its lower one. */
  readonly best: number
  readonly most: number
}

/** Nearest rank: the smallest value such that `share` of all are no greater. Of nothing, undefined. */
export function nearestRank(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, rankOf(sorted.length, share) - 1)]
}

/** The product of two doubles can lie a hair above the whole number that is meant: 0.07 * 100. */
const rankOf = (count: number, share: number) => Math.ceil(count * share - 1e-9)

/** The true percentile lies within the bounds, whatever the true values are. */
export function percentile(values: readonly Bounded[], share: number): Bounded | undefined {
  const least = nearestRank(
    values.map((value) => value.least),
    share,
  )
  const best = nearestRank(
    values.map((value) => value.best),
    share,
  )
  const most = nearestRank(
    values.map((value) => value.most),
    share,
  )
  return least === undefined || best === undefined || most === undefined ? undefined : { least, best, most }
}

/** How sure: one in twenty of such statements may be wrong. */
const ALPHA = 0.05

/**
 * The share of a population that, with 95 % confidence, is no greater than this, where `hits` of `count` drawn from it had a property
 * (Clopper and Pearson, one-sided). 1 where nothing was drawn. Of no hits in 59 it is 5 %, in 299 it is 1 %.
 */
export function atMostShare(hits: number, count: number): number {
  if (hits >= count) return 1
  let [low, high] = [0, 1]
  for (let round = 0; round < 50; round++) {
    const middle = (low + high) / 2
    if (atMostHits(hits, count, middle) > ALPHA) low = middle
    else high = middle
  }
  return high
}

/** The probability of no more than `hits` in `count` at this share, summed in logarithms: the terms of large counts are tiny. */
function atMostHits(hits: number, count: number, share: number): number {
  if (share <= 0) return 1
  if (share >= 1) return 0
  const odds = Math.log(share) - Math.log1p(-share)
  let term = count * Math.log1p(-share)
  let sum = Math.exp(term)
  for (let k = 1; k <= hits; k++) {
    term += Math.log((count - k + 1) / k) + odds
    sum += Math.exp(term)
  }
  return sum
}
