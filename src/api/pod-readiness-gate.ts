/**
 * The custom resource PodReadinessGate: the condition that Gracewatch sets on the pods that it selects, and the checks that have to pass
 * for it. This zod schema is the one source of the TypeScript type, of crds/ and of the reference page. What the API server can check, it
 * checks (CEL), with a message that says what to write; what only the controller can see stands in status.conditions.
 */
import { z } from 'zod'
import { duration, isDuration, matching, QUALIFIED_NAME, QUALIFIED_PREFIX, rules, selectorSchema, text, values } from './parts.ts'
import { OUTCOMES } from './pod-termination.ts'

export const MAX_CHECKS = 16
export const MAX_HOLDS = 64

const time = z.iso.datetime().max(32)
const name = text(253)

const annotationCheck = z.object({
  key: text(317).meta({
    description: 'Key of the annotation.',
    ...rules(matching(`^(${QUALIFIED_PREFIX}/)?${QUALIFIED_NAME}$`, 'write the key of an annotation, as example.com/registered')),
  }),
  value: text(256).describe('The value that it has to have, exactly.'),
})

/** Who talks to the pod in whose name is the controller's matter, and a connection is used once. */
export const REFUSED_HEADERS: readonly string[] = [
  'host',
  'authorization',
  'proxy-authorization',
  'cookie',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'expect',
]

const httpGetCheck = z
  .object({
    port: z.union([z.int(), z.string()]).meta({
      description: 'Port of the pod: its number, or the name of a port of one of its containers.',
      'x-kubernetes-int-or-string': true,
      maxLength: 15,
      ...rules({
        rule: "type(self) == int ? self >= 1 && self <= 65535 : self.matches('^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$') && self.matches('[a-z]')",
        message:
          'write a number from 1 to 65535 without quotes, or the name of a port: up to 15 small letters, digits and dashes, a letter among them',
      }),
    }),
    path: text(1024)
      .default('/')
      .meta({ description: 'Path to ask for.', ...rules(matching('^/[!-~]*$', 'begin the path with /, without blanks')) }),
    scheme: z.enum(['HTTP', 'HTTPS']).default('HTTP').describe('HTTPS takes any certificate, as the probes of the kubelet do.'),
    headers: z
      .array(
        z.object({
          name: text(128).meta({
            description: 'Name of the header.',
            ...rules(matching("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", 'write the name of an HTTP header'), {
              rule: `!(self.lowerAscii() in [${REFUSED_HEADERS.map((header) => `'${header}'`).join(', ')}])`,
              message: `leave out headers that say who asks whom, or how: ${REFUSED_HEADERS.join(', ')}`,
            }),
          }),
          value: text(512).meta({
            description: 'Its value.',
            ...rules(matching('^[ -~]*$', 'write printable ASCII')),
          }),
        }),
      )
      .max(16)
      .optional()
      .meta({ description: 'Headers to send.', 'x-kubernetes-list-type': 'atomic' }),
    interval: duration('How often to ask.', '10s', '1s'),
    timeout: duration('How long one answer may take, with all of its parts.', '1s', '100ms'),
    successThreshold: z.int().min(1).max(100).default(1).describe('Answers in a row that make it pass.'),
    failureThreshold: z.int().min(1).max(100).default(3).describe('Failures in a row that make it fail again.'),
  })
  .meta(
    rules({
      // Where one of them is none, its own rule says so.
      rule: `!${isDuration('self.timeout')} || !${isDuration('self.interval')} || duration(self.timeout) <= duration(self.interval)`,
      message: 'write no more than the interval',
      fieldPath: '.timeout',
    }),
  )

const conditionCheck = z.object({
  apiVersion: text(317).meta({
    description: 'API version of the object, as batch/v1.',
    ...rules(matching(`^(${QUALIFIED_PREFIX}/)?v[0-9]+((alpha|beta)[0-9]+)?$`, 'write an API version, as v1 or batch/v1')),
  }),
  kind: text(63).meta({
    description: 'Kind of the object, as Job.',
    ...rules(matching('^[A-Z][A-Za-z0-9]*$', 'write the kind as it stands in manifests, as Job')),
  }),
  name: name.meta({
    description: 'Name of the object, in the namespace of the gate.',
    ...rules(matching(`^${QUALIFIED_PREFIX}$`, 'write the name of an object')),
  }),
  type: text(316).meta({
    description: 'Type of its condition, as Complete.',
    ...rules(matching(`^(${QUALIFIED_PREFIX}/)?${QUALIFIED_NAME}$`, 'write the type of a condition, as Complete')),
  }),
  status: z.enum(['True', 'False', 'Unknown']).default('True').describe('The status that the condition has to have.'),
})

