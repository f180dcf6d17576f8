/** The alerts as promtool evaluates them over series that are written down, and what the chart and the dashboard make of the same source. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { type Rule, type RuleFile, ruleFile } from '../../src/alerts/files.ts'
import { ROWS } from '../../src/dashboard/panels.ts'
import { template } from '../chart/manifests.ts'
import { checkRules, testRules } from '../prometheus/promtool.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const RULES = join(ROOT, 'deploy/alerts/rules.yaml')
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-alerts-'))
const write = (name: string, content: object): string => {
  const path = join(folder, name)
  writeFileSync(path, stringify(content))
  return path
}

afterAll(() => rmSync(folder, { recursive: true }))

interface Firing {
  readonly labels: Readonly<Record<string, string>>
  readonly description: string
}
interface Case {
  readonly title: string
  /** Series -> its values, one each 30 s: `0x3` is 0 and 3 more of it, `_x3` 3 of nothing, `stale` the end of the series. */
  readonly series: Readonly<Record<string, string>>
  /** What fires of an alert at a time. */
  readonly at: readonly (readonly [time: string, alert: string, firing: readonly Firing[]])[]
}

const rules = ruleFile().groups.flatMap((group) => group.rules)
const firing = (description: string, labels: Readonly<Record<string, string>>): Firing => ({ description, labels })
const ofTarget = (instance: string, more = '') => `job="gracewatch", instance="${instance}"${more === '' ? '' : `, ${more}`}`
const A = ofTarget('10.0.0.1:8443')
const B = ofTarget('10.0.0.2:8443')
const WEB = 'namespace="shop", workload_kind="Deployment", workload="web"'
const WEB_LABELS = { namespace: 'shop', workload_kind: 'Deployment', workload: 'web' }
const kills = (target: string, workload = WEB) =>
  `gracewatch_pod_terminations_total{${target}, ${workload}, outcome="ForcedKill", cause="Deleted"}`
const findings = (finding: string, target = A, workload = WEB) =>
  `gracewatch_pod_termination_findings_total{${target}, ${workload}, finding="${finding}"}`
const KILLED =
  'killed by force in 15 minutes. Their grace period was over before they had ended. kubectl get podterminations -n shop --field-selector='
const killed = (pods: number) =>
  firing(`Deployment shop/web: about ${pods} ${KILLED}pod.workload.name=web,outcome=ForcedKill`, WEB_LABELS)
const LIST = 'kubectl get podterminations -n shop --field-selector=pod.workload.name=web'
/** Nothing fires of it at these times. */
const quiet = (alert: string, ...times: string[]) => times.map((time) => [time, alert, []] as const)

