/**
 * The controller's process with exactly the rights that the chart gives, once as it comes and once with everything switched on: nothing that it
 * asks for is refused, every rule is used, and a rule that is taken away is missed where that is told.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseExposition, seriesValue } from '../../unit/metrics/exposition.ts'
import { type ControllerProcess, freePort } from '../recorder/controller.ts'
import type { Call } from '../recorder/front.ts'
import { type Running, type StartOptions, useStage } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'
import { covers, needsOf, PARTS, type Right, rightsOf, textOf } from './rules.ts'
import { Scenes, scrape } from './scenes.ts'

const host = useStage('rights')
const parts = Object.keys(PARTS) as (keyof typeof PARTS)[] // Object.keys forgets the literal keys
const RIGHTS = parts.flatMap((part) => rightsOf(part).map((right) => ({ part, right })))
/** As an API server that cannot list by stream answers: then lists go by pages, for which there is a verb of its own. */
const NO_STREAMS = {
  status: 422,
  body: {
    apiVersion: 'v1',
    kind: 'Status',
    status: 'Failure',
    reason: 'Invalid',
    message:
      'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled',
    code: 422,
  },
}

let scenes: Scenes
let full: Running
let metrics: number
/** What the controller has asked for without any switch, and with all of them. */
const plainCalls: Call[] = []
const fullCalls: Call[] = []

const needs = (call: Call) => needsOf(call, host.stage.group)
const line = ({ method, path, status }: Call) => `${method} ${path} ${status}`

/** A token of an account of the test that may read the metrics. */
async function reader(name: string): Promise<string> {
  const { bed } = host.stage
  const own = scenes.in('own')
  await bed.kubectl('create', 'serviceaccount', name, '-n', own)
  const role = `--clusterrole=${own}-gracewatch-metrics-reader`
  await bed.kubectl('create', 'clusterrolebinding', `${own}-${name}`, role, `--serviceaccount=${own}:${name}`)
  return (await bed.kubectl('create', 'token', name, '-n', own)).trim()
}

/** Resolves when all these collections have been listed by pages. */
async function listed({ front }: Running, ...collections: readonly string[]): Promise<void> {
  const isList = (call: Call) => call.status === 200 && needs(call).some(({ verb }) => verb === 'list')
  const seen = (path: string) => () => front.calls('GET', new RegExp(`/${path}$`)).some(isList) || undefined
  await Promise.all(collections.map((path) => eventually(seen(path), 60_000, `${path} listed by ${front.url}`)))
}

/** Another replica takes over, on an API server of another kind. */
async function byPages(options: StartOptions): Promise<Running> {
  const running = await host.stage.start(options)
  // It has not asked for anything yet: nothing has been waited for since it was started.
  running.front.before('GET', /./, ({ query }) => (query.get('sendInitialEvents') === 'true' ? NO_STREAMS : undefined))
  await running.controller.ready()
  return running.controller.leads(60_000).then(() => running)
}

/** Its last words are requests too. */
async function ends(controller: ControllerProcess): Promise<void> {
  expect(await controller.stop()).toMatchObject({ code: 0 })
}

async function runPlain(): Promise<void> {
  const { stage } = host
  const args = [`--agent-namespace=${scenes.in('agents')}`, '--retention-graceful=1s']
  const options = { own: scenes.in('plain'), namespaces: [scenes.in('ends')], args, lease: [] }
  await scenes.oldRecord()
  const first = await stage.lead(options)
  await Promise.all([scenes.terminations(), scenes.job()])
  const retained = () => first.front.calls('DELETE', /\/podterminations\/old$/).some(({ status }) => status === 200) || undefined
  await eventually(retained, 60_000, 'an old record deleted')
  // It tells of the second forced kill when it goes.
  await ends(first.controller)
  const second = await byPages(options)
  await listed(second, 'pods', 'events', 'endpointslices', 'podterminations')
  await ends(second.controller)
  plainCalls.push(...first.front.all, ...second.front.all)
}

