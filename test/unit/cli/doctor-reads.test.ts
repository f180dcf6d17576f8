/** What `doctor` reads of a cluster that no single page of the API holds. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { gatherFacts } from '../../../src/cli/doctor-reads.ts'
import { judge } from '../../../src/core/doctor/judge.ts'
import { clientOf } from '../kube/support/http.ts'
import { json } from '../kube/support/server.ts'

const NODES = 1201
const nodes = Array.from({ length: NODES }, (_, i) => ({ metadata: { name: `node-${String(i).padStart(4, '0')}` } }))
/** In another order than the nodes: by their random names, as the API server has them. */
const agents = nodes.map(({ metadata: { name } }, i) => ({
  metadata: { name: `agent-${(i * 7919) % NODES}`, namespace: 'gracewatch-agent-system' },
  spec: { nodeName: name },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
}))
agents.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name))

async function cluster(without?: string) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server')
    if (pathname === '/version') return json(response, 200, { gitVersion: 'v1.37.2' })
    const component = searchParams.get('labelSelector') ?? ''
    const items =
      pathname === '/api/v1/nodes'
        ? nodes
        : pathname === '/api/v1/pods' && component.includes('component=agent')
          ? agents.filter(({ spec }) => spec.nodeName !== without)
          : []
    const [from, limit] = [Number(searchParams.get('continue') ?? 0), Number(searchParams.get('limit') ?? items.length)]
    const rest = from + limit < items.length ? { continue: String(from + limit) } : {}
    return json(response, 200, { metadata: rest, items: items.slice(from, from + limit) })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const http = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) // a listening TCP server has one
  return await gatherFacts({ http, namespace: 'shop', now: () => 0, skew: () => 0 })
}

it('every node and every agent, page by page', async () => {
  const facts = await cluster()
  expect(facts.nodes).toEqual({ found: nodes.map(({ metadata }) => metadata.name) })
  expect('found' in facts.agents && facts.agents.found.length).toBe(NODES)
  expect(judge(facts).find(({ about }) => about === 'agent')).toMatchObject({ health: 'Ok' })
})

it('so that the one node without an agent is named', async () => {
  const check = judge(await cluster('node-1100')).find(({ about }) => about === 'agent')
  expect(check).toMatchObject({ health: 'Warning' })
  expect(JSON.stringify(check)).toContain('node-1100')
})