const CASES: readonly Case[] = [
  {
    title: 'the first forced kill ever of a workload, from when it was counted until the window has passed',
    series: { [kills(A)]: '_x20 0 1x80' },
    at: [
      ...quiet('PodsForceKilled', '10m', '11m'),
      ['11m30s', 'PodsForceKilled', [killed(1)]],
      ['24m30s', 'PodsForceKilled', [killed(1)]],
      ...quiet('PodsForceKilled', '25m30s', '40m'),
    ],
  },
  {
    title: 'a kill on each of two replicas, one after the other the leader, once and by the workload',
    series: { [kills(A)]: '0x10 1x10 stale', [kills(B)]: '0x25 1x40' },
    at: [['14m30s', 'PodsForceKilled', [killed(2)]]],
  },
  {
    title: 'no kill where a controller starts anew in place, or another pod takes its place, or a standby has old counts',
    series: { [kills(A)]: '5x40 0x40', [kills(B)]: '3x40 stale', [kills(ofTarget('10.0.0.3:8443'))]: '_x41 0x40' },
    at: quiet('PodsForceKilled', '5m', '20m30s', '22m', '30m'),
  },
  {
    title: 'graceful ends are none',
    series: {
      [`gracewatch_pod_terminations_total{${A}, ${WEB}, outcome="Graceful", cause="Deleted"}`]: '0x5 1x5 7x30',
      [`gracewatch_pod_terminations_total{${A}, ${WEB}, outcome="ForcedKill", cause="Deleted"}`]: '0x40',
    },
    at: quiet('PodsForceKilled', '5m', '10m', '15m'),
  },
  {
    title: 'pods without an owner, and workloads that have no series of their own',
    series: {
      [kills(A, 'namespace="shop", workload_kind="Pod", workload=""')]: '0x5 2x40',
      [kills(A, 'namespace="", workload_kind="", workload="other"')]: '0x5 1x40',
    },
    at: [
      [
        '10m',
        'PodsForceKilled',
        [
          firing(`Pods without an owner in shop: about 2 ${KILLED}outcome=ForcedKill`, {
            namespace: 'shop',
            workload_kind: 'Pod',
          }),
          firing(
            'Workloads over the limit of metrics-workloads: about 1 killed by force in 15 minutes. Their grace period was over before they had ended. kubectl get podterminations -A --field-selector=outcome=ForcedKill',
            { workload: 'other' },
          ),
        ],
      ],
    ],
  },
  {
    title: 'findings, for an hour, each under its own name',
    series: {
      [findings('GraceNearlyExhausted')]: '0x10 1x200',
      [findings('PreStopOverran')]: '0x10 1x200',
      [findings('EndpointReadyAtStopSignal')]: '0x10 1x200',
      [findings('StopSignalIgnored')]: '0x10 1x200',
      [findings('StopSignalNotForwarded', B)]: '0x10 2x200',
      [findings('NoDrainTime')]: '0x10 9x200',
    },
    at: [
      ...quiet('PreStopHookOverran', '5m', '66m', '90m'),
      [
        '40m',
        'GracePeriodNearlyExhausted',
        [
          firing(
            `Deployment shop/web: about 1 ended in the last hour with less than a fifth of their grace period left. A slower day, and they are killed. ${LIST}`,
            WEB_LABELS,
          ),
        ],
      ],
      [
        '40m',
        'PreStopHookOverran',
        [
          firing(
            `Deployment shop/web: about 1 in the last hour spent the whole grace period in the preStop hook, so the app had 2 s for its own shutdown. ${LIST}`,
            WEB_LABELS,
          ),
        ],
      ],
      [
        '40m',
        'EndpointReadyAtStopSignal',
        [
          firing(
            `Deployment shop/web: about 1 in the last hour got the stop signal while a Service could still send new requests. ${LIST}`,
            WEB_LABELS,
          ),
        ],
      ],
      [
        '40m',
        'StopSignalIgnored',
        [
          firing(
            `Deployment shop/web: about 1 in the last hour did not get to stop by themselves (StopSignalIgnored): process 1 of the container has no handler for the stop signal. ${LIST}`,
            { ...WEB_LABELS, finding: 'StopSignalIgnored' },
          ),
          firing(
            `Deployment shop/web: about 2 in the last hour did not get to stop by themselves (StopSignalNotForwarded): process 1 of the container did not pass the stop signal on. ${LIST}`,
            { ...WEB_LABELS, finding: 'StopSignalNotForwarded' },
          ),
        ],
      ],
    ],
  },
  {
    title: 'a pod that is stuck, also over a change of leader; not one that is late and goes',
    series: {
      [`gracewatch_pods_overdue{${A}, ${WEB}}`]: '_x3 2x9 stale',
      [`gracewatch_pods_overdue{${B}, ${WEB}}`]: '_x15 2x20 stale',
      [`gracewatch_pods_overdue{${A}, namespace="shop", workload_kind="Deployment", workload="late"}`]: '_x3 1x8 0x11 stale',
      // Scrapes that are missing end nothing.
      [`gracewatch_pods_overdue{${A}, namespace="shop", workload_kind="Deployment", workload="api"}`]: '_x3 1x9 _x6 1x9 0x30',
    },
    at: [
      ...quiet('PodStuckTerminating', '11m'),
      [
        '12m30s',
        'PodStuckTerminating',
        [
          firing(
            `Deployment shop/web: 2 past the deadline and not gone, for more than 10 minutes. ${LIST},state=Overdue`,
            WEB_LABELS,
          ),
          firing(
            `Deployment shop/api: 1 past the deadline and not gone, for more than 10 minutes. ${LIST.replace('=web', '=api')},state=Overdue`,
            { ...WEB_LABELS, workload: 'api' },
          ),
        ],
      ],
      ...quiet('PodStuckTerminating', '25m'),
    ],
  },
  {
    title: 'a gate that holds for too long, and a rollout that the brake holds, which is not both',
    series: {
      [`gracewatch_gate_longest_hold_seconds{${A}, namespace="shop", gate="approved"}`]: '0x9 0+30x40 0x30',
      [`gracewatch_gate_longest_hold_seconds{${A}, namespace="shop", gate="handover"}`]: '0x9 0+30x70',
      [`gracewatch_rollout_held_seconds{${A}, namespace="shop", gate="handover", workload_kind="Deployment", workload="web"}`]:
        '_x9 0+30x60 stale',
    },
    at: [
      ...quiet('GateHoldingTooLong', '15m'),
      [
        '17m',
        'GateHoldingTooLong',
        [
          firing('PodReadinessGate shop/approved has held a pod for 12m 0s. kubectl describe prg approved -n shop', {
            namespace: 'shop',
            gate: 'approved',
          }),
        ],
      ],
      ...quiet('GateHoldingTooLong', '26m'),
      ...quiet('RolloutHeldByBrake', '5m30s'),
      [
        '7m',
        'RolloutHeldByBrake',
        [
          firing(
            "The brake of PodReadinessGate shop/handover has held the rollout of Deployment web for 2m 30s. kubectl get prg handover -n shop -o jsonpath='{.status.holds[*].message}'",
            { ...WEB_LABELS, gate: 'handover' },
          ),
        ],
      ],
      ...quiet('RolloutHeldByBrake', '41m'),
    ],
  },
  {
    title: 'a gate that goes on holding once its brake has let go: the 0 of the rollout hides nothing',
    series: {
      [`gracewatch_gate_longest_hold_seconds{${A}, namespace="shop", gate="both"}`]: '0+30x60',
      [`gracewatch_rollout_held_seconds{${A}, namespace="shop", gate="both", workload_kind="Deployment", workload="web"}`]:
        '0+30x23 0x11 stale',
    },
    at: [
      ...quiet('GateHoldingTooLong', '12m30s'),
      [
        '13m',
        'GateHoldingTooLong',
        [
          firing('PodReadinessGate shop/both has held a pod for 13m 0s. kubectl describe prg both -n shop', {
            namespace: 'shop',
            gate: 'both',
          }),
        ],
      ],
      ...quiet('RolloutHeldByBrake', '12m'),
    ],
  },
  {
    title: 'a cleanup that fails for a while, by its rule, and the threshold; not one that fails once',
    series: {
      [`gracewatch_cleanup_rule_problems{${A}, namespace="shop", cleanup="finished", problem="RecordRefused"}`]: '1x60 stale',
      [`gracewatch_cleanup_rule_problems{${A}, namespace="shop", cleanup="old", problem="Unusable"}`]: '1x60 stale',
      [`gracewatch_cleanup_rule_problems{${A}, namespace="", cleanup="", problem="Failing"}`]: '1x60 stale',
      [`gracewatch_cleanup_rule_problems{${A}, namespace="shop", cleanup="once", problem="Failing"}`]: '1x2 stale',
    },
    at: [
      ...quiet('CleanupFailing', '14m'),
      [
        '16m',
        'CleanupFailing',
        [
          firing(
            'PodCleanup shop/finished: the API server refuses the records, so the pods stay, for more than 15 minutes. kubectl describe pclean finished -n shop',
            { namespace: 'shop', cleanup: 'finished', problem: 'RecordRefused' },
          ),
          firing(
            'PodCleanup shop/old: the spec cannot be used, so no finished pod of the namespace is deleted, for more than 15 minutes. kubectl describe pclean old -n shop',
            { namespace: 'shop', cleanup: 'old', problem: 'Unusable' },
          ),
          firing(
            'The threshold of the cleanup: deletions fail, for more than 15 minutes. kubectl events -n gracewatch-system --for lease/gracewatch-controller',
            { problem: 'Failing' },
          ),
        ],
      ],
      ...quiet('CleanupFailing', '36m'),
    ],
  },
  {
    title: 'no replica at all; not replicas that start anew',
    series: { [`gracewatch_leader{${A}}`]: '1x10 stale _x12 1x10 stale _x60' },
    at: [
      ...quiet('RecorderBlind', '5m', '10m', '15m', '24m'),
      [
        '29m',
        'RecorderBlind',
        [
          firing(
            'For 10 minutes Prometheus has heard of no replica of the controller: none runs, or none is scraped. kubectl get pods -n gracewatch-system',
            { problem: 'NoReplica' },
          ),
        ],
      ],
    ],
  },
  {
    title: 'no leader; not a minute between two leaders, and not one that is not scraped',
    series: {
      [`gracewatch_leader{${A}}`]: '1x10 0x80',
      [`gracewatch_lease_held{${A}}`]: '1x10 0x80',
      [`gracewatch_leader{${B}}`]: '0x12 1x20 0x60',
      [`gracewatch_lease_held{${B}}`]: '0x12 1x20 0x60',
      // Of the cluster "far" the one that leads is out of reach, and the other sees it renew the Lease.
      [`gracewatch_leader{${A}, cluster="far"}`]: '1x3 stale',
      [`gracewatch_lease_held{${A}, cluster="far"}`]: '1x3 stale',
      [`gracewatch_leader{${B}, cluster="far"}`]: '0x90',
      [`gracewatch_lease_held{${B}, cluster="far"}`]: '1x90',
    },
    at: [
      ...quiet('RecorderBlind', '6m', '7m', '20m'),
      [
        '22m30s',
        'RecorderBlind',
        [
          firing(
            'For 5 minutes no replica of the controller has known of a leader: nothing is recorded, no gate opens, nothing is cleaned up. kubectl get lease gracewatch-controller -n gracewatch-system',
            { problem: 'NoLeader' },
          ),
        ],
      ],
    ],
  },
  {
    title: 'a watch of the leader that is silent, and one that was never listed; not those of a standby or an agent',
    series: {
      [`gracewatch_leader{${A}}`]: '1x60',
      [`gracewatch_leader{${B}}`]: '0x60',
      [`gracewatch_watch_silence_seconds{${A}, resource="pods"}`]: '0+30x60',
      [`gracewatch_watch_silence_seconds{${B}, resource="events"}`]: '0+30x60',
      [`gracewatch_watch_silence_seconds{${ofTarget('10.1.0.1:8443')}, resource="pods"}`]: '0+60x60',
      [`gracewatch_watch_synced{${B}, resource="podreadinessgates"}`]: '0x60',
      [`gracewatch_watch_synced{${A}, resource="podreadinessgates"}`]: '1x60',
      [`gracewatch_watch_synced{${ofTarget('10.1.0.1:8443')}, resource="pods"}`]: '0x60',
    },
    at: [
      ...quiet('RecorderBlind', '5m'),
      [
        '12m',
        'RecorderBlind',
        [
          firing(
            'The leader has heard nothing of pods for 12m 0s. kubectl logs -n gracewatch-system deployment/gracewatch-controller --tail=50',
            { problem: 'WatchSilent', resource: 'pods' },
          ),
          firing(
            '1 of the replicas of the controller have not been able to list podreadinessgates for 10 minutes. kubectl logs -n gracewatch-system deployment/gracewatch-controller --tail=50',
            { problem: 'WatchNotSynced', resource: 'podreadinessgates' },
          ),
        ],
      ],
    ],
  },
  {
    title: 'records that are refused and evidence that is dropped; not in namespaces that go, and not by agents',
    series: {
      [`gracewatch_leader{${A}}`]: '1x60',
      [`gracewatch_records_refused_total{${A}, reason="QuotaExceeded"}`]: '0x9 3x60',
      [`gracewatch_records_refused_total{${A}, reason="NamespaceTerminating"}`]: '0x9 3x60',
      [`gracewatch_records_refused_total{${ofTarget('10.1.0.1:8443')}, reason="Forbidden"}`]: '0x9 3x60',
      [`gracewatch_evidence_dropped_total{${A}, reason="trackers"}`]: '0x9 4x60',
    },
    at: [
      [
        '10m',
        'RecorderBlind',
        [
          firing(
            "Refused in 15 minutes: about 3 writes of records (QuotaExceeded). kubectl logs -n gracewatch-system deployment/gracewatch-controller | grep 'records refused'",
            { problem: 'RecordsRefused', reason: 'QuotaExceeded' },
          ),
          firing('Dropped in 15 minutes: about 4 (trackers). Records of that time are less exact, or missing, and say so.', {
            problem: 'EvidenceDropped',
            reason: 'trackers',
          }),
        ],
      ],
      ...quiet('RecorderBlind', '30m'),
    ],
  },
  {
    title: 'an agent that loses events, by its node or its address, one that drops, and one that has no trace',
    series: {
      [`gracewatch_leader{${A}}`]: '1x60',
      [`gracewatch_agent_lost_events_total{${ofTarget('10.1.0.1:8443', 'node="node-1"')}}`]: '0x9 120x60',
      [`gracewatch_agent_lost_events_total{${ofTarget('10.1.0.2:8443')}}`]: '0x9 7x60',
      [`gracewatch_agent_lost_events_total{${ofTarget('10.1.0.3:8443', 'node="node-3"')}}`]: '9x9 0x60',
      [`gracewatch_agent_dropped_facts_total{${ofTarget('10.1.0.4:8443', 'node="node-4"')}}`]: '0x9 5x60',
      [`gracewatch_agent_dropped_terminations_total{${ofTarget('10.1.0.5:8443', 'node="node-5"')}}`]: '0x9 1x60',
      [`gracewatch_agent_tracing{${ofTarget('10.1.0.6:8443', 'node="node-6"')}}`]: '1x5 0x60',
    },
    at: [
      [
        '10m',
        'AgentLosingEvents',
        [
          ...[
            ['node node-1', 120, { node: 'node-1', instance: '10.1.0.1:8443' }] as const,
            ['10.1.0.2:8443', 7, { instance: '10.1.0.2:8443' }] as const,
          ].map(([where, count, labels]) =>
            firing(
              `The agent of ${where} has lost about ${count} events of the kernel in 15 minutes: its buffer ran over. Records of that time say so, and prove less.`,
              { ...labels, problem: 'EventsLost' },
            ),
          ),
          ...[
            ['node-4', 5, { node: 'node-4', instance: '10.1.0.4:8443' }] as const,
            ['node-5', 1, { node: 'node-5', instance: '10.1.0.5:8443' }] as const,
          ].map(([node, count, labels]) =>
            firing(
              `The agent of node ${node} has dropped about ${count} signals or terminations in 15 minutes: it had no room, or the API server refused them.`,
              { ...labels, problem: 'Dropped' },
            ),
          ),
        ],
      ],
      [
        '25m',
        'AgentLosingEvents',
        [
          firing('The agent of node node-6 has had no trace for 15 minutes: it measures nothing. Its log says why.', {
            node: 'node-6',
            instance: '10.1.0.6:8443',
            problem: 'NotTracing',
          }),
        ],
      ],
    ],
  },
]

