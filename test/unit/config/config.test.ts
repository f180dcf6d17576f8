import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config.ts'
import { helpText, ROWS, settingsPage } from '../../../src/settings.ts'

const root = resolve(import.meta.dirname, '../../..')
const inCluster = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
const noFile = () => undefined

function config(argv: string[] = [], env: Record<string, string> = {}, readText: (path: string) => string | undefined = noFile) {
  const parsed = parseConfig(argv, { ...inCluster, ...env }, readText)
  if (!('config' in parsed)) throw new Error(`refused: ${JSON.stringify(parsed)}`)
  return parsed.config
}

function problems(argv: string[], env: Record<string, string> = {}): readonly string[] {
  const parsed = parseConfig(argv, { ...inCluster, ...env }, noFile)
  return 'problems' in parsed ? parsed.problems : []
}

describe('parseConfig', () => {
  it('gives every default to a controller in the cluster, frozen', () => {
    const found = config()
    expect(found).toEqual({
      kubeconfig: undefined,
      context: undefined,
      namespaces: [],
      excludeNamespaces: [],
      record: 'All',
      recordCompletions: false,
      gracefulRetentionMs: 3_600_000,
      abnormalRetentionMs: 7 * 24 * 3_600_000,
      maxRecordsPerNamespace: 1000,
      maxRecords: 20_000,
      catchUpMs: 3_600_000,
      events: true,
      gates: false,
      gatePatchesPerSecond: 50,
      gateProbes: 64,
      cleanup: false,
      cleanupTotal: undefined,
      cleanupPerNamespace: undefined,
      cleanupMinAgeMs: 60_000,
      cleanupBarePods: false,
      cleanupFinishedJobPods: false,
      cleanupRecordSucceeded: false,
      cleanupOnRecordFailure: 'Keep',
      cleanupDryRun: false,
      cleanupDeletesPerSecond: 50,
      cleanupConcurrency: 8,
      writeConcurrency: 8,
      writesPerSecond: 100,
      deletesPerSecond: 10,
      leaseName: 'gracewatch-controller',
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2000,
      namespace: 'gracewatch-system',
      agentNamespace: 'gracewatch-agent-system',
      metricsAddress: undefined,
      metricsTlsCertFile: undefined,
      metricsTlsKeyFile: undefined,
      metricsAuth: true,
      metricsWorkloads: 500,
      podName: hostname(),
      healthAddress: { port: 8081 },
      logLevel: 'info',
      inCluster: { host: '10.96.0.1', port: '443' },
    })
    expect(Object.isFrozen(found)).toBe(true)
    expect(Object.isFrozen(found.namespaces)).toBe(true)
  })

  it('takes a flag before its variable, the variable before the default, and an empty value for none', () => {
    expect(config([], { GRACEWATCH_RECORD: 'Abnormal' }).record).toBe('Abnormal')
    expect(config(['--record=All'], { GRACEWATCH_RECORD: 'Abnormal' }).record).toBe('All')
    expect(config(['--record='], { GRACEWATCH_RECORD: 'Abnormal' }).record).toBe('Abnormal')
    expect(config([], { GRACEWATCH_RECORD: '' }).record).toBe('All')
  })

  it('takes its own namespace from the service account, unless it is set', () => {
    const file = (path: string) => (path.endsWith('serviceaccount/namespace') ? 'elsewhere\n' : undefined)
    expect(config([], {}, file).namespace).toBe('elsewhere')
    expect(config(['--namespace', 'mine'], {}, file).namespace).toBe('mine')
  })

  it.each([
    ['90s', 90_000],
    ['1h', 3_600_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['1m0.5s', 60_500],
    ['2000ms', 2000],
  ])('reads the duration %s', (text, milliseconds) => {
    expect(config([`--retention-graceful=${text}`]).gracefulRetentionMs).toBe(milliseconds)
  })

  it.each([
    ['7d', 'days are no unit here: write 168h'],
    ['90', 'write a duration as 90s, 1h or 1h30m'],
    ['-1h', 'write a duration as 90s, 1h or 1h30m'],
    ['1h 30m', 'write a duration as 90s, 1h or 1h30m'],
    ['999ms', 'too short: write 1s or more'],
    ['99999999h', 'too long: write 87600h (ten years) or less'],
  ])('refuses the duration %s', (text, advice) => {
    expect(problems([`--retention-graceful=${text}`])).toEqual([expect.stringContaining(advice)])
  })

  it.each([
    [':8081', { port: 8081 }],
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['[::1]:9', { host: '::1', port: 9 }],
  ])('reads the address %s', (text, address) => {
    expect(config(['--health-address', text]).healthAddress).toEqual(address)
  })

  it.each(['8081', 'host', ':65536', '::1:80', ''])('refuses the address "%s" or takes the default for none', (text) => {
    if (text === '') expect(config([`--health-address=${text}`]).healthAddress).toEqual({ port: 8081 })
    else expect(problems([`--health-address=${text}`])).toEqual([expect.stringContaining('write host:port')])
  })

  it('reads booleans with and without a value', () => {
    expect(config(['--record-completions']).recordCompletions).toBe(true)
    expect(config(['--record-completions', 'false']).recordCompletions).toBe(false)
    expect(config(['--events=false']).events).toBe(false)
    expect(config([], { GRACEWATCH_EVENTS: 'false' }).events).toBe(false)
    expect(problems(['--events=no'])).toEqual(['--events=no: write true or false'])
  })

  it('joins a list that is given more than once and drops doubles', () => {
    expect(config(['--namespaces', 'a,b', '--namespaces=b, c']).namespaces).toEqual(['a', 'b', 'c'])
  })

  it('reports everything that is wrong at once, naming flag or variable and what to write', () => {
    const found = problems(
      ['--lease-durations', '7d', '--no-events', 'stray', '--log-level', 'loud', '--namespaces=A,b', '--context=x', '--pod-name'],
      { GRACEWATCH_RECORD: 'all', GRACEWATCH_RECORDS_TOTAL: '1e3' },
    )
    expect(found).toEqual([
      'unknown flag --lease-durations: did you mean --lease-duration?',
      'unknown flag --no-events: write --events=false',
      'unexpected argument "stray": settings are given as --name=value (see --help)',
      '--pod-name has no value: write --pod-name=NAME',
      expect.stringMatching(/^--namespaces=A,b: "A": write the name of a namespace/),
      'GRACEWATCH_RECORD=all: write one of All, Abnormal',
      'GRACEWATCH_RECORDS_TOTAL=1e3: write a whole number from 1 to 1000000',
      '--log-level=loud: write one of trace, debug, info, warn, error, fatal',
      expect.stringMatching(/^--context is given without --kubeconfig/),
    ])
  })

  it('refuses values that contradict each other', () => {
    expect(problems(['--renew-deadline=15s'])).toEqual([expect.stringMatching(/^--renew-deadline has to be shorter/)])
    expect(problems(['--retry-period=6s'])).toEqual([expect.stringMatching(/^--retry-period has to be at most half/)])
    expect(problems(['--lease-duration=15500ms'])).toEqual([expect.stringMatching(/^--lease-duration: a Lease holds whole/)])
    expect(problems(['--records-total=10'])).toEqual([expect.stringMatching(/^--records-per-namespace is more than/)])
    expect(problems(['--cleanup-total=10'])).toEqual([expect.stringMatching(/^--cleanup-total is given without --cleanup:/)])
    expect(problems(['--namespaces=a,b', '--exclude-namespaces=b'])).toEqual([expect.stringMatching(/^"b" stands in/)])
    expect(problems(['--record=All', '--record=Abnormal'])).toEqual([expect.stringMatching(/^--record is given twice/)])
  })

  it('asks for a kubeconfig outside a cluster', () => {
    expect(parseConfig([], {}, noFile)).toEqual({ problems: [expect.stringContaining('--kubeconfig=FILE')] })
    expect(parseConfig(['--kubeconfig=f'], {}, noFile)).toMatchObject({ config: { kubeconfig: 'f', inCluster: undefined } })
  })

  it('warns of a misspelt variable, but not of those that Kubernetes makes for a Service named gracewatch', () => {
    const env = {
      ...inCluster,
      GRACEWATCH_LOGLEVEL: 'debug',
      GRACEWATCH_SERVICE_HOST: '10.0.0.1',
      GRACEWATCH_PORT_8081_TCP_ADDR: '10.0.0.1',
    }
    expect(parseConfig([], env, noFile)).toMatchObject({
      warnings: ['GRACEWATCH_LOGLEVEL is no setting and has no effect: did you mean GRACEWATCH_LOG_LEVEL?'],
    })
  })
})

describe('the texts made from the table', () => {
  it('--help wins over everything else and fits in 100 columns', () => {
    expect(parseConfig(['--nonsense', '--help'], {}, noFile)).toEqual({ help: helpText() })
    expect(
      helpText()
        .split('\n')
        .filter((line) => line.length > 100),
    ).toEqual([])
    for (const [, row] of ROWS) expect(helpText()).toContain(`--${row.flag}=${row.value}`)
  })

  it('docs/settings.md is up to date', () => {
    expect(readFileSync(join(root, 'docs/settings.md'), 'utf8')).toBe(settingsPage())
  })
})