async function runFull(): Promise<void> {
  const { stage } = host
  const page = await freePort()
  const labels = ['checks', 'deleted', 'deployment', 'statefulset', 'daemonset', 'finished']
  const options = {
    own: scenes.in('own'),
    namespaces: labels.map((label) => scenes.in(label)),
    args: [`--metrics-address=127.0.0.1:${metrics}`, `--page-port=${page}`],
    lease: [],
    gates: true,
    cleanup: true,
    rights: [PARTS.targets, PARTS.metrics],
  }
  const first = await stage.lead(options)
  const token = await reader('prometheus')
  const scraped = async () => (await scrape(metrics, token)).status === 200 || undefined
  await Promise.all([
    scenes.checks(),
    scenes.deployment(),
    scenes.revisions('StatefulSet'),
    scenes.revisions('DaemonSet'),
    scenes.cleanup(),
    eventually(scraped, 60_000, 'the metrics read'),
  ])
  const shown = async () => (await (await fetch(`http://127.0.0.1:${page}/`)).text()).includes('old-1') || undefined
  await eventually(shown, 60_000, 'a record on the page')
  await ends(first.controller)
  full = await byPages(options)
  // Of a check that is not at work nothing is listed: that it is again is seen by what it looks at.
  await listed(full, 'podreadinessgates', 'services', 'deployments', 'statefulsets', 'daemonsets')
  await listed(full, `${scenes.in('checks')}/jobs`, 'v1/jobs', 'podcleanups')
  fullCalls.push(...first.front.all, ...full.front.all)
}

beforeAll(async () => {
  const labels = ['own', 'plain', 'agents', 'ends', 'checks', 'deleted', 'deployment', 'statefulset', 'daemonset', 'finished']
  scenes = await Scenes.start(host.stage, labels)
  metrics = await freePort()
  await Promise.all([runPlain(), runFull()])
})
afterAll(async () => {
  const { bed } = host.stage
  const own = scenes.in('own')
  await bed.cluster.tryKubectl(['delete', 'clusterrolebinding', `${own}-prometheus`, `${own}-late`, '--ignore-not-found'])
  await host.stage.stopControllers()
  await scenes.gates.freeGates()
  await scenes.cleanups.free()
})

describe('with the rights of the chart', () => {
  it('nothing that the controller asks for is refused', () => {
    expect(plainCalls.length).toBeGreaterThan(50)
    expect(fullCalls.length).toBeGreaterThan(100)
    const refused = [...plainCalls, ...fullCalls].filter(({ status }) => status === 403 || status === 401)
    expect(refused.map(line)).toEqual([])
  })

  it('nothing that it asks for is allowed by other rights than these', () => {
    const covered = (call: Call) => needs(call).every((need) => RIGHTS.some(({ right }) => covers(right, need)))
    expect([...plainCalls, ...fullCalls].filter((call) => !covered(call)).map(line)).toEqual([])
  })

  // One test a rule, so that one that is left over is told by its name. What it always has it has to use without any switch.
  it.each(RIGHTS.map(({ part, right }) => [textOf(right), part, right] as const))('%s (%s) is used', (_, part, right) => {
    const calls = part === 'always' ? plainCalls : fullCalls
    const used = calls.filter(({ status = 0 }) => status > 0 && status < 400).flatMap(needs)
    expect(used.some((need) => covers(right, need))).toBe(true)
  })

  it('no switch gives what the controller has anyway', () => {
    const always = new Set(rightsOf('always').map(textOf))
    const twice = RIGHTS.filter(({ part, right }) => part !== 'always' && always.has(textOf(right)))
    expect(twice.map(({ part, right }) => `${textOf(right)} (${part})`)).toEqual([])
  })
})