/** With what the rule itself says of every alert of its name. */
function expected(alert: string, { labels, description }: Firing): object {
  const rule = rules.find((one): one is Rule => one.alert === alert && (one.labels.problem ?? labels.problem) === labels.problem)
  const { summary, runbook_url } = rule?.annotations ?? {}
  return { exp_labels: { ...rule?.labels, ...labels }, exp_annotations: { summary, runbook_url, description } }
}

const testFile = ({ series, at }: Case): object => ({
  rule_files: [RULES],
  evaluation_interval: '30s',
  tests: [
    {
      interval: '30s',
      input_series: Object.entries({
        // Else there would be no replica in any of them.
        ...(Object.keys(series).some((name) => name.startsWith('gracewatch_leader{'))
          ? {}
          : { [`gracewatch_leader{${A}}`]: '1x300' }),
        ...series,
      }).map(([name, values]) => ({ series: name, values })),
      alert_rule_test: at.map(([time, alertname, alerts]) => ({
        eval_time: time,
        alertname,
        exp_alerts: alerts.map((one) => expected(alertname, one)),
      })),
    },
  ],
})

describe('the alerts', () => {
  it('are rules that promtool has nothing to say against', async () => {
    expect(await checkRules(RULES)).toBe('')
    const wrong = { groups: [{ name: 'wrong', rules: [{ alert: 'Wrong', expr: 'sum by (x (y)' }] }] }
    expect(await checkRules(write('wrong.yaml', wrong))).toContain('could not parse expression')
  })

  it.each(CASES)('$title', async (one) => {
    expect(await testRules(write('test.yaml', testFile(one)))).toBe('')
  })

  it('each fire in one of these cases', () => {
    const seen = new Set(
      CASES.flatMap(({ at }) =>
        at.flatMap(([, alert, alerts]) =>
          alerts.map(({ labels }) => `${alert} ${alert === 'CleanupFailing' ? '' : (labels.problem ?? '')}`),
        ),
      ),
    )
    expect(seen).toEqual(new Set(rules.map(({ alert, labels }) => `${alert} ${labels.problem ?? ''}`)))
  })

  it('would be missed where promtool does not find what is expected', async () => {
    const [first] = CASES
    const wrong = { title: '', series: first?.series ?? {}, at: [['12m', 'PodsForceKilled', [killed(2)]]] } as const
    expect(await testRules(write('wrong-test.yaml', testFile(wrong)))).toContain('FAILED')
  })
})

