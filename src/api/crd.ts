/**
 * From a zod schema to a CustomResourceDefinition that the API server takes without a warning: a structural schema in which
 * every string, number and list is bounded (a bound is what the cost of a CEL rule is estimated from). What cannot be
 * expressed, and what has no bound or no description, is an error here and not a surprise at the first `kubectl apply`.
 */
import { z } from 'zod'
import { podCleanupSchema } from './pod-cleanup.ts'
import { podReadinessGateSchema } from './pod-readiness-gate.ts'
import { GROUP, podTerminationSchema, VERSION } from './pod-termination.ts'

interface Column {
  name: string
  type: 'string' | 'integer' | 'boolean' | 'date'
  jsonPath: string
  description: string
  /** 1: only with `-o wide`. */
  priority?: 1
}

/** What a kind is besides its schema. */
export interface CustomResource {
  /** The file in src/api that holds the schema. */
  file: string
  kind: string
  plural: string
  shortName: string
  schema: z.ZodObject
  columns: readonly Column[]
  /** For `kubectl get --field-selector` and watches; the API server allows eight. */
  selectableFields: readonly string[]
  /** It has a spec that people write, and a status that only the controller writes, by a resource of its own. */
  status?: true
}

const podTermination: CustomResource = {
  file: 'pod-termination.ts',
  kind: 'PodTermination',
  plural: 'podterminations',
  shortName: 'pterm',
  schema: podTerminationSchema,
  columns: [
    { name: 'Pod', type: 'string', jsonPath: '.pod.name', description: 'Name of the pod.' },
    { name: 'Outcome', type: 'string', jsonPath: '.outcome', description: 'How the pod ended.' },
    { name: 'Cause', type: 'string', jsonPath: '.cause.type', description: 'Who ended the pod.' },
    { name: 'Grace', type: 'integer', jsonPath: '.pod.graceSeconds', description: 'Grace period, in seconds.' },
    { name: 'Took', type: 'string', jsonPath: '.took', description: 'From the start of the termination to its end.' },
    { name: 'Findings', type: 'string', jsonPath: '.summary', description: 'The gravest finding and the number of others.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the record.' },
    { name: 'State', type: 'string', jsonPath: '.state', description: 'Terminating, Overdue or Complete.', priority: 1 },
    {
      name: 'Workload',
      type: 'string',
      jsonPath: '.pod.workload.name',
      description: 'What the pod belonged to.',
      priority: 1,
    },
    { name: 'Node', type: 'string', jsonPath: '.pod.node', description: 'Node that the pod ran on.', priority: 1 },
    {
      name: 'Pod Namespace',
      type: 'string',
      jsonPath: '.pod.namespace',
      description: "Namespace of the pod, which is not the record's where that namespace was being deleted.",
      priority: 1,
    },
  ],
  selectableFields: [
    '.pod.name',
    '.pod.namespace',
    '.pod.uid',
    '.pod.node',
    '.pod.workload.name',
    '.outcome',
    '.state',
    '.cause.type',
  ],
}

const podReadinessGate: CustomResource = {
  file: 'pod-readiness-gate.ts',
  kind: 'PodReadinessGate',
  plural: 'podreadinessgates',
  shortName: 'prg',
  schema: podReadinessGateSchema,
  columns: [
    { name: 'Condition', type: 'string', jsonPath: '.spec.conditionType', description: 'Type of the condition that it sets.' },
    { name: 'Matched', type: 'integer', jsonPath: '.status.matched', description: 'Pods that it selects.' },
    { name: 'Passing', type: 'integer', jsonPath: '.status.passing', description: 'Of those, how many it lets in.' },
    { name: 'Failing', type: 'integer', jsonPath: '.status.failing', description: 'How many it keeps out.' },
    { name: 'Holding', type: 'integer', jsonPath: '.status.holding', description: 'How many the rollout brake holds.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the gate.' },
    {
      name: 'Unknown',
      type: 'integer',
      jsonPath: '.status.unknown',
      description: 'How many cannot be evaluated now.',
      priority: 1,
    },
    {
      name: 'Without Gate',
      type: 'integer',
      jsonPath: '.status.withoutGate',
      description: 'How many do not name the condition in spec.readinessGates.',
      priority: 1,
    },
    {
      name: 'Accepted',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Accepted")].reason',
      description: 'Whether the spec can be used, or why not.',
      priority: 1,
    },
  ],
  selectableFields: ['.spec.conditionType'],
  status: true,
}

const podCleanup: CustomResource = {
  file: 'pod-cleanup.ts',
  kind: 'PodCleanup',
  plural: 'podcleanups',
  shortName: 'pclean',
  schema: podCleanupSchema,
  columns: [
    { name: 'Candidates', type: 'integer', jsonPath: '.status.candidates', description: 'Finished pods that it selects.' },
    {
      name: 'To Delete',
      type: 'integer',
      jsonPath: '.status.toDelete',
      description: 'Of those, how many the last pass was to delete.',
    },
    { name: 'Deleted', type: 'integer', jsonPath: '.status.deleted', description: 'Pods that it has had deleted.' },
    { name: 'Dry Run', type: 'boolean', jsonPath: '.spec.dryRun', description: 'Whether it only tells, and deletes nothing.' },
    {
      name: 'Accepted',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
      description: 'Whether the spec can be used; where it is False, no finished pod of the namespace is deleted.',
    },
    { name: 'Last Run', type: 'date', jsonPath: '.status.lastRun', description: 'When the last pass ended.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the object.' },
    {
      name: 'Record Refused',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="RecordRefused")].status',
      description: 'Whether pods stay because the API server refuses their records.',
      priority: 1,
    },
    {
      name: 'Failing',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Failing")].status',
      description: 'Whether deletions fail.',
      priority: 1,
    },
  ],
  selectableFields: ['.spec.dryRun'],
  status: true,
}

