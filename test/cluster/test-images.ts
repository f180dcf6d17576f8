import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { ClusterError } from './errors.ts'
import { buildImageFile, type ImageFile, sha256, sha256OfFile, workFolder } from './image-tar.ts'
import type { Binaries } from './kubernetes.ts'
import { findStaticBusybox } from './machine.ts'
import { certificateBundle } from './npm-settings.ts'
import type { Progress } from './progress.ts'
import { run } from './run.ts'

/** What tests run their pods from. */
export interface TestImages {
  readonly busybox: ImageFile
  readonly node: ImageFile
}

const ROOT = resolve(import.meta.dirname, '../..')
const NODE_BINARY = join(ROOT, 'node_modules/node/bin/node')
/** A package of its own, with npm and yarn pinned by its lock file. */
const NODE_TOOLS = join(import.meta.dirname, 'images')
const SYSTEM_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt'

const recipe = () => sha256(readFileSync(import.meta.filename))

/** The image of the container that holds a pod's namespaces. */
export async function buildPauseImage(binaries: Binaries, cacheDir: string): Promise<ImageFile> {
  const hash = await sha256OfFile(binaries.pause)
  return buildImageFile(
    {
      name: 'pause',
      version: '1',
      inputs: [recipe(), hash],
      config: { Env: [SYSTEM_PATH], Cmd: ['/pause'] },
      fill: async (rootfs) => install(binaries.pause, join(rootfs, 'pause')),
    },
    cacheDir,
  )
}

/** The images of the tests, from what the machine has: there is no registry of images to pull them from. */
export async function buildTestImages(cacheDir: string, progress: Progress): Promise<TestImages> {
  const busybox = await findStaticBusybox()
  if (busybox === undefined) throw new ClusterError('there is no statically linked busybox: install the package busybox-static')
  const busyboxHash = await sha256OfFile(busybox)
  const busyboxVersion = /^BusyBox v([\d.]+)/.exec(await run(busybox, []))?.[1] ?? '0'
  return {
    busybox: await buildImageFile(
      {
        name: 'busybox',
        version: busyboxVersion,
        inputs: [recipe(), busyboxHash],
        config: { Env: [SYSTEM_PATH], Cmd: ['/bin/sh'] },
        fill: (rootfs) => fillBusybox(rootfs, busybox),
      },
      cacheDir,
    ),
    node: await progress.step('building the Node image', () => nodeImage(busybox, busyboxHash, cacheDir)),
  }
}

async function nodeImage(busybox: string, busyboxHash: string, cacheDir: string): Promise<ImageFile> {
  if (!existsSync(NODE_BINARY)) throw new ClusterError(`${NODE_BINARY} is missing: run npm ci`)
  const libraries = await sharedLibraries(NODE_BINARY)
  const version = (await run(NODE_BINARY, ['--version'])).trim().slice(1)
  const bundle = await certificateBundle()
  const hashes = await Promise.all([NODE_BINARY, ...libraries, join(NODE_TOOLS, 'package-lock.json')].map(sha256OfFile))
  return buildImageFile(
    {
      name: 'node',
      version,
      inputs: [recipe(), busyboxHash, ...hashes, sha256(bundle)],
      config: { Env: [SYSTEM_PATH, `NODE_VERSION=${version}`, `NODE_EXTRA_CA_CERTS=${BUNDLE}`], Cmd: ['node'] },
      async fill(rootfs) {
        await fillBusybox(rootfs, busybox)
        install(NODE_BINARY, join(rootfs, 'usr/local/bin/node'))
        for (const library of libraries) install(library, join(rootfs, library))
        mkdirSync(join(rootfs, dirname(BUNDLE)), { recursive: true })
        writeFileSync(join(rootfs, BUNDLE), bundle)
        await installNodeTools(rootfs, cacheDir)
      },
    },
    cacheDir,
  )
}

/** busybox under every name that it has, the usual folders, and the accounts that images commonly run as. */
async function fillBusybox(rootfs: string, busybox: string): Promise<void> {
  for (const folder of ['bin', 'usr/bin', 'usr/local/bin', 'etc', 'root', 'home/node', 'tmp', 'var/tmp', 'run']) {
    mkdirSync(join(rootfs, folder), { recursive: true })
  }
  for (const folder of ['tmp', 'var/tmp']) chmodSync(join(rootfs, folder), 0o1777)
  install(busybox, join(rootfs, 'bin/busybox'))
  const applets = (await run(busybox, ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox')
  for (const applet of applets) symlinkSync('/bin/busybox', join(rootfs, 'bin', applet))
  // Scripts name their interpreter by it.
  symlinkSync('/bin/busybox', join(rootfs, 'usr/bin/env'))
  const accounts = [
    { name: 'root', id: 0, home: '/root' },
    { name: 'node', id: 1000, home: '/home/node' },
    { name: 'nonroot', id: 65532, home: '/tmp' },
    { name: 'nobody', id: 65534, home: '/tmp' },
  ]
  const lines = (line: (account: (typeof accounts)[number]) => string) => accounts.map((account) => `${line(account)}\n`).join('')
  writeFileSync(
    join(rootfs, 'etc/passwd'),
    lines(({ name, id, home }) => `${name}:x:${id}:${id}:${name}:${home}:/bin/sh`),
  )
  writeFileSync(
    join(rootfs, 'etc/group'),
    lines(({ name, id }) => `${name}:x:${id}:`),
  )
}

async function installNodeTools(rootfs: string, cacheDir: string): Promise<void> {
  const work = workFolder(join(cacheDir, 'images'))
  try {
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(NODE_TOOLS, file), join(work, file))
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: work })
    const modules = join(rootfs, 'usr/local/lib/node_modules')
    for (const name of ['npm', 'yarn']) cpSync(join(work, 'node_modules', name), join(modules, name), { recursive: true })
    const links = { npm: 'npm/bin/npm-cli.js', npx: 'npm/bin/npx-cli.js', yarn: 'yarn/bin/yarn.js' }
    for (const [name, target] of Object.entries(links)) {
      chmodSync(join(modules, target), 0o755)
      symlinkSync(`../lib/node_modules/${target}`, join(rootfs, 'usr/local/bin', name))
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Full paths of what a dynamically linked program loads, the loader included. */
async function sharedLibraries(program: string): Promise<string[]> {
  const listed = await run('ldd', [program])
  return listed.split('\n').flatMap((line) => /(?:=> |^\s+)(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

/** Copies what a path leads to, not a link. */
function install(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
  chmodSync(to, 0o755)
}
