// Asks one URL over and over, each time over a new connection, as different clients would. Once a second it prints the sums
// so far as one line of JSON: {"requests": 120, "failed": 0, "errors": {}}.
import { Agent, get } from 'node:http'

const [url = '', perSecond = '20'] = process.argv.slice(2)
const agent = new Agent({ keepAlive: false })
const sums = { requests: 0, failed: 0, errors: {} }

function ask() {
  let over = false
  const end = (why) => {
    if (over) return
    over = true
    sums.requests += 1
    if (why === undefined) return
    sums.failed += 1
    sums.errors[why] = (sums.errors[why] ?? 0) + 1
  }
  const request = get(url, { agent, timeout: 5000 }, (response) => {
    response.resume()
    response.on('end', () => end(response.statusCode === 200 ? undefined : `status ${response.statusCode}`))
    response.on('error', (error) => end(error.code ?? error.message))
  })
  request.on('timeout', () => {
    end('no answer in 5 s')
    request.destroy()
  })
  request.on('error', (error) => end(error.code ?? error.message))
}

setInterval(ask, 1000 / Number(perSecond))
setInterval(() => console.log(JSON.stringify(sums)), 1000)
process.on('SIGTERM', () => process.exit(0))
