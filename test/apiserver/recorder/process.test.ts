/** The process itself: how it starts, what it says when it cannot work, and how it stops. */
import { beforeAll, describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import { ControllerProcess, freePort, spawnController } from './controller.ts'
import { Front } from './front.ts'
import { type Stage, useStage } from './stage.ts'

const host = useStage('process')
let stage: Stage
let namespace: string

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
})

describe('the process', () => {
  it.concurrent('stops on SIGTERM with exit code 0, its Lease released and what was over recorded', async () => {
    const own = await stage.namespace('stops')
    const { controller, front } = await stage.lead({ own, namespaces: [namespace] })
    const pod = await stage.kubelet.pod(namespace, 'last-moment')
    await pod.delete()
    await pod.finish()
    // The removal has arrived; the last Events are still waited for.
    await delay(150)
    const ended = await controller.stop()
    console.log(`stopped after ${Math.round(ended.ms)} ms`)
    expect(ended).toMatchObject({ code: 0, signal: null })
    expect(ended.ms).toBeLessThan(2000)
    expect((await stage.records.complete(pod.uid)).record).toMatchObject({ outcome: 'Graceful' })
    const path = `/apis/coordination.k8s.io/v1/namespaces/${own}/leases/gracewatch-controller`
    const lease = await stage.bed.http.request({ method: 'GET', path })
    expect(lease.json<{ spec: object }>().spec).toMatchObject({ holderIdentity: '' })
    expect(controller.said('released the Lease')).toHaveLength(1)
    expect(controller.lines.all.filter(({ level }) => level === 'error')).toEqual([])
    expect(controller.text).toBe('')
    expect(front.calls('PATCH', /podterminations/)).toHaveLength(1)
  })

  it.concurrent('ends with exit code 2 where settings are wrong, and names all of them', async () => {
    const child = spawnController([
      '--kubeconfig=/nowhere',
      '--record=Some',
      '--lease-duration=1d',
      '--namespace=Caps',
      '--nonsense=1',
    ])
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect(code).toBe(2)
    const lines = stderr.trim().split('\n')
    for (const flag of ['--record', '--lease-duration', '--namespace', '--nonsense'])
      expect(lines.filter((line) => line.includes(`${flag}=`) || line.includes(`${flag}:`))).toHaveLength(1)
  })

  it.concurrent('goes on trying while the API server cannot be reached, says so, and works when it can', async () => {
    const own = await stage.namespace('unreachable')
    const port = await freePort()
    const token = await stage.token(own, stage.group)
    const controller = await ControllerProcess.start({
      server: `http://127.0.0.1:${port}`,
      token,
      namespace: own,
      name: 'early',
      args: [`--namespaces=${namespace}`],
    })
    let front: Front | undefined
    try {
      const line = await controller.says('list or watch failed, trying again')
      expect(line).toMatchObject({ level: 'warn', code: 'Network' })
      expect(line.detail).toContain('ECONNREFUSED')
      const ready = await controller.health('/readyz')
      expect(ready?.status).toBe(503)
      expect(ready?.body).toMatch(/\[-\] cache endpointslices: not listed yet: .*ECONNREFUSED/)
      expect((await controller.health('/livez'))?.status).toBe(200)
      front = await Front.start({ cluster: stage.bed.cluster, group: stage.group, port })
      await controller.ready()
      expect(controller.said('list and watch work again').length).toBeGreaterThan(0)
      // One line for the failure of each watch, however often it was tried.
      const paths = controller.said('list or watch failed, trying again').filter(({ level }) => level === 'warn')
      expect(new Set(paths.map(({ path }) => path)).size).toBeLessThanOrEqual(3)
      expect(paths.length).toBeLessThanOrEqual(4)
      expect(await controller.stop()).toMatchObject({ code: 0 })
    } finally {
      if (controller.running) await controller.kill()
      await front?.close()
    }
  })

  it.concurrent('stops at once while the API server cannot be reached', async () => {
    const server = `http://127.0.0.1:${await freePort()}`
    const controller = await ControllerProcess.start({ server, token: 'none', namespace: 'none', name: 'never' })
    try {
      await controller.says('list or watch failed, trying again')
      const ended = await controller.stop()
      expect(ended).toMatchObject({ code: 0 })
      expect(ended.ms).toBeLessThan(2000)
      expect(controller.said('caches complete')).toEqual([])
      expect(controller.lines.all.filter(({ level }) => level === 'error')).toEqual([])
    } finally {
      if (controller.running) await controller.kill()
    }
  })

  it.concurrent('says which list it has no right to, and is not ready', async () => {
    const own = await stage.namespace('forbidden')
    const { controller, front } = await stage.start({ own, namespaces: [namespace], without: 'pods' })
    const line = await controller.says('list or watch failed, trying again', 20_000, ({ path }) => path === '/api/v1/pods')
    expect(line).toMatchObject({ level: 'warn', code: 'Forbidden' })
    expect(line.detail).toMatch(/pods is forbidden: User ".*" cannot (list|watch) resource "pods"/)
    const ready = await eventually(() => controller.health('/readyz'), 5000, 'an answer of /readyz')
    expect(ready.status).toBe(503)
    expect(ready.body).toMatch(/\[-\] cache pods: not listed yet: .*forbidden/)
    expect(ready.body).toContain('[+] cache endpointslices ok')
    expect((await controller.health('/livez'))?.status).toBe(200)
    // Backed off, not hot.
    expect(front.calls('GET', /\/api\/v1\/pods$/).length).toBeLessThan(10)
    expect(await controller.stop()).toMatchObject({ code: 0 })
  })
})
