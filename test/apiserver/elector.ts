/** One replica as a process of its own, for the tests to stop and go on with: prints what it is and what its guard says. */
import { createClock } from '../../src/kube/clock.ts'
import { openConnection } from '../../src/kube/connection.ts'
import { LeaderElector } from '../../src/kube/lease.ts'

const [kubeconfig, namespace = '', name = '', identity = ''] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)
const clock = createClock()
const { http } = await openConnection({ kubeconfig, clock })
const elector = new LeaderElector({
  http,
  clock,
  log: { debug() {}, info() {}, warn() {}, error() {} },
  namespace,
  name,
  identity,
  leaseDurationMs: 3000,
  renewDeadlineMs: 2000,
  retryPeriodMs: 500,
  onStartedLeading: () => say('leads'),
  onStoppedLeading: (reason) => say(`stopped: ${reason}`),
})
elector.start()
let last = performance.now()
setInterval(() => {
  const now = performance.now()
  // The first thing that runs after a stop of the process: a write would be tried here.
  if (now - last > 1500) {
    try {
      elector.guard()
      say('guard let a write pass')
    } catch {
      say('guard refused a write')
    }
  }
  last = now
}, 10)
process.on('SIGTERM', () => void elector.stop().then(() => process.exit(0)))
