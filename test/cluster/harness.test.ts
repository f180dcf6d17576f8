import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildImageFile } from './image-tar.ts'
import { findRelease, releases } from './kubernetes.ts'
import { acquireLock } from './lock.ts'
import { identify, kill, signal, startDetached, stateOf, stop } from './processes.ts'
import { copySources } from './product-image.ts'
import { formatSeconds, type Progress, silentProgress } from './progress.ts'
import { tryRun } from './run.ts'
import { readSettings } from './settings.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-harness-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('processes', () => {
  const start = (script: string) =>
    startDetached({ command: '/bin/sh', args: ['-c', script], env: {}, cwd: '/', logFile: join(folder, 'log') })

  it('takes a reused pid for another process', async () => {
    const id = await start('sleep 60 & wait')
    expect(stateOf(id)).toBe('running')
    expect(stateOf({ ...id, startTicks: String(Number(id.startTicks) - 1) })).toBe('gone')
    expect(signal({ ...id, startTicks: '1' }, 'SIGKILL')).toBe(false)
    expect(stateOf(id)).toBe('running')
    await kill(id)
    expect(stateOf(id)).toBe('gone')
    expect(identify(id.pid)).toBeUndefined()
  })

  it('sees a paused process, and stops it gracefully nevertheless', async () => {
    const id = await start('trap "echo bye; exit 0" TERM; while true; do sleep 0.05; done')
    await sleep(200)
    signal(id, 'SIGSTOP')
    await sleep(50)
    expect(stateOf(id)).toBe('paused')
    await stop(id, 5_000)
    expect(stateOf(id)).toBe('gone')
    expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('bye\n')
  })

  it('kills what ignores SIGTERM once its grace is over', async () => {
    const id = await start('trap "" TERM; while true; do sleep 0.05; done')
    await sleep(200)
    const started = performance.now()
    await stop(id, 300)
    expect(stateOf(id)).toBe('gone')
    expect(performance.now() - started).toBeGreaterThanOrEqual(300)
  })

  it('says which command cannot be started', async () => {
    const missing = { command: '/nowhere/etcd', args: [], env: {}, cwd: '/', logFile: join(folder, 'log') }
    await expect(startDetached(missing)).rejects.toThrow(/\/nowhere\/etcd could not be started/)
  })
})

