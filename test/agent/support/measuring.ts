import { Collector } from '../../../src/agent/collector.ts'
import { NodeClock } from '../../../src/agent/node-clock.ts'
import { Processes } from '../../../src/agent/processes.ts'
import { Procfs } from '../../../src/agent/procfs.ts'
import type { TraceOptions } from '../../../src/agent/tracefs.ts'
import type { KernelContainer } from '../../../src/api/kernel.ts'
import type { ContainerContext } from '../../../src/core/kernel/container.ts'
import { summariseContainer } from '../../../src/core/kernel/container.ts'
import { parseTime } from '../../../src/core/time.ts'
import type { Log } from '../../../src/kube/log.ts'
import type { Container } from './runtime.ts'
import { tracing } from './tracing.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Trace, processes and collector as the agent puts them together, without the API server. */
export async function measuring(folder: string, options: Partial<TraceOptions> = {}) {
  const clock = new NodeClock()
  const mono = () => clock.mono()
  const proc = new Procfs()
  const processes: Processes = new Processes(proc, mono, {
    container() {},
    exec: (process, notBefore) => collector.exec(process, notBefore),
  })
  const collector: Collector = new Collector({
    proc,
    processes,
    mono,
    log: silent,
    onFact() {},
    onUnknownEnd() {},
  })
  const { trace, lines } = await tracing(folder, { ...options, onLines: (more) => collector.take(more) })
  await processes.scan()
  const catchUp = async () => {
    const asked = mono()
    const dead = processes.dead()
    if (!(await trace.sync(5000))) throw new Error('the trace gives nothing back')
    collector.settle(dead, asked)
  }
  return {
    clock,
    processes,
    collector,
    trace,
    lines,
    /** What the record would say now. */
    async summary(container: Container, context: Partial<ContainerContext> = {}): Promise<KernelContainer> {
      await catchUp()
      const entry = processes.container(container.id)
      if (entry === undefined) throw new Error('the container is not known')
      return summariseContainer(collector.evidence(entry), {
        execPreStop: false,
        execProbes: false,
        now: mono(),
        gaps: collector.gapsSince(0),
        wall: (at) => clock.wall(at),
        room: { processes: 32, signals: 64 },
        ...context,
      })
    },
    async stop() {
      clock.stop()
      await trace.stop()
    },
  }
}

/** Distance of a time of the record from a moment that a workload, or this test, read from the monotonic clock. */
export function within(clock: NodeClock, moment: { earliest: string; latest: string } | undefined, from: number, to: number) {
  if (moment === undefined) throw new Error('there is no such time')
  return (
    (parseTime(moment.earliest) ?? 0) <= clock.wall(to).latest && (parseTime(moment.latest) ?? 0) >= clock.wall(from).earliest
  )
}
