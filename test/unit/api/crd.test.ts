import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type CustomResource, customResourceDefinition, RESOURCES, structuralSchema } from '../../../src/api/crd.ts'
import { FINDINGS, MARKS, podTerminationSchema } from '../../../src/api/pod-termination.ts'

const described = (schema: z.ZodType) => z.object({ field: schema.describe('A field.') }).describe('A kind.')

describe('structuralSchema', () => {
  it.each<[string, z.ZodType, RegExp]>([
    ['a string without a bound', z.string(), /^Kind\.field: a string needs maxLength$/],
    [
      'a list without a bound',
      z.array(z.boolean()).meta({ 'x-kubernetes-list-type': 'atomic' }),
      /^Kind\.field: a list needs items/,
    ],
    ['a list without a list type', z.array(z.boolean()).max(3), /^Kind\.field: a list needs x-kubernetes-list-type$/],
    [
      'an unbounded string inside a list',
      z.array(z.string()).max(3).meta({ 'x-kubernetes-list-type': 'atomic' }),
      /^Kind\.field\[\]: /,
    ],
    ['a union', z.union([z.string().max(3), z.boolean()]), /^Kind\.field: anyOf cannot stand/],
    ['a map without a bound', z.record(z.string(), z.string().max(3)), /^Kind\.field: .* is a map with maxProperties$/],
    [
      'a map of unbounded strings',
      z.record(z.string(), z.string()).meta({ maxProperties: 3 }),
      /^Kind\.field\[\]: a string needs maxLength$/,
    ],
  ])('refuses %s and names the field', (_, schema, message) => {
    expect(() => structuralSchema(described(schema), 'Kind')).toThrow(message)
  })

  it('refuses a field without a description', () => {
    expect(() => structuralSchema(z.object({ field: z.boolean() }).describe('A kind.'), 'Kind')).toThrow(
      'Kind.field: has no description',
    )
  })

  it('leaves the check of a date-time to its format', () => {
    const schema = structuralSchema(described(z.iso.datetime({ precision: 6 }).max(32)), 'Kind')
    expect(schema.properties?.field).toEqual({ description: 'A field.', type: 'string', format: 'date-time', maxLength: 32 })
  })

  it('gives an integer the format that holds its bounds', () => {
    const format = (schema: z.ZodType) => structuralSchema(described(schema), 'Kind').properties?.field?.format
    expect(format(z.int().min(0).max(2147483647))).toBe('int32')
    expect(format(z.int().min(0).max(2147483648))).toBe('int64')
    expect(format(z.int())).toBe('int64')
  })

  it('says a map, a default and an integer or string in the terms of Kubernetes', () => {
    const field = (schema: z.ZodType) => structuralSchema(described(schema), 'Kind').properties?.field
    expect(field(z.record(z.string(), z.string().max(3)).meta({ maxProperties: 5 }))).toEqual({
      description: 'A field.',
      type: 'object',
      maxProperties: 5,
      additionalProperties: { type: 'string', maxLength: 3 },
    })
    expect(field(z.boolean().default(true))).toEqual({ description: 'A field.', type: 'boolean', default: true })
    const port = z.union([z.int(), z.string()]).meta({ 'x-kubernetes-int-or-string': true, maxLength: 15 })
    expect(field(port)).toEqual({ description: 'A field.', maxLength: 15, 'x-kubernetes-int-or-string': true })
  })

  it('does not ask for a field that has a default', () => {
    const schema = z.object({ a: z.boolean().default(true).describe('A.'), b: z.boolean().describe('B.') }).describe('A kind.')
    expect(structuralSchema(schema, 'Kind').required).toEqual(['b'])
  })

  it('says what each value of an enum means, in every description that lists them', () => {
    const schema = structuralSchema(podTerminationSchema, 'PodTermination')
    const meanings = (text = '') => [...text.matchAll(/^ - (\w+): /gm)].map(([, value]) => value)
    expect(meanings(schema.properties?.timeline?.items?.properties?.mark?.description)).toEqual([...MARKS])
    expect(meanings(schema.properties?.findings?.items?.properties?.type?.description)).toEqual(Object.keys(FINDINGS))
    let lists = 0
    const walk = (node: typeof schema, path: string) => {
      const listed = meanings(node.description)
      if (listed.length > 0 && node.enum !== undefined) {
        lists++
        expect(listed, path).toEqual(node.enum)
      }
      for (const [name, property] of Object.entries(node.properties ?? {})) walk(property, `${path}.${name}`)
      if (node.items !== undefined) walk(node.items, `${path}[]`)
    }
    walk(schema, '')
    expect(lists).toBeGreaterThan(8)
  })
})

/** One entry of a list, by one of its fields: `.list[?(@.key=="value")].item`. */
const FILTER = /^(.+)\[\?\(@\.(\w+)=="(\w+)"\)\]\.(\w+)$/

describe('customResourceDefinition', () => {
  const field = (resource: CustomResource, path: string) => {
    let node = structuralSchema(resource.schema, resource.kind)
    for (const part of path.split('.').slice(1)) {
      const next = node.properties?.[part]
      if (next === undefined) return undefined
      node = next
    }
    return node
  }

  it.each(RESOURCES.map((resource) => [resource.kind, resource] as const))(
    '%s: every path of a column leads to a field',
    (_, resource) => {
      for (const { name, jsonPath, type } of resource.columns) {
        if (jsonPath.startsWith('.metadata.')) continue
        const [, list = '', key = '', value = '', item = ''] = FILTER.exec(jsonPath) ?? []
        if (list !== '') {
          const entry = field(resource, list)?.items?.properties
          expect(entry?.[key]?.enum, name).toContain(value)
          expect(entry?.[item]?.type, name).toBe(type)
          continue
        }
        const found = field(resource, jsonPath)
        expect(found?.format === 'date-time' ? 'date' : found?.type, name).toBe(type)
      }
    },
  )

  it.each(RESOURCES.map((resource) => [resource.kind, resource] as const))(
    '%s: selectable fields are of types that the API server allows, and eight at most',
    (_, resource) => {
      expect(resource.selectableFields.length).toBeLessThanOrEqual(8)
      for (const path of resource.selectableFields)
        expect(['string', 'boolean', 'integer']).toContain(field(resource, path)?.type)
    },
  )

  it.each(RESOURCES.map((resource) => [resource.kind, resource] as const))(
    '%s: the definition is JSON, with nothing undefined in it',
    (_, resource) => {
      const definition = customResourceDefinition(resource)
      expect(JSON.parse(JSON.stringify(definition))).toStrictEqual(definition)
    },
  )
})
