// A PID 1 that starts workload.mjs as its child, with the same environment, and handles SIGTERM:
//   FORWARD_AFTER_MS   passes it on so much later (absent: never), and ends as the child does
//   LEAVE_AFTER_MS     exits with 0 so much after the signal, whatever the child does
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const { env } = process
const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'workload.mjs')], { stdio: 'inherit' })
if (env.FORWARD_AFTER_MS) child.on('exit', (code) => process.exit(code ?? 1))
process.on('SIGTERM', () => {
  if (env.FORWARD_AFTER_MS) setTimeout(() => child.kill('SIGTERM'), Number(env.FORWARD_AFTER_MS))
  if (env.LEAVE_AFTER_MS) setTimeout(() => process.exit(0), Number(env.LEAVE_AFTER_MS))
})
