/** The commands. Each file is loaded only when its command is used, so that what needs no cluster loads no client. */
import type { Flags } from './arguments.ts'

/** Runs with the words after the command's name and resolves to the exit code. */
export type Command = ((argv: readonly string[]) => Promise<number>) & {
  /** Absent: what the controller takes, which are settings. */
  readonly flags?: Flags
  /** Its help as --help writes it. */
  readonly help?: () => string
}

interface Entry {
  /** The words after the name, for the list of commands. */
  readonly usage: string
  /** Those of them that are no names. */
  readonly words?: readonly string[]
  readonly summary: string
  readonly load: () => Promise<Command>
}

export const COMMANDS: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  [
    'list',
    {
      usage: '',
      summary: 'the pods that ended, one line each, and the workloads that lose pods badly',
      load: async () => (await import('./list.ts')).command,
    },
  ],
  [
    'summary',
    {
      usage: '',
      summary: 'what each workload needs to end well: grace period and preStop',
      load: async () => (await import('./summary.ts')).command,
    },
  ],
  ['show', { usage: 'POD', summary: 'how one pod ended, as a picture', load: async () => (await import('./show.ts')).command }],
  ['watch', { usage: '', summary: 'terminations as they happen', load: async () => (await import('./watch.ts')).command }],
  [
    'open',
    { usage: '', summary: 'the same as a page in your browser, live', load: async () => (await import('./open.ts')).command },
  ],
  [
    'trace',
    {
      usage: '[SELECTOR]',
      summary: 'pods as they end, with nothing installed in the cluster',
      load: async () => (await import('./trace.ts')).command,
    },
  ],
  [
    'replay',
    {
      usage: 'FILE',
      summary: 'the verdicts out of the evidence that a trace has saved',
      load: async () => (await import('./replay.ts')).command,
    },
  ],
  ['draw', { usage: 'FILE', summary: 'the same picture from a file', load: async () => (await import('./draw.ts')).command }],
  [
    'cleanup',
    {
      usage: 'plan',
      words: ['plan'],
      summary: 'which finished pods would be deleted, and why; it deletes none',
      load: async () => (await import('./cleanup.ts')).command,
    },
  ],
  [
    'doctor',
    {
      usage: '',
      summary: 'what is installed, what you may do, what would be missed',
      load: async () => (await import('./doctor.ts')).command,
    },
  ],
  [
    'controller',
    { usage: '', summary: 'run the controller that records terminations', load: async () => (await import('../main.ts')).main },
  ],
  [
    'completion',
    {
      usage: 'SHELL',
      words: ['bash', 'zsh', 'kubectl'],
      summary: 'what a shell completes',
      load: async () => (await import('./completion.ts')).command,
    },
  ],
  ['version', { usage: '', summary: 'the version of this program', load: async () => (await import('./version.ts')).command }],
])
