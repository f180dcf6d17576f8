import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { generatedFiles, staleFiles, writeFiles } from '../../../src/api/generate.ts'

describe('generate', () => {
  let root: string
  const crd = 'crds/podterminations.gracewatch.dev.yaml'
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gracewatch-generate-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  it('writes what is missing, once', () => {
    expect(writeFiles(root)).toEqual([...generatedFiles().keys()].sort())
    expect(staleFiles(root)).toEqual([])
    expect(writeFiles(root)).toEqual([])
  })

  it('names the one file that was edited, and restores it', () => {
    writeFiles(root)
    const before = readFileSync(join(root, crd), 'utf8')
    writeFileSync(join(root, crd), before.replace('maxItems: 512', 'maxItems: 5120'))
    expect(staleFiles(root)).toEqual([crd])
    expect(writeFiles(root)).toEqual([crd])
    expect(readFileSync(join(root, crd), 'utf8')).toBe(before)
  })

  it('names and removes a file of a kind that is gone', () => {
    writeFiles(root)
    writeFileSync(join(root, 'crds/podoutlives.gracewatch.dev.yaml'), 'kind: CustomResourceDefinition\n')
    expect(staleFiles(root)).toEqual(['crds/podoutlives.gracewatch.dev.yaml'])
    writeFiles(root)
    expect(staleFiles(root)).toEqual([])
  })

  it('lists every CRD in the kustomization, and every file is YAML with its note on top', () => {
    const files = generatedFiles()
    const crds = [...files.keys()].filter((path) => path.startsWith('crds/') && !path.endsWith('kustomization.yaml'))
    const kustomization = parse(files.get('crds/kustomization.yaml') ?? '') as { resources: string[] }
    expect(kustomization.resources.map((name) => `crds/${name}`)).toEqual(crds)
    for (const path of crds) {
      expect(files.get(path)).toMatch(/^# Generated from src\/api\//)
      expect(parse(files.get(path) ?? '')).toMatchObject({ kind: 'CustomResourceDefinition' })
    }
  })
})
