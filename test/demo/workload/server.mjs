// A web server that ends well: on SIGTERM it takes no new connections, finishes what it has begun and exits 0.
import { createServer } from 'node:http'

const server = createServer((_request, response) => {
  // Long enough that a server which is killed in the middle of its work would be noticed.
  setTimeout(() => response.end('ok\n'), 50)
})
server.keepAliveTimeout = 1000
server.listen(8080, () => console.log('listening'))
process.on('SIGTERM', () => {
  console.log('SIGTERM received')
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
