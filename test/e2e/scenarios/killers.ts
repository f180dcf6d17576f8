/** 43 to 46: SIGKILL by others than the runtime, each told apart, and an exit code that only looks like it. */
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Raw } from '../api.ts'
import { MOUNT } from '../manifests.ts'
import type { ExpectedContainer, Scenario } from '../scenario.ts'
import type { Stage } from '../stage.ts'

const GRACEFUL: ExpectedContainer = { outcome: 'Graceful', stopSignal: ['Delivered', 'Unknown'], code: 0 }
/** Killed a second after the stop signal, long before the grace period is over. */
const KILLED: ExpectedContainer = {
  // 137 could as well be the app's own, and nothing in the API tells the two apart.
  outcome: 'Unknown',
  stopSignal: ['Delivered', 'Unknown'],
  kill: ['Other', 'Unknown', 'absent'],
  code: 137,
  measured: { outcome: 'Killed', kill: ['Other'] },
}
const SMALL = { resources: { requests: { cpu: '1m', memory: '8Mi' }, limits: { memory: '160Mi' } } }

async function deleteAll(stage: Stage, pods: readonly Raw[]): Promise<void> {
  await Promise.all(pods.map((pod) => stage.delete(pod)))
}

function pidOf(stage: Stage, pod: Raw): number {
  const pid = stage.world.processes.firstOf(basename(pod.status.containerStatuses[0].containerID))
  if (pid === undefined) throw new Error(`the process of pod ${pod.metadata.name} is not known`)
  return pid
}

export const killers: readonly Scenario[] = [
  {
    number: 43,
    title: 'kill -9 inside the container',
    did: 'At SIGTERM a shell kills its child with SIGKILL and exits with 0; another sends SIGKILL to PID 1, which the kernel drops, for it comes from inside, and exits with 0 a second later.',
    act: async (stage) => {
      const { manifests } = stage
      const pods = await Promise.all([
        stage.run(manifests.pod('child', [manifests.shell('app', 'sleep 3600 & trap "kill -9 $!; sleep 1; exit 0" TERM; wait')])),
        stage.run(manifests.pod('itself', [manifests.shell('app', 'trap "kill -9 1; sleep 1; exit 0" TERM; sleep 3600 & wait')])),
      ])
      await deleteAll(stage, pods)
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: [
      {
        pod: /^(child|itself)$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: { app: { ...GRACEFUL, kernel: { disposition: 'Handler', kill: 'absent', exit: 'Exited' } } },
        also: ({ pod, kernel }) => {
          const signals = kernel?.containers?.[0]?.signals?.filter(({ number }) => number === 9)
          if (kernel === undefined) return []
          // The child is gone a millisecond after its signal: nobody can tell any more what it was where the agent had not met it before.
          const [to, result] = pod.name === 'child' ? [['Below', 'Unknown'], 'Delivered'] : [['First'], 'Ignored']
          const found = signals?.some((one) => one.from === 'Container' && to.includes(one.to) && one.result === result)
          const had = JSON.stringify(signals)
          return found ? [] : [`the SIGKILL of the container to ${to.join(' or ')} (${result}) is not among the signals: ${had}`]
        },
      },
    ],
  },
  {
    number: 44,
    title: 'SIGKILL by root on the node, and by a process of another pod',
    did: 'Two seconds after SIGTERM, which they take and do not act on, root on the node kills PID 1 of one pod, and a pod with hostPID that of another.',
    act: async (stage) => {
      const { manifests, world } = stage
      const order = `${stage.namespace}.kill`
      const script = `until [ -e ${MOUNT}/words/${order} ]; do sleep 0.1; done; kill -9 $(cat ${MOUNT}/words/${order}); sleep 3600`
      const app = manifests.program('app', { ON_TERM: 'ignore' })
      const [node, other] = await Promise.all([
        stage.run(manifests.pod('node', [app])),
        stage.run(manifests.pod('other', [app])),
        stage.run(manifests.pod('killer', [manifests.shell('killer', script)], { hostPID: true })),
      ])
      const pods = [node, other]
      const pids = pods.map((pod) => pidOf(stage, pod))
      await deleteAll(stage, pods)
      // After a second more than the resolution of the reported exit: it then lies after the signal for certain.
      await stage.pass(2)
      process.kill(pids[0] ?? 0, 'SIGKILL')
      writeFileSync(join(world.folder, 'words', order), String(pids[1]))
      await Promise.all(pods.map((pod) => stage.gone(pod)))
      return pods
    },
    expect: (['node', 'other'] as const).map((name) => ({
      pod: new RegExp(`^${name}$`),
      cause: 'Deleted',
      outcome: 'Unknown',
      measured: { outcome: 'Killed' },
      containers: {
        app: {
          ...KILLED,
          kernel: { disposition: 'Handler', kill: name === 'node' ? 'Node' : 'OtherPod', exit: 'Killed' },
        },
      },
      mayMiss: ['Kill'],
    })),
  },
  {
    number: 45,
    title: 'a child is killed for want of memory while PID 1 lives on',
    did: 'At SIGTERM PID 1, a shell, starts a program that takes memory without end; the kernel kills that, and PID 1 exits with 0.',
    act: async (stage) => {
      const { manifests } = stage
      const app = manifests.program('app', {}, SMALL)
      const say = `echo '{"what":"start","at":0}' >> $WORDS`
      const script = `${say}; trap 'EAT_AFTER_MS=1 ${app.command.join(' ')}; sleep 1; exit 0' TERM; sleep 3600 & wait`
      return [await stage.deleted(manifests.pod('app', [{ ...app, command: ['sh', '-c', script] }]))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Graceful',
        containers: { app: { ...GRACEFUL, kernel: { disposition: 'Handler', kill: 'absent', exit: 'Exited', oomKills: true } } },
      },
    ],
  },
  {
    number: 46,
    title: '137 by exit 137',
    did: 'The app takes SIGTERM and exits with 137 after 1.2 s; nobody killed it.',
    act: async (stage) => {
      const app = stage.manifests.program('app', { ON_TERM: 'exit', EXIT_CODE: 137, EXIT_AFTER_MS: 1200 })
      return [await stage.deleted(stage.manifests.pod('app', [app]))]
    },
    expect: [
      {
        pod: /^app$/,
        cause: 'Deleted',
        outcome: 'Unknown',
        measured: { outcome: 'Failed' },
        containers: {
          app: {
            outcome: 'Unknown',
            stopSignal: ['Delivered', 'Unknown'],
            code: 137,
            measured: { outcome: 'Failed' },
            kernel: { kill: 'absent', exit: 'Exited' },
          },
        },
      },
    ],
  },
]
