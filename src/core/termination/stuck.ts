/** When a termination counts as overdue, and why the object is still there. */
import { type Micros, SECOND } from '../time.ts'
import { stillRunning } from './cause.ts'
import type { History } from './history.ts'

/**
 * What an orderly forced kill may take past the deadline: 2 s that the kubelet adds for a hook that overran, and as much for each
 * sidecar, then the status, the volumes and the last DELETE.
 */
export function overdueSlack(sidecars: number): Micros {
  return (5 + 2 * sidecars) * SECOND
}

/**
 * @param overdueAt when it became overdue, on the recorder's clock: the state as of then is the one that explains it
 * @returns the reason as a sentence part
 */
export function whyStuck(history: History, overdueAt: Micros): string {
  const then = history.pods.filter((fact) => fact.arrivedAt <= overdueAt && fact.change !== 'Deleted').at(-1)?.pod ?? history.last
  if (then === undefined) return 'nothing is known of the object'
  const node = then.nodeName ?? 'its node'
  const running = stillRunning(then)
  const silent = history.nodes.find((fact) => !fact.exists || fact.ready !== 'True')
  if (running.length > 0) {
    if (silent !== undefined && !silent.exists)
      return `node ${node} is gone, so nobody stops the containers. Delete the pod with grace 0 if the machine is off`
    if (silent !== undefined) {
      return `node ${node} is not ready (${silent.ready ?? 'Unknown'}), so its kubelet does not stop the containers. Look at the node; force the delete only if the machine is off`
    }
    if (then.observedGeneration !== undefined && then.generation !== undefined && then.observedGeneration < then.generation) {
      return `the kubelet on ${node} has not taken the deletion in. Look at the kubelet`
    }
    return `${running.join(', ')} had not ended. Look at the kubelet's and the runtime's logs on ${node}`
  }
  if (then.finalizers.length > 0) {
    return `the containers had ended, but the finalizer ${then.finalizers.join(', ')} keeps the object. Look at the controller that owns it`
  }
  const volumes = then.volumeCount > 0 ? ` Its ${then.volumeCount} volumes may still be unmounting.` : ''
  return `the containers had ended, but the kubelet on ${node} had not removed the object.${volumes} Look at the kubelet`
}
