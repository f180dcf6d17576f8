import { createHash } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { run } from './run.ts'

/** An image in a file, ready to be imported. */
export interface ImageFile {
  /** With a tag made from its content, so that a name never means two things. */
  readonly reference: string
  /** In the docker-archive format, which containerd and buildah both read. */
  readonly tarPath: string
}

export interface ImageRecipe {
  /** Below `localhost/gracewatch-test/`. */
  readonly name: string
  /** Stands in the tag before the hash. */
  readonly version: string
  /** Everything that the content follows from: binaries' hashes, the recipe's own source. */
  readonly inputs: readonly string[]
  /** Of the image's configuration: https://github.com/opencontainers/image-spec/blob/main/config.md */
  readonly config: {
    readonly Env: readonly string[]
    readonly Cmd: readonly string[]
    readonly WorkingDir?: string
    readonly StopSignal?: string
  }
  /** Fills an empty folder with what shall be the root file system. */
  fill(rootfs: string): Promise<void>
}

/** Same times for the same content, so that a layer's digest says what is in it. */
const EPOCH = '2020-01-01T00:00:00Z'
const KEPT_PER_NAME = 4
const WORK_PREFIX = '.work-'

/** Builds an image of one layer from nothing, unless the cache has it. */
export async function buildImageFile(recipe: ImageRecipe, cacheDir: string): Promise<ImageFile> {
  const key = sha256(JSON.stringify([recipe.inputs, recipe.config])).slice(0, 8)
  const tag = `${recipe.version}-${key}`
  const reference = `localhost/gracewatch-test/${recipe.name}:${tag}`
  const folder = join(cacheDir, 'images')
  const tarPath = join(folder, `${recipe.name}-${tag}.tar`)
  if (existsSync(tarPath)) return { reference, tarPath }
  const work = workFolder(folder)
  try {
    const rootfs = join(work, 'rootfs')
    const archive = join(work, 'archive')
    mkdirSync(rootfs)
    mkdirSync(archive)
    await recipe.fill(rootfs)
    const layer = join(archive, 'layer.tar')
    const owners = ['--sort=name', `--mtime=${EPOCH}`, '--owner=0', '--group=0', '--numeric-owner', '--format=pax']
    // Without this the pax headers hold the times of access, and no two layers are the same.
    const plainTimes = '--pax-option=delete=atime,delete=ctime,delete=mtime,exthdr.name=%d/PaxHeaders/%f'
    await run('tar', ['--create', '--file', layer, ...owners, plainTimes, '--directory', rootfs, '.'])
    const config = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: EPOCH,
      config: recipe.config,
      rootfs: { type: 'layers', diff_ids: [`sha256:${await sha256OfFile(layer)}`] },
      history: [{ created: EPOCH, created_by: `gracewatch test image ${recipe.name}` }],
    })
    const configName = `${sha256(config)}.json`
    writeFileSync(join(archive, configName), config)
    const manifest = [{ Config: configName, RepoTags: [reference], Layers: ['layer.tar'] }]
    writeFileSync(join(archive, 'manifest.json'), JSON.stringify(manifest))
    await run('tar', ['--create', '--file', join(work, 'image.tar'), '--directory', archive, '.'])
    renameSync(join(work, 'image.tar'), tarPath)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  prune(folder, recipe.name)
  return { reference, tarPath }
}

/** A new folder in the cache for work under way; those that an interrupted command left there go after a day. */
export function workFolder(parent: string): string {
  mkdirSync(parent, { recursive: true })
  const left = readdirSync(parent)
    .filter((name) => name.startsWith(WORK_PREFIX))
    .map((name) => join(parent, name))
  for (const path of left) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > 24 * 3_600_000) rmSync(path, { recursive: true, force: true })
  }
  return mkdtempSync(join(parent, WORK_PREFIX))
}

/** Deletes all but the newest few image files of a name: a file is tens to hundreds of megabytes. */
export function prune(folder: string, name: string): void {
  const files = readdirSync(folder)
    .filter((file) => file.startsWith(`${name}-`) && file.endsWith('.tar'))
    .map((file) => join(folder, file))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const file of files.slice(KEPT_PER_NAME)) rmSync(file, { force: true })
}

export function sha256(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex')
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}
