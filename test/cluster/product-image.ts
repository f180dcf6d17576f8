import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { ClusterError } from './errors.ts'
import { type ImageFile, prune, sha256, workFolder } from './image-tar.ts'
import { networkNpmrc } from './npm-settings.ts'
import type { Progress } from './progress.ts'
import { run, tryRun } from './run.ts'
import { readSettings } from './settings.ts'
import { buildTestImages } from './test-images.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const NAME = 'gracewatch'
/** Images of the tree have this name and a tag made from their content. */
export const TREE_IMAGE = `localhost/gracewatch-test/${NAME}`
/** Never part of an image, and large. */
const NOT_CONTEXT = new Set(['node_modules', '.git', 'out'])

/**
 * Builds the project's image from its own Dockerfile and the tree as it is, with the tests' Node image as its base, into a
 * file. The tag is a hash over what the Dockerfile copies; an image that the cache has is not built again.
 */
export async function buildImage(progress: Progress): Promise<ImageFile> {
  const { cacheDir } = readSettings()
  const dockerfile = join(ROOT, 'Dockerfile')
  if (!existsSync(dockerfile)) throw new ClusterError(`${dockerfile} is missing: there is nothing to build an image from`)
  const { node: base } = await buildTestImages(cacheDir, progress)
  const key = contentKey(readFileSync(dockerfile, 'utf8'), base.reference)
  const reference = `${TREE_IMAGE}:${key}`
  const folder = join(cacheDir, 'images')
  const tarPath = join(folder, `${NAME}-${key}.tar`)
  if (existsSync(tarPath)) return { reference, tarPath }
  await progress.step(`building the image ${reference}`, async (note) => {
    const work = workFolder(folder)
    try {
      await buildWithBuildah({ base, reference, cacheDir, work, output: join(work, 'image.tar'), note })
      renameSync(join(work, 'image.tar'), tarPath)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  })
  prune(folder, NAME)
  return { reference, tarPath }
}

interface Build {
  readonly base: ImageFile
  readonly reference: string
  readonly cacheDir: string
  readonly work: string
  readonly output: string
  note(text: string): void
}

async function buildWithBuildah({ base, reference, cacheDir, work, output, note }: Build): Promise<void> {
  // A store for this one build: what a build leaves in it (whole copies of each stage, under vfs) goes with it.
  const store = ['--root', join(work, 'store'), '--runroot', join(work, 'run'), '--storage-driver', 'vfs']
  const buildah = (args: readonly string[]) => run('buildah', [...store, ...args], { onLine: noteStep(note) })
  // The machine's way to its npm registry reaches the build by mounts, which leave nothing of it in the image.
  const npmrc = join(work, 'npmrc')
  const npmCache = join(cacheDir, 'npm')
  mkdirSync(npmCache, { recursive: true })
  writeFileSync(npmrc, `${await networkNpmrc()}cache=/var/cache/npm\n`, { mode: 0o644 })
  try {
    note('reading the base image')
    await buildah(['pull', `docker-archive:${base.tarPath}`])
    await buildah([
      ...['bud', '--isolation', 'chroot', '--pull-never', '--build-arg', `BASE_IMAGE=${base.reference}`, '--tag', reference],
      ...['--volume', `${npmrc}:/usr/local/etc/npmrc:ro`, '--volume', `${npmCache}:/var/cache/npm`],
      ...['--file', join(ROOT, 'Dockerfile'), ROOT],
    ])
    note('writing the image')
    await buildah(['push', reference, `docker-archive:${output}:${reference}`])
  } finally {
    // Containers of a failed build hold mounts below the store.
    await tryRun('buildah', [...store, 'rm', '--all'])
  }
}

/** buildah announces each instruction as `[1/2] STEP 3/9: RUN npm ci`. */
function noteStep(note: (text: string) => void): (line: string) => void {
  return (line) => {
    const step = /STEP (\d+)\/(\d+): (\S+)/.exec(line)
    if (step) note(`step ${step[1]} of ${step[2]}: ${step[3]}`)
  }
}

/** Twelve hex digits over the Dockerfile, the base, and the names and contents of every file that a COPY names. */
function contentKey(dockerfile: string, baseReference: string): string {
  const parts = [dockerfile, baseReference]
  const ignoreFile = join(ROOT, '.dockerignore')
  if (existsSync(ignoreFile)) parts.push(readFileSync(ignoreFile, 'utf8'))
  const files = new Set(copySources(dockerfile).flatMap((source) => filesBelow(join(ROOT, source))))
  for (const file of [...files].sort()) parts.push(`${relative(ROOT, file)} ${sha256(readFileSync(file))}`)
  return sha256(parts.join('\0')).slice(0, 12)
}

/** The paths that a Dockerfile's COPY and ADD take from the tree. A glob stands for the folder that it is in. */
export function copySources(dockerfile: string): string[] {
  const lines = dockerfile.replaceAll(/\\\n/g, ' ').split('\n')
  return lines.flatMap((line) => {
    const instruction = /^\s*(?:COPY|ADD)\s+(.*)$/i.exec(line)?.[1]
    if (instruction === undefined || /(^|\s)--from=/.test(instruction)) return []
    const words = instruction.split(/\s+/).filter((word) => word !== '' && !word.startsWith('--'))
    return words.slice(0, -1).map((word) => word.replace(/[^/]*[*?[].*$/, '') || '.')
  })
}

function filesBelow(path: string): string[] {
  if (!existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path)
    .filter((name) => !NOT_CONTEXT.has(name))
    .flatMap((name) => filesBelow(join(path, name)))
}
