/** The list of fields in the agent's admission policy against the schema: a field that is added to the record has to be held there too. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { AGENT_SETTINGS } from '../../../src/agent/settings.ts'
import { podTerminationSchema } from '../../../src/api/pod-termination.ts'

interface Policy {
  readonly kind: string
  readonly spec: { readonly validations: readonly { readonly expression: string; readonly message: string }[] }
}

const folder = resolve(import.meta.dirname, '../../../deploy/agent')
const policies = parseAllDocuments(readFileSync(`${folder}/admission-policy.yaml`, 'utf8')).map((it) => it.toJS() as Policy)
const validations = policies.find(({ kind }) => kind === 'ValidatingAdmissionPolicy')?.spec.validations ?? []

/** The two halves of `variables.creates ? … : …`, as sets of their terms. */
function halves(message: string): { creation: string[]; update: string[] } {
  const { expression } = validations.find((validation) => validation.message === message) ?? { expression: '' }
  const [, creation = '', update = ''] =
    /^variables\.creates \? (.*?) : (\(.*\))$/s.exec(expression.replaceAll(/\s+/g, ' ').trim()) ?? []
  return { creation: creation.split(' && ').sort(), update: update.split(/ && (?=\()/).sort() }
}

const absent = (path: string) => `!has(object.${path})`
const unchanged = (path: string) =>
  `(has(object.${path}) ? has(oldObject.${path}) && object.${path} == oldObject.${path} : !has(oldObject.${path}))`

describe('the admission policy of the agent', () => {
  it.each([
    [
      'an agent writes the field kernel and no other',
      Object.keys(podTerminationSchema.shape).filter((field) => field !== 'pod' && field !== 'kernel'),
    ],
    [
      'an agent writes no labels, annotations, finalizers or owners',
      ['labels', 'annotations', 'finalizers', 'ownerReferences'].map((field) => `metadata.${field}`),
    ],
  ])('%s: each field, at creation and at update', (message, fields) => {
    const { creation, update } = halves(message)
    expect(creation).toEqual(fields.map(absent).sort())
    expect(update).toEqual(fields.map(unchanged).sort())
  })

  it('lets an agent say no more of a pod than who it is and where it runs', () => {
    const { expression } = validations.find(({ message }) => message.startsWith('an agent names the pod')) ?? { expression: '' }
    const others = Object.keys(podTerminationSchema.shape.pod.shape).filter(
      (field) => !['namespace', 'name', 'uid', 'node'].includes(field),
    )
    const refused = [...expression.matchAll(/!has\(object\.pod\.(\w+)\)/g)].map(([, field]) => field)
    expect(refused.sort()).toEqual(others.sort())
  })

  it("names the controller's namespace as the agent's setting does", () => {
    const { fallback } = AGENT_SETTINGS.recordsNamespace
    expect(validations.map(({ expression }) => expression).join('\n')).toContain(`object.metadata.namespace == '${fallback}'`)
  })
})
