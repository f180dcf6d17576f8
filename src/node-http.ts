/**
 * node:http without an import of it. An import reads every export to make a namespace of them, `WebSocket` too, and for that one Node loads
 * its own copy of undici: 5 MB of resident memory (Node 24.21: 56.7 MB with an import of node:https and node:http, 51.0 MB so).
 */
export const { Agent, createServer, request } = process.getBuiltinModule('node:http')
