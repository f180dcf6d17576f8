import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAgentConfig } from '../../../src/agent/config.ts'
import { createLeanLog } from '../../../src/agent/log.ts'
import { agentHelpText, agentSettingsPage } from '../../../src/agent/settings.ts'

const root = resolve(import.meta.dirname, '../../..')
const inCluster = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
const problems = (argv: string[], env = {}) => {
  const parsed = parseAgentConfig(argv, { ...inCluster, ...env })
  return 'problems' in parsed ? parsed.problems : []
}

describe('the settings of the agent', () => {
  test('need no more than the name of the node', () => {
    expect(parseAgentConfig([], { ...inCluster, GRACEWATCH_NODE_NAME: 'node-1' })).toMatchObject({
      config: {
        nodeName: 'node-1',
        kubeconfig: undefined,
        context: undefined,
        tracing: '/sys/kernel/tracing',
        instance: 'gracewatch',
        bufferKilobytes: 512,
        linesPerSecond: 5000,
        namespaces: [],
        excludeNamespaces: [],
        recordsNamespace: 'gracewatch-system',
        recordCompletions: false,
        healthAddress: { port: 8081 },
        logLevel: 'info',
        inCluster: { host: '10.96.0.1', port: '443' },
      },
      warnings: [],
    })
  })

  test('say what is wrong and what to write, all at once', () => {
    expect(problems(['--tracing=tracing', '--buffer-kilobytes=1', '--instance=../x', '--lines-per-secon=5'])).toEqual([
      'unknown flag --lines-per-secon: did you mean --lines-per-second?',
      '--instance=../x: write an object name: small letters, digits and dashes',
      '--buffer-kilobytes=1: write a whole number from 64 to 65536',
      '--node-name is not given: write the name of the node (in a DaemonSet: spec.nodeName)',
      '--tracing has to be an absolute path: /sys/kernel/tracing',
    ])
    expect(problems(['--node-name=n', '--namespaces=shop,web', '--exclude-namespaces=web'])).toEqual([
      '"web" stands in --namespaces and in --exclude-namespaces: take it out of one',
    ])
  })

  test('warn of a setting of the controller that the agent has not', () => {
    expect(parseAgentConfig([], { ...inCluster, GRACEWATCH_NODE_NAME: 'n', GRACEWATCH_NODENAME: 'n' })).toMatchObject({
      warnings: ['GRACEWATCH_NODENAME is no setting and has no effect: did you mean GRACEWATCH_NODE_NAME?'],
    })
  })

  test('have a page and a help text that are up to date', () => {
    expect(readFileSync(join(root, 'docs/agent-settings.md'), 'utf8')).toBe(agentSettingsPage())
    expect(parseAgentConfig(['--help'], {})).toEqual({ help: agentHelpText() })
    expect(
      agentHelpText()
        .split('\n')
        .filter((line) => line.length > 100),
    ).toEqual([])
  })
})

describe('the log of the agent', () => {
  const logged = (level: Parameters<typeof createLeanLog>[0], log: (to: ReturnType<typeof createLeanLog>) => void) => {
    const lines: string[] = []
    log(createLeanLog(level, (line) => lines.push(line)))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>) // each line is an object
  }

  test('has a line for each message, as the log of the controller has', () => {
    const [line] = logged('info', (log) => log.warn({ code: 'Busy' }, 'cannot trace'))
    expect(line).toEqual({ level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), code: 'Busy', msg: 'cannot trace' })
  })

  test('leaves out what is below its level', () => {
    const all = (log: ReturnType<typeof createLeanLog>) => {
      for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]({}, level)
    }
    expect(logged('warn', all).map(({ msg }) => msg)).toEqual(['warn', 'error'])
    expect(logged('trace', all)).toHaveLength(4)
    expect(logged('fatal', all)).toEqual([])
  })

  test('has of an error its message, and its stack for those that debug', () => {
    const fail = (log: ReturnType<typeof createLeanLog>) => log.error({ err: new Error('no') }, 'failed')
    expect(logged('info', fail)).toMatchObject([{ err: { name: 'Error', message: 'no' } }])
    expect(logged('info', fail)[0]).not.toHaveProperty('err.stack')
    expect(logged('debug', fail)[0]).toHaveProperty('err.stack')
  })
})