describe('the runbooks', () => {
  it('have only commands of gracewatch that it understands', () => {
    const pages = join(ROOT, 'docs/runbooks')
    const text = readdirSync(pages).map((name) => readFileSync(join(pages, name), 'utf8'))
    const commands = new Set(
      text.flatMap((page) => [...page.matchAll(/\bnpx gracewatch ([^\n`]+)/g)].map(([, rest = '']) => rest)),
    )
    expect(commands.size).toBeGreaterThan(1)
    const run = (args: string) => {
      const env = { ...process.env, KUBECONFIG: join(folder, 'none') }
      return spawnSync(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...args.replace('POD', 'web-1').split(' ')], {
        env,
        encoding: 'utf8',
      })
    }
    // 2 would be for what it does not understand; 1: there is no cluster here.
    for (const command of commands) expect([command, run(command).status]).toEqual([command, 1])
    expect(run('show POD -n shop --colour').status).toBe(2)
  })
})

describe('the chart', () => {
  const objectOf = async (kind: string, settings: readonly string[], values: object = {}) => {
    const documents = parseAllDocuments(await template(settings, '4', values)).map((document) => document.toJS())
    return documents.find((object) => object?.kind === kind)
  }
  const groupsOf = async (settings: readonly string[], values: object = {}): Promise<RuleFile['groups']> =>
    (await objectOf('PrometheusRule', ['prometheusRule.enabled=true', ...settings], values)).spec.groups
  const EVERYTHING = ['gates.enabled=true', 'cleanup.enabled=true', 'agent.enabled=true']

  it('has the same rules, of what is switched on', async () => {
    expect(await groupsOf(EVERYTHING)).toEqual(ruleFile().groups)
    expect((await groupsOf([])).map(({ name }) => name)).toEqual(['gracewatch-terminations', 'gracewatch-controller'])
    expect((await groupsOf(['agent.enabled=true', 'agent.metrics.enabled=false'])).map(({ name }) => name)).not.toContain(
      'gracewatch-agent',
    )
  })

  it('leaves alerts out, and changes severities, labels and the address of the runbooks, as values say', async () => {
    const prometheusRule = {
      labels: { release: 'prometheus' },
      alertLabels: { team: 'platform', severity: 'none' },
      disabled: ['RecorderBlind', 'PreStopHookOverran'],
      severities: { PodsForceKilled: 'critical' },
      runbookUrl: 'https://wiki.example.com/gracewatch/',
    }
    const found = (await groupsOf([], { prometheusRule })).flatMap((group) => group.rules)
    const all = ruleFile().groups[0]?.rules ?? []
    const wanted = all
      .filter(({ alert }) => alert !== 'PreStopHookOverran')
      .map((rule) => ({
        ...rule,
        labels: { ...rule.labels, team: 'platform', ...(rule.alert === 'PodsForceKilled' && { severity: 'critical' }) },
        annotations: { ...rule.annotations, runbook_url: `https://wiki.example.com/gracewatch/${rule.alert}.md` },
      }))
    expect(found).toEqual(wanted)
    const { metadata } = await objectOf('PrometheusRule', ['prometheusRule.enabled=true'], { prometheusRule })
    expect(metadata.labels).toMatchObject({ release: 'prometheus' })
  })

  it('has the same dashboard, in a ConfigMap that the sidecar of Grafana finds', async () => {
    const { metadata, data } = await objectOf('ConfigMap', [
      'dashboard.enabled=true',
      'dashboard.annotations.grafana_folder=Pods',
    ])
    expect(JSON.parse(data['gracewatch.json'])).toEqual(
      JSON.parse(readFileSync(join(ROOT, 'deploy/dashboard/gracewatch.json'), 'utf8')),
    )
    expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' })
    expect(metadata.annotations).toEqual({ grafana_folder: 'Pods' })
  })
})

describe('the dashboard', () => {
  it('has only queries that Prometheus can read', async () => {
    const queries = ROWS.flatMap(({ panels }) => panels.flatMap((panel) => panel.queries.map(({ expr }) => expr)))
    // As Grafana fills its variables in.
    const filled = queries.map((expr) => expr.replaceAll('$__rate_interval', '2m').replaceAll('$__range', '6h'))
    const rulesOf = filled.map((expr, index) => ({ record: `query_${index}`, expr }))
    expect(await checkRules(write('queries.yaml', { groups: [{ name: 'dashboard', rules: rulesOf }] }))).toBe('')
    expect(parse(readFileSync(join(folder, 'queries.yaml'), 'utf8')).groups[0].rules.length).toBeGreaterThan(40)
  })
})
