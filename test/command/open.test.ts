/** `gracewatch open` as a process, with the page of it that a browser would get. The API server is the tests' own. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Answer, fail, TestApiServer } from '../unit/kube/support/server.ts'
import { forcedKill } from '../unit/render/records.ts'
import { kubeconfigOf, type Running, started } from './support.ts'

const root = resolve(import.meta.dirname, '../..')
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function open(args: readonly string[], answers: readonly Answer[] = []) {
  const server = await TestApiServer.start()
  cleanups.push(() => server.stop())
  server.answers.push(...answers)
  server.world.create('web-1', { ...forcedKill() })
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-open-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf(server.url))
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'open', '--kubeconfig', kubeconfig, ...args])
  cleanups.push(() => child.kill('SIGKILL'))
  return { server, running: started(child) }
}

async function addressOf({ output, ended }: Running): Promise<string> {
  await Promise.race([ended, expect.poll(() => output.stdout, { timeout: 15_000 }).toContain('\n')])
  expect(output.stdout, output.stderr).toMatch(/^http:\/\/127(?:\.\d+){3}:\d+\/\?key=[\w-]{24}\n$/)
  return output.stdout.trim()
}

describe('open', () => {
  it('prints an address that shows the records of every namespace to who has its key, until it is interrupted', async () => {
    const { server, running } = await open([])
    const address = await addressOf(running)
    const first = await fetch(address, { redirect: 'manual' })
    const cookie = first.headers.get('set-cookie')?.split(';')[0] ?? ''
    const { origin } = new URL(address)
    const list = await (await fetch(`${origin}/`, { headers: { cookie } })).text()
    expect(list).toContain('href="/records/shop/web-1"')
    expect((await fetch(`${origin}/`)).status).toBe(403)
    await expect.poll(() => running.output.stderr).toBe('Shows all namespaces, with your rights, until Ctrl-C.\n')
    expect(new Set(server.requests.map(({ path }) => path))).toEqual(new Set(['/apis/gracewatch.dev/v1alpha1/podterminations']))
    running.child.kill('SIGINT')
    expect(await running.ended).toBe(0)
  })

  it('shows the namespace of the context to who may not read all', async () => {
    const forbidden = fail(403, 'Forbidden', 'podterminations.gracewatch.dev is forbidden')
    const { server, running } = await open([], [forbidden])
    await addressOf(running)
    await expect.poll(() => running.output.stderr).toBe('Shows namespace shop, with your rights, until Ctrl-C.\n')
    expect(server.requests.slice(1).map(({ path }) => path)).toEqual(
      server.requests.slice(1).map(() => '/apis/gracewatch.dev/v1alpha1/namespaces/shop/podterminations'),
    )
  })

  it.each<[string, string[], Answer[], number, RegExp]>([
    [
      'all were asked for and may not be read',
      ['-A'],
      [fail(403, 'Forbidden', 'forbidden')],
      1,
      /Ask for the right to get and list/,
    ],
    ['nothing may be read', [], Array(2).fill(fail(403, 'Forbidden', 'forbidden')), 1, /Ask for the right to get and list/],
    [
      'there are no such records',
      [],
      [fail(404, 'NotFound', 'the server could not find it')],
      1,
      /is Gracewatch installed there\?/,
    ],
    ['the port is none', ['--port=99999'], [], 2, /--port 99999: write a port from 1 to 65535/],
    ['the port is 0', ['--port=0'], [], 2, /--port 0: write a port from 1 to 65535/],
    ['a pod is named', ['web-1'], [], 2, /gracewatch show web-1 shows one termination/],
  ])('ends with one line where %s', async (_, args, answers, code, message) => {
    const { running } = await open(args, answers)
    expect(await running.ended).toBe(code)
    expect(running.output.stdout).toBe('')
    expect(running.output.stderr).toMatch(/^gracewatch: [^\n]+\n$/)
    expect(running.output.stderr).toMatch(message)
  })
})