const endpointsCheck = z.object({})

const handoverCheck = z.object({
  maxForcedKills: z
    .int()
    .min(0)
    .max(10_000)
    .default(0)
    .describe('So many pods of the workload may have ended badly within the window.'),
  window: duration('How far back ends count.', '10m', '1s'),
  outcomes: z.array(z.enum(OUTCOMES)).min(1).max(OUTCOMES.length).default(['ForcedKill']).meta({
    description: 'Outcomes that count as bad.',
    'x-kubernetes-list-type': 'set',
  }),
  waitForVerdict: z
    .boolean()
    .default(true)
    .describe('Hold also while a pod of an older revision is terminating and its outcome is not known yet.'),
  maxHold: duration('A hold ends after this at the latest.', '30m', '1s'),
})

const checkSchema = z
  .object({
    annotation: annotationCheck.optional().describe('Passes while the pod has this annotation.'),
    httpGet: httpGetCheck.optional().describe('Passes while the pod answers a GET of the controller with 200 to 399.'),
    condition: conditionCheck.optional().describe('Passes while another object of the namespace has this condition.'),
    endpoints: endpointsCheck
      .optional()
      .describe('Passes once the EndpointSlices of every Service that selects the pod have it, ready or not.'),
    handover: handoverCheck
      .optional()
      .describe(
        'The rollout brake: fails for pods of a new revision while pods of an older one are there and have been ending badly.',
      ),
  })
  .meta(
    rules({
      rule: '[has(self.annotation), has(self.httpGet), has(self.condition), has(self.endpoints), has(self.handover)].filter(it, it).size() == 1',
      message: 'each check is exactly one of annotation, httpGet, condition, endpoints and handover',
    }),
  )

export const gateSpecSchema = z.object({
  selector: selectorSchema.describe('Which pods of the namespace; an empty one ({}) selects all.'),
  conditionType: text(316).meta({
    description: 'Type of the condition, as it stands in spec.readinessGates of the pods. It never changes: make another gate.',
    ...rules(
      matching(
        `^${QUALIFIED_PREFIX}/${QUALIFIED_NAME}$`,
        "write a name with a domain of your own in front, as example.com/registered: those without one are the kubelet's (Ready, PodScheduled)",
      ),
      {
        rule: "!self.matches('^([-a-z0-9.]*[.])?(kubernetes|k8s)[.]io/')",
        message: 'the domains kubernetes.io and k8s.io are reserved: write one of your own, as example.com/registered',
      },
      {
        rule: 'self == oldSelf',
        message: 'conditionType never changes, for the pods would keep the old condition: delete this gate and make another',
      },
    ),
  }),
  checks: z
    .array(checkSchema)
    .min(1)
    .max(MAX_CHECKS)
    .meta({
      description: 'What has to be found for the condition to be True: all of it.',
      'x-kubernetes-list-type': 'atomic',
      ...rules({
        rule: 'self.filter(it, has(it.handover)).size() <= 1 && self.filter(it, has(it.endpoints)).size() <= 1',
        message: 'name handover and endpoints once each at most',
      }),
    }),
  failOpenAfter: text(32)
    .default('10m')
    .meta({
      description:
        'When the condition becomes True of a pod whose checks cannot be evaluated (a target that is not there, no permission); Never: it waits.',
      ...rules({
        rule: `self == 'Never' || ${isDuration('self')} && duration(self) >= duration('1s')`,
        message: 'write a duration of 1s or more, as 90s, 10m or 1h30m, or Never',
      }),
    }),
  inject: z
    .boolean()
    .default(false)
    .describe('Add the condition to spec.readinessGates of new pods; needs Kubernetes 1.36 and the policy of deploy/gates.'),
  onDelete: z
    .enum(['Release', 'Leave'])
    .default('Release')
    .describe(
      values('What becomes of the condition when the gate is deleted.', {
        Release: 'it becomes True, with reason GateDeleted.',
        Leave: 'it stays as it is.',
      }),
    ),
})

