/**
 * Evidence as it may leave the cluster: without what a record may not hold either (a process's arguments, environment and logs), and
 * without what no verdict needs. The record that is made from it is the same.
 */
import type { ContainerStatus, EventSnapshot, Fact, PodSnapshot, TerminatedState } from './evidence.ts'

/** All that is read of the text of an Event; that of a failed hook can hold the hook's command and what it printed. */
const READ = /^(?:\(combined from similar events\): )?(?:Stopping container \S+$)?/

export function stripped(fact: Fact): Fact {
  switch (fact.type) {
    case 'Pod':
      return { ...fact, pod: podOf(fact.pod) }
    case 'Event':
      return { ...fact, event: eventOf(fact.event) }
    default:
      return fact
  }
}

function podOf({ gate: _, cleanup: __, ...pod }: PodSnapshot): PodSnapshot {
  return { ...pod, statuses: pod.statuses.map(statusOf) }
}

function statusOf({ terminated, lastTerminated, ...status }: ContainerStatus): ContainerStatus {
  return {
    ...status,
    ...(terminated === undefined ? {} : { terminated: terminatedOf(terminated) }),
    ...(lastTerminated === undefined ? {} : { lastTerminated: terminatedOf(lastTerminated) }),
  }
}

/** Its message is the container's own: its termination log, or the last lines that it printed. */
const terminatedOf = ({ message: _, ...terminated }: TerminatedState): TerminatedState => terminated

const eventOf = (event: EventSnapshot): EventSnapshot => ({ ...event, message: READ.exec(event.message)?.[0] ?? '' })
