/**
 * The field `kernel` of a PodTermination: what the agent of the pod's node saw in the kernel's trace of signals, raw. What follows from
 * it stands in the other fields, which are the controller's. All times are the node's wall clock.
 */
import { z } from 'zod'
import { MAX_GAPS, MAX_KERNEL_CONTAINERS, MAX_NOTES, MAX_OOM_KILLS, MAX_PROCESSES, MAX_SIGNALS } from './kernel-limits.ts'
import { text, time, values } from './parts.ts'

const name = text(64)
const pid = z.int().min(0).max(4_194_304)
const signal = {
  number: z.int().min(1).max(64).describe('Number of the signal, as Linux has it on most architectures.'),
  name: text(32).describe('Its name.'),
}
const moment = {
  at: time.describe('When: best estimate, on the clock of the node.'),
  earliest: time.describe('The true time is not before this.'),
  latest: time.describe('The true time is not after this.'),
}

const ORIGINS = {
  Runtime: 'the container runtime.',
  Kernel: 'the kernel itself.',
  Container: 'a process of the same container.',
  Pod: 'a process of another container of the pod.',
  OtherPod: 'a process of another pod.',
  Node: 'a process of the node that belongs to no pod.',
  Unknown: 'it was gone before it could be looked at.',
} as const
type Origin = keyof typeof ORIGINS
const origin = (of: string) => z.enum(Object.keys(ORIGINS) as [Origin, ...Origin[]]).describe(values(of, ORIGINS)) // Object.keys forgets the literal keys
const disposition = z.enum(['Handler', 'Blocked', 'Ignored', 'Default', 'Unknown']).describe(
  values('What the container process does with the stop signal.', {
    Handler: 'a function of the program is called.',
    Blocked: 'the kernel keeps it until the program asks for it, as tini, s6 and systemd do.',
    Ignored: 'the program has told the kernel to throw it away.',
    Default: "the kernel's own action: to end a process, but for PID 1 of a namespace to throw the signal away.",
    Unknown: 'the process was gone before it could be looked at.',
  }),
)

const processSchema = z.object({
  pid: pid.describe('Process id inside the PID namespace of the container.'),
  parent: pid.describe('Process id of its parent there; 0 where that is outside of it.'),
  comm: name.describe('Name of the process as the kernel has it (15 bytes).'),
  signalled: z.object(moment).optional().describe('When the stop signal was passed on to it; absent where it was not.'),
  leftBehind: z
    .boolean()
    .optional()
    .describe('True: it still ran when the container process ended, and the kernel killed it then.'),
})

const signalSchema = z.object({
  ...signal,
  ...moment,
  from: origin('Who sent it.'),
  sender: name.optional().describe('Name of the process that sent it.'),
  to: z.enum(['First', 'Below', 'Exec', 'Unknown']).describe(
    values('Which process of the container it was sent to.', {
      First: 'the container process.',
      Below: 'a descendant of it.',
      Exec: 'a process that was started in the container from outside: a hook, a probe, kubectl exec.',
      Unknown: 'it was gone before it could be looked at.',
    }),
  ),
  target: name.describe('Name of that process.'),
  result: z.enum(['Delivered', 'Ignored', 'Pending', 'Lost']).describe(
    values('What the kernel did with it.', {
      Delivered: 'it was put to the process.',
      Ignored: 'it was dropped.',
      Pending: 'one of the kind was waiting already, so it was dropped.',
      Lost: 'the queue of the receiver was full.',
    }),
  ),
})