describe('without', () => {
  /** Takes a right away until `act` is over, which ends when it is missed. */
  async function without(role: string, { verb, group, resource }: Right, act: () => Promise<void>): Promise<void> {
    const { bed } = host.stage
    const name = `${scenes.in('own')}-${role}`
    const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${name}`
    interface Rules {
      rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[]
    }
    const { rules } = (await bed.http.request({ method: 'GET', path })).json<Rules>()
    const moved = group === 'gracewatch.dev' ? host.stage.group : group
    const is = (rule: Rules['rules'][number]) => rule.apiGroups.includes(moved) && rule.resources.includes(resource)
    const left = rules.map((rule) => (is(rule) ? { ...rule, verbs: rule.verbs.filter((it) => it !== verb) } : rule))
    expect(left).not.toEqual(rules)
    const write = (to: Rules['rules']) =>
      bed.http.request({
        method: 'PATCH',
        path,
        contentType: 'application/merge-patch+json',
        // A rule has at least one verb.
        body: { rules: to.filter(({ verbs }) => verbs.length > 0) },
      })
    const user = `system:serviceaccount:${scenes.in('own')}:gracewatch-controller`
    const [kind = '', subresource] = resource.split('/')
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, resourceAttributes: { verb, group: moved, resource: kind, ...(subresource && { subresource }) } },
    }
    // The authorizer hears of a change a moment after it was made.
    const becomes = async (wanted: boolean) => {
      const ask = { method: 'POST', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews', body: review } as const
      const allowed = async () => (await bed.http.request(ask)).json<{ status: { allowed: boolean } }>().status.allowed
      await eventually(async () => (await allowed()) === wanted || undefined, 60_000, `${verb} ${resource} ${wanted}`)
    }
    await write(left)
    try {
      await becomes(false)
      await act()
    } finally {
      await write(rules)
      await becomes(true)
    }
  }

  const refused = (method: string, path: RegExp) =>
    eventually(() => full.front.calls(method, path).some(({ status }) => status === 403) || undefined, 60_000, `${path} refused`)
  const failures = (token: string) => async () =>
    seriesValue(parseExposition((await scrape(metrics, token)).text), 'gracewatch_cleanup_failures_total', {
      reason: 'Forbidden',
    })

  it('the right to write records, that is logged', async () => {
    const { kubelet } = host.stage
    const namespace = scenes.in('checks')
    const pod = await kubelet.pod(namespace, 'unrecorded')
    await without('gracewatch-controller', { verb: 'patch', group: 'gracewatch.dev', resource: 'podterminations' }, async () => {
      await pod.delete()
      await pod.finish()
      await refused('PATCH', /\/podterminations\/unrecorded/)
      const said = await full.controller.says('records refused')
      expect(said).toMatchObject({ level: 'warn', namespace, reason: 'Forbidden' })
    })
  })

  it('the right to patch the status of pods, that is logged, and the condition is written once it is back', async () => {
    const namespace = scenes.in('deleted')
    await scenes.gates.gate(namespace, 'powerless')
    await without('gracewatch-gatekeeper', { verb: 'patch', group: '', resource: 'pods/status' }, async () => {
      const { metadata } = await scenes.gates.pod(namespace, 'unwritten')
      await refused('PATCH', /\/pods\/unwritten\/status$/)
      const message = 'condition not written yet, trying again'
      const said = await full.controller.says(message, 20_000, ({ pod }) => String(pod).endsWith(metadata.uid))
      expect(said).toMatchObject({ level: 'warn', error: expect.stringContaining('is forbidden') })
    })
    const written = () => scenes.gates.condition(namespace, 'unwritten')
    await eventually(written, 120_000, 'the condition of the pod')
  })

  it('the right to delete pods, a PodCleanup tells so, and the pod stays', async () => {
    const namespace = scenes.in('finished')
    const token = await host.stage.bed.kubectl('create', 'token', 'prometheus', '-n', scenes.in('own'))
    await without('gracewatch-cleaner', { verb: 'delete', group: '', resource: 'pods' }, async () => {
      await scenes.cleanups.finished(namespace, 'stays')
      await refused('DELETE', /\/pods\/stays$/)
      await expect.poll(failures(token.trim()), { timeout: 60_000 }).toBeGreaterThan(0)
      expect(await scenes.cleanups.names(namespace)).toEqual(['stays'])
    })
  })

  it('the right to ask whose a token is, nobody new gets the metrics', async () => {
    const token = await reader('late')
    const right = { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews' }
    await without('gracewatch-metrics-auth', right, async () => {
      const asked = async () => {
        expect((await scrape(metrics, token)).status).toBe(503)
        return full.front.calls('POST', /\/tokenreviews$/).some(({ status }) => status === 403) || undefined
      }
      await eventually(asked, 60_000, 'the API server asked')
      const message = 'who asks for the metrics cannot be found out, nobody gets them'
      expect(await full.controller.says(message)).toMatchObject({ level: 'warn' })
    })
    await expect.poll(async () => (await scrape(metrics, token)).status, { timeout: 60_000 }).toBe(200)
  })
})
