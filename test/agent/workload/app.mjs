// A program that takes the stop signal: writes the monotonic time (microseconds) of its start and of the signal, and ends after a while.
// app.mjs NAME [--after MS] [--signal SIGNAL] [--ignore] [--child]
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'

const [name, ...words] = process.argv.slice(2)
const value = (flag, fallback) => (words.includes(flag) ? words[words.indexOf(flag) + 1] : fallback)
const mono = () => Number(process.hrtime.bigint() / 1000n)
const signal = value('--signal', 'SIGTERM')
process.on(signal, () => {
  writeFileSync(`/out/${name}.signal`, String(mono()))
  if (words.includes('--ignore')) return
  setTimeout(() => process.exit(Number(value('--code', '0'))), Number(value('--after', '0')))
})
if (words.includes('--child')) spawn('sleep', ['1000'], { stdio: 'ignore' })
writeFileSync(`/out/${name}.start`, String(mono()))
setInterval(() => {}, 1000)
