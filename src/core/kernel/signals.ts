/** Numbers and names of signals on Linux (x86, arm, riscv, power, s390; not mips). */

export const SIGKILL = 9
export const SIGTERM = 15
export const SIGCHLD = 17

const NAMES = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
] as const

/** Real-time signals count from 34, as glibc, the runtimes and Kubernetes have it. */
const RTMIN = 34
const RTMAX = 64

export function signalName(number: number): string {
  if (number === RTMIN) return 'SIGRTMIN'
  if (number > RTMIN && number <= RTMAX) return `SIGRTMIN+${number - RTMIN}`
  return NAMES[number - 1] ?? `signal ${number}`
}
