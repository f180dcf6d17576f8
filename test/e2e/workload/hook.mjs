// A preStop hook of the test's pods: hook.mjs SECONDS [EXIT_CODE]. Says when it starts, that it is still there, and when it ends.
import { appendFileSync, readFileSync } from 'node:fs'

const [seconds = '0', code = '0'] = process.argv.slice(2)
const say = (what, more = {}) => {
  const words = process.env.WORDS
  if (words) appendFileSync(words, `${JSON.stringify({ what, at: Date.now() * 1000, ...more })}\n`)
}
// Field 22 of stat (the 20th after the name's closing bracket) is the start of this process in ticks since boot.
const stat = readFileSync('/proc/self/stat', 'utf8')
say('hook-start', { startTicks: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) })
const ticks = setInterval(() => say('hook-tick'), 50)
setTimeout(() => {
  clearInterval(ticks)
  say('hook-end', { code: Number(code) })
  process.exit(Number(code))
}, Number(seconds) * 1000)