const conditionSchema = z.object({
  type: z.enum(['Accepted', 'Conflicting', 'Holding', 'Evaluable', 'Injecting']).describe(
    values('What it is about.', {
      Accepted: 'the spec can be used.',
      Conflicting: 'another gate selects some of the same pods for the same condition.',
      Holding: 'the brake holds pods of a new revision.',
      Evaluable: 'what the checks look at can be looked at.',
      Injecting: 'the condition gets into spec.readinessGates of the pods.',
    }),
  ),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it is so.'),
  reason: text(128).optional().describe('Why, in one word.'),
  message: text(2048).optional().describe('Why, in a sentence, and what to do.'),
  lastTransitionTime: time.optional().describe('When the status changed last.'),
  observedGeneration: z.int().min(0).optional().describe('Generation of the gate that it is about.'),
})

const holdSchema = z.object({
  workload: z
    .object({
      kind: text(63).describe('Kind.'),
      name: name.describe('Name.'),
      uid: text(64).describe('UID.'),
      apiVersion: text(317).optional().describe('API version.'),
    })
    .describe('The workload whose rollout it is.'),
  revision: text(253).describe('The revision whose pods wait.'),
  since: time.describe('When the hold began.'),
  until: time.optional().describe('When it ends by itself.'),
  pods: z.int().min(0).max(2147483647).optional().describe('How many pods wait.'),
  message: text(1024).optional().describe('Why, and how to let them in.'),
  releaseSeen: text(253).optional().describe('Value of the annotation gracewatch.dev/release when the hold began.'),
  releasedAt: time.optional().describe('When the revision was let in.'),
  releasedBy: z
    .enum(['Annotation', 'MaxHold'])
    .optional()
    .describe(
      values('By what.', {
        Annotation: 'somebody set gracewatch.dev/release on the workload.',
        MaxHold: 'maxHold was over.',
      }),
    ),
})

const count = (description: string) => z.int().min(0).max(2147483647).optional().describe(description)

export const gateStatusSchema = z.object({
  observedGeneration: z.int().min(0).optional().describe('Generation of the gate that this status is about.'),
  matched: count('Pods that it selects and that are neither ended nor being deleted.'),
  passing: count('Of those, how many have the condition True.'),
  failing: count('How many have it False.'),
  unknown: count('How many cannot be evaluated now.'),
  withoutGate: count('How many do not name the condition in spec.readinessGates: on them it has no effect.'),
  holding: count('How many the brake holds.'),
  holds: z.array(holdSchema).max(MAX_HOLDS).optional().meta({
    description: 'Rollouts that the brake holds, or has let go on.',
    'x-kubernetes-list-type': 'atomic',
  }),
  conditions: z
    .array(conditionSchema)
    .max(16)
    .optional()
    .meta({
      description: 'What only the controller can see.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
})

export const podReadinessGateSchema = z
  .object({
    spec: gateSpecSchema.describe('What is wanted.'),
    status: gateStatusSchema.optional().describe('What is.'),
  })
  .describe(
    'Sets one condition of its own on the pods that it selects, so that the kubelet holds Ready back until all checks pass. The pods name the ' +
      'condition in spec.readinessGates.',
  )

export type PodReadinessGate = z.infer<typeof podReadinessGateSchema>
export type GateSpec = z.infer<typeof gateSpecSchema>
export type GateStatus = z.infer<typeof gateStatusSchema>
export type GateCondition = z.infer<typeof conditionSchema>
export type StoredHold = z.infer<typeof holdSchema>
export type LabelSelector = z.infer<typeof selectorSchema>
export type AnnotationCheck = z.infer<typeof annotationCheck>
export type HttpGetCheck = z.infer<typeof httpGetCheck>
export type ConditionCheck = z.infer<typeof conditionCheck>
export type HandoverCheck = z.infer<typeof handoverCheck>
