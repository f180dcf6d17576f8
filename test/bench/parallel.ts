/** Does `work` so many times, at most `workers` at once. @returns the results in the order of their numbers */
export async function inParallel<T>(workers: number, count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = new Array(count)
  let next = 0
  const run = async () => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index)
  }
  await Promise.all(Array.from({ length: Math.min(workers, count) }, run))
  return results
}

/** Starts `work` at a rate, whether or not what was started before has ended. @returns the results once all have ended */
export async function atRate<T>(perSecond: number, count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const started: Promise<T>[] = []
  const from = performance.now()
  while (started.length < count) {
    const due = Math.min(count, Math.floor(((performance.now() - from) / 1000) * perSecond) + 1)
    while (started.length < due) started.push(work(started.length))
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, Math.min(50, 500 / perSecond))))
  }
  return Promise.all(started)
}
