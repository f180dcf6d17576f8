// What the test's pods run. It tells its own times: JSON lines {what, at}, `at` in microseconds of the wall clock, cut to
// milliseconds by Node. What it does is chosen by the environment:
//   WORDS     file to append to                          TICK_MS   how often it says that it is still there (0: never)
//   ON_TERM   none (no handler), ignore, exit            EXIT_CODE, EXIT_AFTER_MS   what `exit` does
//   PORT      serve HTTP: /ready (503 once the signal came, if UNREADY_ON_TERM is set), /hook/<status>
//   EAT_AFTER_MS, EAT_ON_TERM   take memory without end (the latter EXIT_AFTER_MS after the signal)
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const { env } = process
const say = (what, more = {}) => {
  if (env.WORDS) appendFileSync(env.WORDS, `${JSON.stringify({ what, at: Date.now() * 1000, ...more })}\n`)
}

const eaten = []
const eat = () => {
  say('eat')
  for (;;) eaten.push(Buffer.alloc(4 << 20, 1))
}

let ready = true
if (env.ON_TERM !== undefined && env.ON_TERM !== 'none') {
  for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGQUIT']) {
    process.on(signal, () => {
      say('signal', { signal })
      if (env.UNREADY_ON_TERM) {
        ready = false
        say('unready')
      }
      if (env.EAT_ON_TERM) setTimeout(eat, Number(env.EXIT_AFTER_MS ?? 0))
      if (env.ON_TERM === 'exit') {
        setTimeout(
          () => {
            say('exit', { code: Number(env.EXIT_CODE ?? 0) })
            process.exit(Number(env.EXIT_CODE ?? 0))
          },
          Number(env.EXIT_AFTER_MS ?? 0),
        )
      }
    })
  }
}

if (env.PORT) {
  createServer((request, response) => {
    if (request.url === '/ready') {
      response.writeHead(ready ? 200 : 503).end()
    } else if (request.url?.startsWith('/hook/')) {
      say('hook-start')
      response.writeHead(Number(request.url.slice('/hook/'.length))).end(() => say('hook-end'))
    } else {
      response.end('ok\n')
    }
  }).listen(Number(env.PORT), () => say('listening'))
}
if (env.EAT_AFTER_MS) setTimeout(eat, Number(env.EAT_AFTER_MS))
if (env.EXIT_WITHOUT_TERM_MS) {
  setTimeout(() => {
    say('exit', { code: Number(env.EXIT_CODE ?? 0) })
    process.exit(Number(env.EXIT_CODE ?? 0))
  }, Number(env.EXIT_WITHOUT_TERM_MS))
}
const tick = Number(env.TICK_MS ?? 0)
setInterval(() => tick && say('tick'), tick || 60_000)
say('start')
