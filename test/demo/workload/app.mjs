// The app of the experiments. It says when SIGTERM reached it and then once a second that it is still there.
//   app.mjs            goes on all the same, as the article's app does
//   app.mjs SECONDS    ends by itself with exit code 0, so many seconds after SIGTERM
const shutdown = process.argv[2]
const started = Date.now()
const log = (text) => console.log(`${new Date().toISOString()} ${text}`)

process.on('SIGTERM', () => {
  log('SIGTERM received')
  const at = Date.now()
  setInterval(() => log(`${Math.round((Date.now() - at) / 1000)} s since SIGTERM`), 1000)
  if (shutdown !== undefined) {
    setTimeout(() => {
      log('shut down')
      process.exit(0)
    }, Number(shutdown) * 1000)
  }
})
setInterval(() => undefined, 60_000)
log(`running, ${Date.now() - started} ms after its start`)