describe('the lock', () => {
  const heard = () => {
    const lines: string[] = []
    const progress: Progress = {
      say: (line) => void lines.push(line),
      step: (title, work) => {
        lines.push(title)
        return work(() => undefined)
      },
    }
    return { lines, progress }
  }
  /** Another process that takes the lock, says so, and holds it until it is killed. */
  const holder = async (name: string) => {
    const script = `
      import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}
      import { silentProgress } from ${JSON.stringify(join(import.meta.dirname, 'progress.ts'))}
      await acquireLock(${JSON.stringify(name)}, 'the other command', silentProgress)
      console.log('held')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise<void>((done) => child.stdout.once('data', () => done()))
    return child
  }

  it('waits for another process, names it, and gets its turn when that is killed', async () => {
    const name = `gracewatch-test ${folder}`
    const other = await holder(name)
    const { lines, progress } = heard()
    let mine = false
    const acquired = acquireLock(name, 'my command', progress).then((lock) => {
      mine = true
      return lock
    })
    await sleep(400)
    expect(mine).toBe(false)
    expect(lines).toEqual([
      `the cluster is in use by "the other command" (pid ${other.pid})`,
      `waiting for "the other command" (pid ${other.pid}) to end`,
    ])
    other.kill('SIGKILL')
    await (await acquired).release()
    expect(mine).toBe(true)
  })

  it('waits for a holder that is stopped and cannot say who it is', async () => {
    const name = `gracewatch-test ${folder}`
    const other = await holder(name)
    other.kill('SIGSTOP')
    const { lines, progress } = heard()
    const acquired = acquireLock(name, 'my command', progress)
    await sleep(4_000)
    expect(lines[0]).toMatch(/^the cluster is in use by ".*node .*the other command.*" \(pid \d+\)$/s)
    expect(lines[0]).toContain(`(pid ${other.pid})`)
    other.kill('SIGKILL')
    await (await acquired).release()
  })

  it('is shared with the processes below its holder', async () => {
    const name = `gracewatch-test ${folder}`
    const lock = await acquireLock(name, 'outer', silentProgress)
    const child = await holder(name)
    child.kill('SIGKILL')
    const again = await acquireLock(name, 'same process', silentProgress)
    await again.release()
    await lock.release()
  })

  it('goes to one of many at a time', async () => {
    const name = `gracewatch-test ${folder}`
    const log = join(folder, 'turns')
    const contender = `
      import { appendFileSync } from 'node:fs'
      import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}
      import { silentProgress } from ${JSON.stringify(join(import.meta.dirname, 'progress.ts'))}
      const lock = await acquireLock(${JSON.stringify(name)}, 'contender', silentProgress)
      appendFileSync(${JSON.stringify(log)}, 'in ')
      await new Promise((done) => setTimeout(done, 100))
      appendFileSync(${JSON.stringify(log)}, 'out ')
      await lock.release()`
    const run = () => tryRun(process.execPath, ['--input-type=module-typescript', '-e', contender])
    expect((await Promise.all([run(), run(), run()])).map((result) => result.code)).toEqual([0, 0, 0])
    expect(readFileSync(log, 'utf8')).toBe('in out in out in out ')
  })
})

describe('image files', () => {
  const recipe = (inputs: string[], text: string) => ({
    name: 'probe',
    version: '1',
    inputs,
    config: { Env: [], Cmd: ['/hello'] },
    fill: async (rootfs: string) => writeFileSync(join(rootfs, 'hello'), text),
  })

  it('have a tag made from their content and are built once', async () => {
    const first = await buildImageFile(recipe(['a'], 'one'), folder)
    const again = await buildImageFile(recipe(['a'], 'never written'), folder)
    const other = await buildImageFile(recipe(['b'], 'two'), folder)
    expect(first.reference).toMatch(/^localhost\/gracewatch-test\/probe:1-[0-9a-f]{8}$/)
    expect(again).toEqual(first)
    expect(other.reference).not.toBe(first.reference)
  })

  it('are the same for the same content, whenever they are made', async () => {
    const configOf = async (cache: string) => {
      const { tarPath } = await buildImageFile(recipe(['a'], 'one'), join(folder, cache))
      return (await tryRun('tar', ['--extract', '--to-stdout', '--file', tarPath, './manifest.json'])).stdout
    }
    const first = await configOf('x')
    await sleep(1_100)
    expect(await configOf('y')).toBe(first)
  })
})

describe('releases', () => {
  const { cacheDir } = readSettings()

  it('are those that have a Go module here', () => {
    expect(releases(cacheDir).map((release) => release.version)).toEqual(['v1.37.2', 'v1.34.4'])
  })

  it('are named in the refusal of another', () => {
    expect(() => findRelease('v1.2.3', cacheDir)).toThrow(
      /no Kubernetes v1\.2\.3 here: set KUBE_VERSION to one of v1\.37\.2, v1\.34\.4/,
    )
  })
})

it('an image is named by what its Dockerfile copies from the tree', () => {
  const dockerfile = [
    'FROM a AS build',
    'COPY package.json package-lock.json ./',
    'COPY --chown=1:1 src \\',
    '  ./src',
    'ADD crds/*.yaml /x/',
    'COPY --from=build /app /app',
  ]
  expect(copySources(dockerfile.join('\n'))).toEqual(['package.json', 'package-lock.json', 'src', 'crds/'])
})

it('durations are readable', () => {
  expect([940, 9_949, 42_400, 185_000].map(formatSeconds)).toEqual(['0.9 s', '9.9 s', '42 s', '3 min 05 s'])
})

describe('the command line', () => {
  const cluster = (...args: string[]) =>
    tryRun(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
      env: { GRACEWATCH_CLUSTER_DIR: join(folder, 'none') },
    })

  it.each([
    { args: [], says: /^npm run cluster -- COMMAND/ },
    { args: ['upp'], says: /^cluster: there is no command "upp": choose from up, env, images, install, status, logs, down\n$/ },
    { args: ['up', '--fast'], says: /^cluster: up does not know "--fast": it takes --control-plane\n$/ },
    { args: ['env', 'x'], says: /^cluster: env does not know "x": it takes no arguments\n$/ },
    { args: ['logs', 'kubectl'], says: /^cluster: there is no part "kubectl": choose from etcd, / },
    { args: ['install', '--gate'], says: /^cluster: install does not know "--gate": it takes --agent, --gates, --cleanup\n$/ },
  ])('refuses $args with exit code 2', async ({ args, says }) => {
    const result = await cluster(...args)
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(says) })
  })

  it.each(['env', 'images', 'logs'])('%s prints nothing to standard output where no cluster is up', async (command) => {
    const result = await cluster(command)
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/no cluster is up/) })
  })

  it('down and status know that there is none', async () => {
    expect(await cluster('down')).toMatchObject({ code: 0, stderr: 'no cluster is up\n' })
    expect(await cluster('status')).toMatchObject({ code: 1, stdout: 'no cluster is up\n' })
  })

  it('help fits into 100 columns', async () => {
    const help = await cluster('--help')
    expect(help.code).toBe(0)
    expect(Math.max(...help.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })
})
