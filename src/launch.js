#!/usr/bin/env node
// The one file of the project in plain JavaScript: the Node that starts it may be as old as 20, which can neither strip
// types nor load the Kubernetes client. It installs what is missing and goes on under the Node of node_modules.
//
// In a published package it starts what was built, under the Node that is there.
//
//   launch.js ARGS…                 the gracewatch command
//   launch.js --run FILE.ts ARGS…   a script of the repository (what the npm scripts call)
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const stamp = join(modules, '.gracewatch-install')
const nodeBinary = join(modules, '.bin', 'node')

const say = (text) => process.stderr.write(`gracewatch: ${text}\n`)
const wanted = () =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
const installed = () => existsSync(nodeBinary) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted()

/** Waits for another install in the same tree; a lock whose owner is gone is taken over. */
function lock(path) {
  for (;;) {
    try {
      mkdirSync(path)
      writeFileSync(join(path, 'pid'), String(process.pid))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    let owner = 0
    try {
      owner = Number(readFileSync(join(path, 'pid'), 'utf8'))
      process.kill(owner, 0)
    } catch (error) {
      const young = existsSync(path) && Date.now() - statSync(path).mtimeMs < 2000
      if (error.code !== 'EPERM' && !young) rmSync(path, { recursive: true, force: true })
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  }
}

function install() {
  const lockPath = join(root, '.gracewatch-install.lock')
  lock(lockPath)
  try {
    if (installed()) return
    say('installing dependencies (npm ci), about half a minute')
    // Dependencies of this package only: a workspace or a prefix of the caller must not redirect the install.
    const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      stdio: ['ignore', 2, 2],
      env: { ...process.env, npm_config_prefix: undefined, npm_config_local_prefix: undefined },
    })
    if (result.error) throw new Error(`npm could not be started (${result.error.message}): install npm 10 or later`)
    if (result.status !== 0) throw new Error(`npm ci ended with exit code ${result.status}: see its message above`)
    if (!existsSync(nodeBinary))
      throw new Error('npm ci left no node_modules/.bin/node: are install scripts switched off (ignore-scripts)?')
    writeFileSync(stamp, wanted())
  } finally {
    rmSync(lockPath, { recursive: true, force: true })
  }
}

/** npm packs no lock file, and installs the dependencies itself. */
const repository = existsSync(join(root, 'package-lock.json'))

async function runBuilt() {
  const least = 24
  if (Number(process.versions.node.split('.')[0]) >= least) {
    await import('../dist/cli/main.js')
    return
  }
  say(`this needs Node ${least} or later, and ${process.execPath} is ${process.version}`)
  process.exitCode = 1
}

function runSources() {
  if (!installed()) install()
  const argv = process.argv.slice(2)
  const target = argv[0] === '--run' ? [join(root, argv[1] ?? ''), ...argv.slice(2)] : [join(root, 'src/cli/main.ts'), ...argv]
  const path = `${join(modules, '.bin')}:${process.env.PATH ?? ''}`
  // kubectl starts its plugin under this name; by the name of the process the command knows how it was called.
  const plugin = basename(process.argv[1] ?? '').startsWith('kubectl-gracewatch') ? { argv0: 'kubectl-gracewatch' } : {}
  const child = spawn(nodeBinary, target, { ...plugin, stdio: 'inherit', env: { ...process.env, PATH: path } })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // The terminal signals the whole group already; what is sent to this process alone has to be passed on.
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    say(`could not start ${nodeBinary}: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal)
    process.exitCode = code ?? 1
  })
}

try {
  if (repository) runSources()
  else await runBuilt()
} catch (error) {
  say(error.message)
  process.exitCode = 1
}
