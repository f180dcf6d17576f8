/** What reads records, as a process, at a server on loopback that lists and watches as kube-apiserver does. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { TestApiServer } from '../unit/kube/support/server.ts'
import { byName, parseMarkup, textOf } from '../unit/page/xml.ts'
import { forcedKill, graceful, overdue, terminating } from '../unit/render/records.ts'
import { kubeconfigOf } from './support.ts'

const root = resolve(import.meta.dirname, '../..')

async function given(command: string, ...args: string[]) {
  const server = await TestApiServer.start()
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-watch-'))
  const kubeconfig = join(folder, 'config')
  writeFileSync(kubeconfig, kubeconfigOf(server.url))
  const object = (name: string, record: PodTermination) => ({ ...record, pod: { ...record.pod, name } })
  const put = (name: string, record: PodTermination) => server.world.create(name, object(name, record)).metadata.uid
  const change = (uid: string, name: string, record: PodTermination) => server.world.update(uid, object(name, record))
  const start = () => {
    const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), command, '--kubeconfig', kubeconfig, ...args], {
      env: { ...process.env, TZ: 'UTC' },
    })
    const [lines, errors]: [string[], string[]] = [[], []]
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    createInterface({ input: child.stderr }).on('line', (line) => errors.push(line))
    const ended = new Promise<number | null>((done) => child.on('close', done))
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await ended
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    return { child, lines, errors, ended }
  }
  return { server, put, change, start }
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 15_000, interval: 20 })

describe('watch', () => {
  it('begins with what is under way, tells each step once, and ends well at Ctrl-C', async () => {
    const { server, put, change, start } = await given('watch')
    put('old', graceful())
    put('stuck', overdue().record)
    const { child, lines, errors, ended } = start()
    const words = () => lines.map((line) => line.split(/ {2,}/).slice(1, 3))
    await until(() =>
      expect(words()).toEqual([
        ['POD', 'OUTCOME'],
        ['stuck', 'Overdue'],
      ]),
    )
    await until(() => expect(server.watching).toBe(1))
    const live = put('live', terminating().record)
    put('quick', graceful())
    // Another write, and no other step.
    change(live, 'live', terminating().record)
    change(live, 'live', forcedKill())
    await until(() =>
      expect(words().slice(2)).toEqual([
        ['live', 'Terminating'],
        ['quick', 'Graceful'],
        ['live', 'ForcedKill'],
      ]),
    )
    child.kill('SIGINT')
    expect({ code: await ended, errors, shown: lines.length }).toEqual({ code: 0, errors: [], shown: 5 })
  })

  it('goes on after its connection broke, and tells what came meanwhile', async () => {
    const { server, put, start } = await given('watch')
    const { lines } = start()
    await until(() => expect(server.watching).toBe(1))
    server.resetWatches()
    put('missed', graceful())
    await until(() => expect(lines.at(-1)).toMatch(/ missed +Graceful /))
  })

  it('draws those that are over, and says nothing before', async () => {
    const { server, put, change, start } = await given('watch', '-o', 'drawing', '--width=80')
    const { lines } = start()
    await until(() => expect(server.watching).toBe(1))
    const live = put('live', terminating().record)
    put('well', graceful())
    change(live, 'live', forcedKill())
    const heads = () => lines.filter((line) => line.startsWith('shop/'))
    await until(() => expect(heads()).toHaveLength(2))
    expect(heads().map((line) => [line.split(' ')[0], / {2,}([A-Z ]+)$/.exec(line)?.[1]])).toEqual([
      ['shop/well', 'GRACEFUL'],
      ['shop/live', 'FORCED KILL'],
    ])
    await until(() => expect(lines.filter((line) => /▒ preStop \(exec\) ▒+T─+✖ 137$/.test(line))).toHaveLength(1))
  })

  it('writes those that the flags choose, as records', async () => {
    const { server, put, start } = await given('watch', '--outcome=ForcedKill', '-o', 'json')
    const { lines } = start()
    await until(() => expect(server.watching).toBe(1))
    put('well', graceful())
    put('forced', forcedKill())
    await until(() => expect(lines).toHaveLength(1))
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ kind: 'PodTermination', outcome: 'ForcedKill', pod: { name: 'forced' } })
  })
})

/** To its end. */
async function ran(command: string, ...args: string[]) {
  const { server, put, start } = await given(command, ...args)
  put('forced-0', forcedKill())
  put('well-0', graceful())
  put('stuck-0', overdue().record)
  const { lines, errors, ended } = start()
  return { code: await ended, lines, errors, server }
}

describe('list', () => {
  it('chooses by the flags, and has the API server leave out what labels tell', async () => {
    const { code, lines, errors, server } = await ran('list', '--outcome=forcedkill', '--workload=deploy/web')
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    expect(lines[1]).toMatch(/ forced-0 +ForcedKill +Deleted +15 s +17\.4 s +PreStopOverran$/)
    expect(lines).toContain('1 termination: 1 ForcedKill')
    expect(server.requests.map(({ query }) => query.get('labelSelector'))).toEqual([
      'gracewatch.dev/outcome in (ForcedKill),gracewatch.dev/workload=web',
    ])
  })

  it('leaves out what was over before, and not what goes on', async () => {
    const { lines } = await ran('list', '--since=1ms')
    expect(lines.filter((line) => line.includes('-0 ')).map((line) => line.split(/ {2,}/)[1])).toEqual(['stuck-0'])
  })

  it('says that there is nothing of what is asked for', async () => {
    const { code, lines, errors } = await ran('list', '--finding=ClockSkew')
    expect({ code, lines, errors }).toEqual({
      code: 0,
      lines: [],
      errors: ['No terminations recorded in namespace shop that are as the flags ask for.'],
    })
  })
})

describe('show', () => {
  it.each(['svg', 'html'])('writes the termination of a pod as %s', async (format) => {
    const { server, put, start } = await given('show', 'forced-0', '-o', format)
    put('forced-0', forcedKill())
    const { lines, errors, ended } = start()
    expect({ code: await ended, errors }).toEqual({ code: 0, errors: [] })
    expect(server.requests.map(({ query }) => query.get('fieldSelector'))).toEqual(['pod.name=forced-0'])
    const page = parseMarkup(lines.join('\n'))
    expect(page.name).toBe(format)
    expect(format === 'svg' ? [page] : byName(page, 'svg')).toHaveLength(1)
    expect(textOf(page)).toContain('shop/forced-0')
    expect(textOf(page)).toContain('FORCED KILL')
  })
})

describe('summary', () => {
  it('tells what the workload needs, and gives the numbers to other programs', async () => {
    const { code, lines, errors } = await ran('summary')
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    expect(lines[1]).toMatch(/^Deployment shop\/web +2 +1 +0\.48 s +≥17 s +≥17 s +≥/)
    expect(lines).toContain('Deployment shop/web: terminationGracePeriodSeconds: 35 instead of 30')
    const json = await ran('summary', '-o', 'json')
    expect(JSON.parse(json.lines.join('\n'))).toMatchObject([
      { workload: { name: 'web' }, terminations: 2, ongoing: 1, forced: 1, recommendation: { grace: { sureness: 'Low' } } },
    ])
  })
})
