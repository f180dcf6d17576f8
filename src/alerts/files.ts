/** What is made from the table of alerts: the rule file of Prometheus, and the index of the runbooks. */
import { stringify } from 'yaml'
import { type Alert, GROUPS } from './rules.ts'

/** Where the pages are that an alert names; the chart takes another address by `prometheusRule.runbookUrl`. */
export const RUNBOOKS = 'https://github.com/gracewatch/gracewatch/blob/main/docs/runbooks'

/** As Prometheus reads it, and as the spec of a PrometheusRule has it. */
export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
}

export interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook_url', string>>
}

export const ruleFile = (): RuleFile => ({
  groups: GROUPS.map(({ name, alerts }) => ({ name, rules: alerts.map(ruleOf) })),
})

const ruleOf = ({ name, problem, severity, for: after, expr, summary, description }: Alert): Rule => ({
  alert: name,
  expr,
  for: after,
  labels: { severity, ...(problem !== undefined && { problem }) },
  annotations: { summary, description, runbook_url: `${RUNBOOKS}/${name}.md` },
})

export const ruleFileYaml = (note: string): string => `# ${note}\n${stringify(ruleFile(), { lineWidth: 0 })}`

export function runbookIndex(note: string): string {
  const rows = GROUPS.flatMap(({ alerts }) => alerts.map(row))
  return [
    '# Alerts and their runbooks',
    '',
    note,
    '',
    'Each alert names its page by `runbook_url`. The rules are in [deploy/alerts/rules.yaml](../../deploy/alerts/rules.yaml), for `rule_files` of',
    'Prometheus; with the chart they are a PrometheusRule by `prometheusRule.enabled`, with severities, labels and the address of these pages as',
    'values give them. They need the metrics scraped as in [metrics.md](../metrics.md#scraping-them), once a minute or more often. Why they are as they',
    'are: [ADR 17](../adr/0017-alerts.md).',
    '',
    '| alert | problem | severity | fires when | after |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    '`namespace`, `workload_kind` and `workload` of an alert are those of the workload. Alerts of one workload belong together: one says that its pods',
    'are killed, the next why. So group by the workload, not by the name of the alert:',
    '',
    '```yaml',
    'route: {receiver: team, group_by: [cluster, namespace, workload]}',
    '```',
    '',
    'What is counted shows for as long as it is in the window of the alert, 15 minutes or an hour: it resolves by itself when nothing new comes.',
    'Each alert is about the whole cluster that a Prometheus scrapes; only `NoReplica` cannot tell one of several clusters in one Prometheus.',
    '',
  ].join('\n')
}

const row = ({ name, problem = '', severity, for: after, expr, summary }: Alert): string =>
  `| [${name}](${name}.md) | ${problem} | ${severity} | ${summary}<br>\`${expr.replaceAll('\n', ' ').replaceAll('|', '\\|')}\` | ${after} |`
