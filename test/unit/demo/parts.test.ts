import { WriteStream } from 'node:tty'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { displayWidth } from '../../../src/render/text.ts'
import type { Progress } from '../../cluster/progress.ts'
import { EXPERIMENTS } from '../../demo/experiments.ts'
import { AGENT_MANIFESTS, limitedTo, readManifests } from '../../demo/manifests.ts'
import { pause, until } from '../../demo/objects.ts'
import { trafficWords } from '../../demo/rolling-update.ts'
import { doingWords } from '../../demo/run.ts'
import { hasColour, Screen } from '../../demo/screen.ts'
import { Undo } from '../../demo/undo.ts'
import { forcedKill } from '../render/records.ts'

describe('the status line', () => {
  it('groups the experiments by what they do', () => {
    const doing = new Map([
      [3, 'ending'],
      [1, 'starting'],
      [2, 'ending'],
      [5, ''],
    ])
    expect(doingWords(doing)).toBe('starting 1 · ending 2 3')
  })
})

describe('the sentence about the traffic', () => {
  it('is short where nothing failed', () => {
    expect(trafficWords({ requests: 261, failed: 0, errors: {} })).toBe('0 of 261 requests failed during the rolling update.')
  })
  it('names the errors', () => {
    expect(trafficWords({ requests: 9, failed: 3, errors: { ECONNREFUSED: 2, 'status 503': 1 } })).toBe(
      '3 of 9 requests failed during the rolling update: 2 × ECONNREFUSED, 1 × status 503.',
    )
  })
})

describe('the screen', () => {
  /** A terminal that nobody looks at. */
  function terminal(columns: number) {
    let text = ''
    const stream: WriteStream = Object.assign(Object.create(WriteStream.prototype) as WriteStream, { isTTY: true, columns }) // has no descriptor
    stream.write = (chunk: unknown) => {
      text += String(chunk)
      return true
    }
    return { stream, lines: () => stripVTControlCharacters(text.replaceAll('\r', '')).split('\n') }
  }

  it.each([60, 80, 100, 140])('of %i columns holds titles, drawings and checks', (columns) => {
    const out = terminal(columns)
    const screen = new Screen(out.stream, out.stream, {})
    const checks = EXPERIMENTS.flatMap(({ check }) => check(forcedKill(), true))
    for (const { number, title, name } of EXPERIMENTS)
      screen.result(`${number}  ${title}`, forcedKill(), checks, `out/demo/${name}.yaml`)
    for (const { title } of EXPERIMENTS) screen.print(...screen.check({ ok: true, words: title }))
    for (const line of out.lines()) expect(displayWidth(line), line).toBeLessThanOrEqual(Math.min(columns, 100))
    const text = out.lines().join(' ').replaceAll(/ +/g, ' ')
    for (const { title } of EXPERIMENTS) expect(text).toContain(title)
  })
})

describe('colour', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ])('on a terminal: %s, with %j: %s', (isTTY, env, wanted) => {
    expect(hasColour(isTTY, env)).toBe(wanted)
  })
})

describe('the manifests in a named cluster', () => {
  it('begin with the CRD and hold what a controller needs', () => {
    const kinds = readManifests().map(({ kind }) => kind)
    expect(kinds[0]).toBe('CustomResourceDefinition')
    for (const kind of ['Namespace', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Deployment']) {
      expect(kinds).toContain(kind)
    }
  })

  it('run the named image and look at one namespace', () => {
    const deployment = readManifests().find(({ kind }) => kind === 'Deployment')
    if (deployment === undefined) throw new Error('the manifests have no Deployment')
    const text = JSON.stringify(limitedTo('demo-1', 'here:1', deployment))
    expect(text).toContain('"image":"here:1"')
    expect(text).toContain('{"name":"GRACEWATCH_NAMESPACES","value":"demo-1"}')
    expect(text).toContain('"GRACEWATCH_POD_NAME"')
  })
})

describe("the agent's manifests in a named cluster", () => {
  it('have the policy before what it holds', () => {
    const kinds = readManifests(AGENT_MANIFESTS).map(({ kind }) => kind)
    expect(kinds.indexOf('ValidatingAdmissionPolicyBinding')).toBeLessThan(kinds.indexOf('ClusterRoleBinding'))
    expect(kinds.at(-1)).toBe('DaemonSet')
  })

  it('run the named image and measure one namespace', () => {
    const daemonSet = readManifests(AGENT_MANIFESTS).find(({ kind }) => kind === 'DaemonSet')
    if (daemonSet === undefined) throw new Error('the manifests have no DaemonSet')
    const text = JSON.stringify(limitedTo('demo-1', 'here:1', daemonSet, { GRACEWATCH_RECORDS_NAMESPACE: 'other' }))
    expect(text).toContain('"image":"here:1"')
    expect(text).toContain('{"name":"GRACEWATCH_NAMESPACES","value":"demo-1"}')
    expect(text).toContain('{"name":"GRACEWATCH_RECORDS_NAMESPACE","value":"other"}')
  })
})

describe('undo', () => {
  const silent: Progress = { step: (_, work) => work(() => undefined), say: () => undefined }

  it('takes back in reverse order, goes on after a failure and names it, and does so once', async () => {
    const undo = new Undo()
    const done: string[] = []
    undo.add('first', async () => void done.push('first'))
    undo.add('second', () => Promise.reject(new Error('no way')))
    undo.add('third', async () => void done.push('third'))
    expect(await undo.run(silent)).toEqual(['second failed: no way'])
    expect(done).toEqual(['third', 'first'])
    expect(await undo.run(silent)).toEqual([])
    expect(done).toHaveLength(2)
  })
})

describe('waiting', () => {
  it('ends with what was seen when the time is over', async () => {
    const waited = until(async () => undefined, { what: 'a sign', withinMs: 0, seen: () => 'nothing' })
    await expect(waited).rejects.toThrow('waited 0 s in vain for a sign: nothing')
  })

  it('ends at once, with the reason, when it is stopped', async () => {
    const stop = new AbortController()
    const paused = pause(60_000, stop.signal)
    const waited = until(async () => undefined, { what: 'a sign', withinMs: 60_000, signal: stop.signal })
    const ended = Promise.allSettled([paused, waited])
    stop.abort(new Error('enough'))
    for (const result of await ended) expect(result).toMatchObject({ status: 'rejected', reason: { message: 'enough' } })
    await expect(pause(60_000, stop.signal)).rejects.toThrow('enough')
  })
})
