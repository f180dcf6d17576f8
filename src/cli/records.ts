/** Records out of files, checked against the schema before anything draws them. */
import { parseAllDocuments, stringify } from 'yaml'
import { API_VERSION, type PodTermination, podTerminationSchema } from '../api/pod-termination.ts'
import { cut } from '../core/gates/text.ts'
import { CommandError } from './arguments.ts'

/** What a problem is said to be in. */
const WHERE_KIND = 'PodTermination'

/** The record in an object of the API. Throws CommandError that names each field that is not as the schema has it. */
export function recordOf(object: unknown, where: string): PodTermination {
  const parsed = podTerminationSchema.safeParse(object)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.') || 'the object'}: ${message}`)
  const more = parsed.error.issues.length - problems.length
  throw new CommandError(
    `${where} is no ${WHERE_KIND} that this version knows: ${problems.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
  )
}

/** Every record in a text of YAML or JSON: one object, several documents, or a List as kubectl writes it. */
export function recordsIn(text: string, where: string): PodTermination[] {
  const objects = documentsIn(text, where).flatMap((value): unknown[] => {
    if (isObject(value) && Array.isArray(value.items)) return value.items
    return value === null || value === undefined ? [] : [value]
  })
  if (objects.length === 0) throw new CommandError(`${where} holds no ${WHERE_KIND}`)
  return objects.map((object, index) => {
    const name = objects.length === 1 ? where : `${where}, object ${index + 1},`
    if (isObject(object) && object.kind !== undefined && object.kind !== WHERE_KIND)
      throw new CommandError(`${name} is ${kindWords(object.kind)}, not a ${WHERE_KIND}`)
    return recordOf(object, name)
  })
}

function documentsIn(text: string, where: string): unknown[] {
  try {
    return parseAllDocuments(text, { logLevel: 'error' }).flatMap((document): unknown[] => {
      if (!('errors' in document)) return []
      const [problem] = document.errors
      if (problem !== undefined) throw problem
      return [document.toJS()]
    })
  } catch (error) {
    // Aliases that lead nowhere, or to more than there is room for, and nesting without end show when it is made into values.
    const said = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new CommandError(`${where} is not YAML: ${said}`)
  }
}

const LONGEST_KIND = 63
const kindWords = (kind: unknown): string =>
  typeof kind === 'string' ? `a ${cut(kind.replace(/\s+/g, ' '), LONGEST_KIND)}` : 'something whose kind is no text'

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** An object of the API for people: apiVersion and kind first, without what only the API server needs. */
export function printed(object: { metadata: object }, format: 'yaml' | 'json'): string {
  const { managedFields: _, ...metadata } = object.metadata as Record<string, unknown> // the API server's bookkeeping, as kubectl leaves it out
  const whole = { ...object, apiVersion: API_VERSION, kind: WHERE_KIND, metadata }
  const { apiVersion, kind, metadata: own, ...rest } = whole
  const value = { apiVersion, kind, metadata: own, ...rest }
  return format === 'yaml' ? stringify(value) : `${JSON.stringify(value, null, 2)}\n`
}