/** Every kind that is generated, in the order of the files. */
export const RESOURCES: readonly CustomResource[] = [podTermination, podReadinessGate, podCleanup]

/** The part of a structural schema that the kinds of this project use. */
export interface StructuralSchema {
  description?: string
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  format?: string
  enum?: string[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  minItems?: number
  maxItems?: number
  maxProperties?: number
  /** Written by the API server where the field is absent. */
  default?: unknown
  required?: string[]
  properties?: Record<string, StructuralSchema>
  /** A map: what its values are. */
  additionalProperties?: StructuralSchema
  items?: StructuralSchema
  'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set'
  'x-kubernetes-list-map-keys'?: string[]
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-validations'?: Record<string, string>[]
}

/** In the order in which they are written: what a reader asks first comes first. */
const KEYWORDS = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'maxProperties',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
  'required',
  'properties',
  'additionalProperties',
  'items',
] as const satisfies readonly (keyof StructuralSchema)[]

const INT32 = { min: -2147483648, max: 2147483647 }

/**
 * The structural schema of a zod object, without apiVersion, kind and metadata.
 * Throws an Error that names the field where the schema cannot be said in Kubernetes' terms or leaves something unbounded.
 */
export function structuralSchema(schema: z.ZodObject, name: string): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    cycles: 'throw',
    unrepresentable: 'throw',
    override: ({ jsonSchema }) => {
      // zod gives a date-time both its format and a pattern of 300 characters; the API server checks the format itself.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
      if (jsonSchema.properties !== undefined) delete jsonSchema.additionalProperties
      // Keys of a map are strings in any case.
      delete jsonSchema.propertyNames
      // Its own type in Kubernetes' terms: a port by number or by name.
      if (jsonSchema['x-kubernetes-int-or-string'] === true) delete jsonSchema.anyOf
      if (jsonSchema.type === 'integer') {
        const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = jsonSchema
        jsonSchema.format = minimum >= INT32.min && maximum <= INT32.max ? 'int32' : 'int64'
      }
    },
  })
  // zod's type is all of JSON Schema; checked() refuses every keyword that StructuralSchema does not have.
  return checked(json as StructuralSchema, name)
}

/** Checks one node and those below it and returns them with their keywords in order. */
function checked(node: StructuralSchema, path: string): StructuralSchema {
  const unknown = Object.keys(node).filter((key) => !(KEYWORDS as readonly string[]).includes(key))
  if (unknown.length > 0) throw new Error(`${path}: ${unknown.join(', ')} cannot stand in a structural schema`)
  const need = (present: boolean, what: string) => {
    if (!present) throw new Error(`${path}: ${what}`)
  }
  need(node.description !== undefined || path.endsWith('[]'), 'has no description')
  if (node['x-kubernetes-int-or-string'] === true) return inOrder(node)
  switch (node.type) {
    case 'object':
      need(
        node.properties !== undefined || (node.additionalProperties !== undefined && node.maxProperties !== undefined),
        'an object needs its properties named, or is a map with maxProperties',
      )
      break
    case 'array':
      need(node.maxItems !== undefined && node.items !== undefined, 'a list needs items and maxItems')
      need(node['x-kubernetes-list-type'] !== undefined, 'a list needs x-kubernetes-list-type')
      break
    case 'string':
      need(node.enum !== undefined || node.maxLength !== undefined, 'a string needs maxLength')
      break
    case 'integer':
      need(node.minimum !== undefined && node.maximum !== undefined, 'an integer needs minimum and maximum')
      break
    case 'boolean':
      break
    default:
      throw new Error(`${path}: type ${node.type ?? '(none, or a union)'} cannot stand in a structural schema`)
  }
  const ordered = inOrder(node)
  if (node.properties !== undefined) {
    ordered.properties = Object.fromEntries(
      Object.entries(node.properties).map(([name, property]) => [name, checked(property, `${path}.${name}`)]),
    )
  }
  if (node.items !== undefined) ordered.items = checked(node.items, `${path}[]`)
  if (node.additionalProperties !== undefined) ordered.additionalProperties = checked(node.additionalProperties, `${path}[]`)
  return ordered
}

function inOrder(node: StructuralSchema): StructuralSchema {
  return Object.fromEntries(KEYWORDS.flatMap((key) => (node[key] === undefined ? [] : [[key, node[key]]])))
}

/** The CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind, as a plain object. */
export function customResourceDefinition(resource: CustomResource): Record<string, unknown> {
  const {
    description,
    'x-kubernetes-validations': rules,
    required,
    properties,
  } = structuralSchema(resource.schema, resource.kind)
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${resource.plural}.${GROUP}`, labels: { 'app.kubernetes.io/name': 'gracewatch' } },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: resource.kind,
        listKind: `${resource.kind}List`,
        plural: resource.plural,
        singular: resource.kind.toLowerCase(),
        shortNames: [resource.shortName],
        categories: ['gracewatch'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: resource.columns,
          selectableFields: resource.selectableFields.map((jsonPath) => ({ jsonPath })),
          ...(resource.status === true ? { subresources: { status: {} } } : {}),
          schema: {
            openAPIV3Schema: {
              description,
              type: 'object',
              ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules }),
              required,
              properties: {
                apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
                kind: { type: 'string', description: 'Kind of this object.' },
                metadata: { type: 'object' },
                ...properties,
              },
            },
          },
        },
      ],
    },
  }
}