const kernelContainerSchema = z.object({
  name: text(63).optional().describe('Name of the container; absent where no status named it in time.'),
  containerID: text(128).describe('Its id as the runtime gave it, with the name of the runtime in front where that is known.'),
  pidNamespace: z.enum(['Container', 'Pod', 'Node', 'Unknown']).describe(
    values(
      'Whose process ids the container has. Only where it is its own does its process have to handle or pass on signals as PID 1.',
      {
        Container: 'its own: its process is PID 1.',
        Pod: "the pod's (shareProcessNamespace): PID 1 is the runtime's pause process.",
        Node: "the node's (hostPID).",
        Unknown: 'the process was gone before it could be looked at.',
      },
    ),
  ),
  process: z
    .object({
      comm: name.describe('Its name as the kernel has it (15 bytes).'),
      argv0: name
        .optional()
        .describe('Its argv[0] up to the first space. Arguments and environment are never read into a record.'),
      disposition,
    })
    .optional()
    .describe('The container process: the one that the runtime started and sends signals to.'),
  stopSignal: z
    .object({
      ...signal,
      ...moment,
      result: z.enum(['Delivered', 'Ignored', 'Pending', 'Unknown']).describe(
        values('What the kernel did with it.', {
          Delivered: 'it was put to the process.',
          Ignored: 'it was dropped, for PID 1 of a namespace has no handler for it or ignores it.',
          Pending: 'one of the kind was waiting already.',
          Unknown: 'it was dropped, and the process was already ending.',
        }),
      ),
      sender: name.optional().describe('Name of the process that sent it.'),
    })
    .optional()
    .describe('The first signal, other than SIGKILL, that the runtime sent to the container process.'),
  passedOn: z
    .object({
      result: z.enum(['PassedOn', 'NotPassedOn', 'NothingBelow', 'Unknown']).describe(
        values('Whether the stop signal reached the processes below the container process.', {
          PassedOn: 'at least one of them was sent one by the container process or by one below it.',
          NotPassedOn: 'none was.',
          NothingBelow: 'there was none.',
          Unknown: 'the evidence does not say; reason has why.',
        }),
      ),
      first: z.object(moment).optional().describe('The first that was sent.'),
      last: z.object(moment).optional().describe('The last that was sent.'),
      reason: text(256).optional().describe('Why it is Unknown.'),
    })
    .optional()
    .describe('What became of the stop signal below the container process.'),
  processes: z.array(processSchema).max(MAX_PROCESSES).optional().meta({
    description: 'Processes below the container process when the stop signal came, parents first.',
    'x-kubernetes-list-type': 'atomic',
  }),
  processesMore: z.int().min(0).max(4_194_304).optional().describe('How many more there were.'),
  kill: z
    .object({
      ...moment,
      by: z
        .enum(['Runtime', 'OOM', 'Container', 'Pod', 'OtherPod', 'Node', 'Outside', 'Namespace', 'Kernel', 'Unknown'])
        .describe(
          values('Who sent it.', {
            Runtime: ORIGINS.Runtime,
            OOM: 'the kernel, for want of memory.',
            Container: ORIGINS.Container,
            Pod: ORIGINS.Pod,
            OtherPod: ORIGINS.OtherPod,
            Node: ORIGINS.Node,
            Outside: "a process outside of the container's PID namespace, which was gone before it could be looked at.",
            Namespace: 'the kernel, for PID 1 of the namespace had ended.',
            Kernel: 'the kernel, for another reason (a limit on CPU time, for example).',
            Unknown: ORIGINS.Unknown,
          }),
        ),
      sender: name.optional().describe('Name of the process that sent it.'),
    })
    .optional()
    .describe('The SIGKILL that ended the container process.'),
  oomKills: z
    .array(z.object({ ...moment, pid: pid.describe('Process id on the node.'), comm: name.optional().describe('Its name.') }))
    .max(MAX_OOM_KILLS)
    .optional()
    .meta({
      description: 'Processes of the container, other than the container process, that the kernel killed for want of memory.',
      'x-kubernetes-list-type': 'atomic',
    }),
  exit: z
    .object({
      ...moment,
      how: z.enum(['Exited', 'Killed', 'Dumped', 'Unknown']).describe(
        values('How the container process ended.', {
          Exited: 'it ended itself, with an exit code.',
          Killed: 'a signal ended it.',
          Dumped: 'a signal ended it, and it dumped core.',
          Unknown: 'it was found to be gone.',
        }),
      ),
    })
    .optional()
    .describe('The end of the container process.'),
  preStop: z
    .object({
      ...moment,
      how: z.enum(['Exited', 'Killed', 'Dumped']).describe('How the process of the hook ended, in the words of exit.how.'),
    })
    .optional()
    .describe('The end of the exec preStop hook; absent where more than one process could have been the hook.'),
  signals: z.array(signalSchema).max(MAX_SIGNALS).optional().meta({
    description: 'All signals that were seen to be sent to processes of the container, in the order of their times.',
    'x-kubernetes-list-type': 'atomic',
  }),
  signalsMore: z.int().min(0).max(2147483647).optional().describe('How many more there were.'),
  notes: z.array(text(256)).max(MAX_NOTES).optional().meta({
    description: 'What could not be told, and why.',
    'x-kubernetes-list-type': 'atomic',
  }),
})

export const kernelSchema = z.object({
  node: text(253).describe('Node whose kernel was traced.'),
  tracedFrom: time.describe('The trace says nothing about what was before this.'),
  tracedUntil: time.describe('The trace was read up to here.'),
  complete: z.boolean().describe('True: every container of the pod that the agent knew had ended, and nothing more will come.'),
  apiServerClock: z
    .object({
      earliestMicroseconds: z.int().min(-8_640_000_000_000_000).max(8_640_000_000_000_000).describe('Not less than this.'),
      latestMicroseconds: z.int().min(-8_640_000_000_000_000).max(8_640_000_000_000_000).describe('Not more than this.'),
    })
    .optional()
    .describe("The API server's clock less the node's, in microseconds; absent where the API server was not reached yet."),
  wallClockSet: z.boolean().optional().describe('True: the clock of the node was set while the pod was ending.'),
  lostEvents: z
    .int()
    .min(0)
    .max(2147483647)
    .describe('Events that the kernel had to throw away unread while the pod was ending.'),
  gaps: z
    .array(
      z.object({
        from: time.optional().describe('Absent: from before the first of these facts.'),
        to: time.describe('Until when.'),
        reason: text(256).describe('Why, as a part of a sentence.'),
      }),
    )
    .max(MAX_GAPS)
    .optional()
    .meta({ description: 'Times in which something may have gone unseen.', 'x-kubernetes-list-type': 'atomic' }),
  containers: z.array(kernelContainerSchema).max(MAX_KERNEL_CONTAINERS).optional().meta({
    description: 'What was seen of each container, in the order of their names.',
    'x-kubernetes-list-type': 'atomic',
  }),
})

export type KernelFacts = z.infer<typeof kernelSchema>
export type KernelContainer = z.infer<typeof kernelContainerSchema>
export type KernelSignal = z.infer<typeof signalSchema>
export type KernelProcess = z.infer<typeof processSchema>
export type KernelGap = NonNullable<KernelFacts['gaps']>[number]
