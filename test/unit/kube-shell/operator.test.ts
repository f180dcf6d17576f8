import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../../src/kube/http.ts'
import { type Controller, GracewatchOperator } from '../../../src/kube/operator.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const clock = { now: () => Date.now() * 1000 }

/** Takes down what is asked and answers nothing but this. */
function scripted(answer: (request: HttpRequest) => unknown): KubeHttp & { requests: HttpRequest[] } {
  const requests: HttpRequest[] = []
  return {
    requests,
    async request(request) {
      requests.push(request)
      const value = answer(request)
      return { json: () => value } as HttpResponse // nothing else of it is read
    },
    stream: () => Promise.reject(new Error('not used')),
    onResponse: () => () => {},
    close: async () => {},
  }
}

const operatorOn = (http: KubeHttp = scripted(() => ({}))) => new GracewatchOperator({ http, clock, log: quiet })

/** A part that writes down what happens to it. */
function part(name: string, log: string[], overrides: Partial<Controller> = {}): Controller {
  return {
    name,
    start: async () => void log.push(`start ${name}`),
    stop: async () => void log.push(`stop ${name}`),
    ...overrides,
  }
}

describe('life cycle', () => {
  it('starts parts in order and stops them in the opposite one, once', async () => {
    const log: string[] = []
    const operator = operatorOn().add(part('a', log)).add(part('b', log))
    await operator.start()
    await Promise.all([operator.stop(), operator.stop()])
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
    expect(() => operator.add(part('c', log))).toThrow('c: parts are added before start()')
  })

  it('stops what has begun where a part does not start, and says why it did not', async () => {
    const log: string[] = []
    const failing = part('b', log, { start: () => Promise.reject(new Error('no CRD')) })
    const operator = operatorOn().add(part('a', log)).add(failing).add(part('c', log))
    await expect(operator.start()).rejects.toThrow('no CRD')
    expect(log).toEqual(['start a', 'stop b', 'stop a'])
  })

  it('can be stopped while a part is still starting', async () => {
    const log: string[] = []
    const started = Promise.withResolvers<void>()
    const slow = part('slow', log, {
      start: () => started.promise,
      stop: async () => {
        log.push('stop slow')
        started.reject(new Error('aborted'))
      },
    })
    const operator = operatorOn().add(slow).add(part('never', log))
    const starting = operator.start()
    await operator.stop()
    await starting
    expect(log).toEqual(['stop slow'])
  })

  it('stops the others where one cannot be stopped, and reports it', async () => {
    const log: string[] = []
    const stuck = part('b', log, { stop: () => Promise.reject(new Error('stuck')) })
    const operator = operatorOn().add(part('a', log)).add(stuck)
    await operator.start()
    await expect(operator.stop()).rejects.toMatchObject({ errors: [new Error('stuck')] })
    expect(log).toEqual(['start a', 'start b', 'stop a'])
  })
})

describe('the base', () => {
  class Probe extends GracewatchOperator {
    probe = () => ({ api: this.k8sApi, kubeConfig: this.kubeConfig, auth: () => this.applyGaxiosKubeConfigAuth() })
  }

  it('has no client, no HTTP and no credentials of its own', async () => {
    const { api, kubeConfig, auth } = new Probe({ http: scripted(() => ({})), clock, log: quiet }).probe()
    expect(() => api.listNode()).toThrow('use the connection of src/kube')
    await expect(kubeConfig.applyToHTTPSOptions({})).rejects.toThrow('use the connection of src/kube')
    await expect(auth()).rejects.toThrow('credentials do not leave the connection')
  })

  it('leaves the real modules to whoever asks for them next', () => {
    const require = createRequire(createRequire(import.meta.url).resolve('@dot-i/k8s-operator'))
    const client = '@kubernetes/client-node'
    const http = 'gaxios'
    for (const name of [client, http]) expect(require.cache[require.resolve(name)]).toBeUndefined()
    expect(require(http)).toHaveProperty('Gaxios')
  })
})

describe('the finalizer flow', () => {
  const meta = {
    id: 'widgets.example.dev/v1',
    name: 'w',
    namespace: 'shop',
    resourceVersion: '7',
    apiVersion: 'example.dev/v1',
    kind: 'Widget',
  }
  const event = (metadata: object, type = 'ADDED') =>
    ({ meta, type, object: { apiVersion: meta.apiVersion, kind: meta.kind, metadata } }) as Parameters<
      GracewatchOperator['handleResourceFinalizer']
    >[0] // the enum's values are these strings
  const path = '/apis/example.dev/v1/namespaces/shop/widgets/w'

  it('adds the finalizer to the version that it saw, and leaves the watched object as it came', async () => {
    const http = scripted(() => ({}))
    const seen = event({ name: 'w', finalizers: ['other'] })
    expect(await operatorOn(http).handleResourceFinalizer(seen, 'mine', async () => {})).toBe(true)
    expect(http.requests).toEqual([
      {
        method: 'PATCH',
        path,
        contentType: 'application/merge-patch+json',
        body: { metadata: { resourceVersion: '7', finalizers: ['other', 'mine'] } },
      },
    ])
    expect(seen.object.metadata?.finalizers).toEqual(['other'])
  })

  it('removes it after the action only, and lets the failure of either be seen', async () => {
    const log: string[] = []
    const http = scripted(() => void log.push('patched'))
    const seen = event({ name: 'w', finalizers: ['other', 'mine'], deletionTimestamp: '2026-01-01T00:00:00Z' }, 'MODIFIED')
    const operator = operatorOn(http)
    expect(await operator.handleResourceFinalizer(seen, 'mine', async () => void log.push('cleaned up'))).toBe(true)
    expect(log).toEqual(['cleaned up', 'patched'])
    expect(http.requests[0]?.body).toEqual({ metadata: { resourceVersion: '7', finalizers: ['other'] } })

    const fails = operator.handleResourceFinalizer(seen, 'mine', () => Promise.reject(new Error('not cleaned up')))
    await expect(fails).rejects.toThrow('not cleaned up')
    const refusing = operatorOn(
      scripted(() => {
        throw new Error('conflict')
      }),
    )
    await expect(refusing.handleResourceFinalizer(seen, 'mine', async () => {})).rejects.toThrow('conflict')
  })
})
