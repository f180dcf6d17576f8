/** The program that holds a cluster's pods as a controller in Go would: what the bench is beside. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { workFolder } from './image-tar.ts'
import { contentOf, goBuild } from './kubernetes.ts'
import { findCommand } from './machine.ts'
import type { Progress } from './progress.ts'
import { readSettings } from './settings.ts'

const MODULE = join(import.meta.dirname, 'informer')

/** Builds it unless the cache has it. @returns its absolute path */
export async function buildInformer(progress: Progress): Promise<string> {
  const folder = join(readSettings().cacheDir, 'informer', contentOf(MODULE))
  const program = join(folder, 'informer')
  if (existsSync(program)) return program
  mkdirSync(dirname(folder), { recursive: true })
  const work = workFolder(dirname(folder))
  try {
    await progress.step('building the informer in Go', (note) =>
      goBuild(findCommand('go') ?? 'go', MODULE, join(work, 'informer'), '-s -w', note),
    )
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return program
}

/** Of client-go, as its module requires it. */
export function informerVersion(): string {
  return /^\s*k8s\.io\/client-go (v\S+)$/m.exec(readFileSync(join(MODULE, 'go.mod'), 'utf8'))?.[1] ?? ''
}
