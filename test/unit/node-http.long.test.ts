import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const run = promisify(execFile)
const ROOT = new URL('../../', import.meta.url)

/** Whether a process that imports these has Node's own copy of undici in memory. */
async function loadsUndici(...modules: string[]): Promise<boolean> {
  const script = `
    for (const name of ${JSON.stringify(modules)}) await import(name)
    process.stdout.write(JSON.stringify(process.moduleLoadList.filter((name) => name.endsWith('/undici'))))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: ROOT,
    env: { PATH: process.env.PATH },
  })
  const found: unknown = JSON.parse(stdout)
  return Array.isArray(found) && found.length > 0
}

it('no part of the agent or the controller has Node load its own undici, which costs 5 MB', async () => {
  const parts = [
    'agent/agent',
    'kube/lean-http-client',
    'web/health',
    'web/metrics-port',
    'metrics/agent',
    'controllers/gatekeeper/create',
    'kube/connection',
  ]
  expect(await loadsUndici(...parts.map((part) => new URL(`src/${part}.ts`, ROOT).href))).toBe(false)
  // What an import of node:http does, so that this test is known to see it.
  expect(await loadsUndici('node:http')).toBe(true)
})
