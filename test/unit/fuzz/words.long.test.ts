/** What people write: flags, variables, settings, durations, times, files of access, addresses of the page. More runs: support.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAgentConfig } from '../../../src/agent/config.ts'
import { AGENT_ROWS } from '../../../src/agent/settings.ts'
import { parse, UsageError } from '../../../src/cli/arguments.ts'
import { chosenBy, FILTER_FLAGS, workloadOf } from '../../../src/cli/filters.ts'
import { selectPods } from '../../../src/cli/pod-selection.ts'
import { parseConfig } from '../../../src/config.ts'
import { addressRefusal } from '../../../src/controllers/gatekeeper/checks/address.ts'
import { parseDuration } from '../../../src/core/duration.ts'
import { matches, selectorProblem } from '../../../src/core/gates/selector.ts'
import { labelSelectorOf, selects } from '../../../src/core/record-filter.ts'
import { labelValue, recordName } from '../../../src/core/record-name.ts'
import { formatTime, parseTime } from '../../../src/core/time.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts'
import { nearest } from '../../../src/nearest.ts'
import { filterOf, queryOf } from '../../../src/page/filter.ts'
import { ROWS } from '../../../src/settings.ts'
import { envName } from '../../../src/settings-table.ts'
import { Records, stored, visit } from '../page/source.ts'
import { forcedKill } from '../render/records.ts'
import KUBECONFIGS from './corpus/kubeconfigs.json' with { type: 'json' }
import { expectCleanPrototypes, forAll, INHERITED, mutatedBytes, nastyText, outcomeOf, TIMEOUT } from './support.ts'

const LONGEST = 12_000

describe('settings', () => {
  const PROGRAMS = [
    ['the controller', parseConfig, ROWS],
    ['the agent', parseAgentConfig, AGENT_ROWS],
  ] as const
  test.for(PROGRAMS)(
    'of %s are all there and frozen, or every problem is a sentence that names the setting',
    { timeout: TIMEOUT },
    async ([, read, rows]) => {
      const flags = rows.map(([, row]) => row.flag)
      const value = fc.oneof(
        nastyText,
        fc.constantFrom(
          'true',
          '90s',
          '1h30m',
          '100',
          ':8081',
          '[::1]:8081',
          'shop,ops',
          'info',
          '9'.repeat(400),
          `${'9'.repeat(400)}h`,
        ),
      )
      const name = fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...flags) },
        { weight: 1, arbitrary: nastyText },
        { weight: 1, arbitrary: fc.constantFrom(...INHERITED) },
      )
      const word = fc.oneof(
        fc.tuple(name, value).map(([flag, text]) => `--${flag}=${text}`),
        name.map((flag) => `--${flag}`),
        nastyText,
      )
      const env = fc.array(
        fc.tuple(
          name.map((flag) => envName(flag)),
          value,
        ),
        { maxLength: 3 },
      )
      await forAll(fc.tuple(fc.array(word, { maxLength: 5 }), env), 1000, ([argv, pairs]) => {
        const read1 = read(
          argv,
          { KUBERNETES_SERVICE_HOST: '10.96.0.1', ...Object.fromEntries(pairs) },
          () => 'gracewatch-system',
        )
        expectCleanPrototypes()
        if ('help' in read1) return
        const sentences = 'problems' in read1 ? read1.problems : read1.warnings
        for (const sentence of sentences) expect(sentence.length).toBeGreaterThan(10)
        if ('problems' in read1) expect(read1.problems.length).toBeGreaterThan(0)
        else {
          expect(Object.isFrozen(read1.config)).toBe(true)
          for (const [key] of rows) expect(Object.keys(read1.config)).toContain(key)
          for (const [key, of] of Object.entries(read1.config))
            if (key.endsWith('Ms')) expect(Number.isSafeInteger(of)).toBe(true)
        }
      })
    },
  )
})

describe('a command line', () => {
  const FLAGS = {
    ...FILTER_FLAGS,
    output: { short: 'o', value: 'FORMAT', choices: ['yaml', 'json'], help: 'How.' },
    wide: { short: 'w', help: 'More.' },
  } as const
  const word = fc.oneof(
    nastyText,
    fc
      .tuple(
        fc.constantFrom('--', '-', '--no-', ''),
        fc.constantFrom(...Object.keys(FLAGS), 'o', 'w', 'ow', ...INHERITED),
        fc.constantFrom('', '=', '=yaml', '=x'),
      )
      .map((parts) => parts.join('')),
  )

  test('is read, or says in one line what to write', { timeout: TIMEOUT }, async () => {
    await forAll(fc.array(word, { maxLength: 5 }), 2000, (argv) => {
      const outcome = outcomeOf(() => parse(argv, FLAGS, 'list'))
      expectCleanPrototypes()
      if ('error' in outcome) {
        if (!(outcome.error instanceof UsageError)) throw outcome.error
        expect(outcome.error.message.length).toBeLessThan(LONGEST)
        return
      }
      for (const name of Object.keys(outcome.value.flags)) expect(Object.keys(FLAGS)).toContain(name)
      const chosen = outcomeOf(() => chosenBy(outcome.value.flags))
      if ('error' in chosen) expect(chosen.error).toBeInstanceOf(UsageError)
    })
  })

  test.for(INHERITED)('has no flag --%s, and says so', (name) => {
    expect(() => parse([`--${name}`], FLAGS, 'list')).toThrow(/^unknown flag/)
  })

  test('chooses records by any words without failing on any record', { timeout: TIMEOUT }, async () => {
    const filter = fc.record(
      {
        outcome: nastyText,
        cause: nastyText,
        finding: nastyText,
        workload: fc.oneof(
          nastyText,
          fc.tuple(fc.constantFrom(...INHERITED), nastyText).map((parts) => parts.join('/')),
        ),
        since: nastyText,
      },
      { requiredKeys: [] },
    )
    await forAll(filter, 2000, (flags) => {
      const chosen = outcomeOf(() => chosenBy(flags))
      if ('error' in chosen) {
        if (!(chosen.error instanceof UsageError)) throw chosen.error
        return
      }
      const made = chosen.value.filterAt(1_800_000_000_000_000)
      expect(typeof selects(made, forcedKill())).toBe('boolean')
      expect(typeof (labelSelectorOf(made) ?? '')).toBe('string')
      if (made.workload?.kind !== undefined) expect(typeof made.workload.kind).toBe('string')
    })
    for (const name of INHERITED) expect(typeof workloadOf(`${name}/web`).kind).toBe('string')
  })

  test('names pods by any word, or says what to write, and asks for nothing that is no name', { timeout: TIMEOUT }, async () => {
    const asked: string[] = []
    // Only what is asked for is of interest.
    const http = {
      request: async ({ path }: { path: string }) => {
        asked.push(path)
        return { json: () => ({ spec: { selector: { matchLabels: { app: 'web' } } } }) }
      },
    } as unknown as KubeHttp
    await forAll(
      fc.oneof(
        nastyText,
        fc.tuple(fc.constantFrom('deploy', 'svc', 'pod', 'Sts.apps', ...INHERITED), nastyText).map((parts) => parts.join('/')),
      ),
      1500,
      async (text) => {
        try {
          expect((await selectPods({ http, namespace: 'shop' }, text)).words).not.toBe('')
        } catch (error) {
          if (!(error instanceof UsageError)) throw error
        }
      },
    )
    for (const path of asked)
      expect(path).toMatch(/^\/(api\/v1|apis\/(apps|batch)\/v1)\/namespaces\/shop\/[a-z]+\/[a-z0-9][-.a-z0-9]*$/)
  })

  test('gets for a misspelt word one that there is, or none', { timeout: TIMEOUT }, async () => {
    await forAll(
      fc.tuple(
        nastyText.map((text) => text.slice(0, 60)),
        fc.array(
          nastyText.map((text) => text.slice(0, 60)),
          { maxLength: 4 },
        ),
      ),
      800,
      ([given, words]) => {
        const found = nearest(given, words)
        if (found !== undefined) expect(words).toContain(found)
      },
    )
  })
})

describe('durations and times', () => {
  test('a duration is what its parts are together; anything else is none', { timeout: TIMEOUT }, async () => {
    const part = fc.tuple(
      fc.nat(99_999),
      fc.constantFrom(['h', 3_600_000_000], ['m', 60_000_000], ['s', 1_000_000], ['ms', 1000]),
    )
    await forAll(fc.array(part, { minLength: 1, maxLength: 5 }), 1500, (parts) => {
      const text = parts.map(([count, [unit]]) => `${count}${unit}`).join('')
      expect(parseDuration(text)).toBe(parts.reduce((sum, [count, [, size]]) => sum + count * Number(size), 0))
    })
    await forAll(fc.oneof(nastyText, mutatedBytes(['1h30m', '1.5h', '90s', '250ms']).map(String)), 3000, (text) => {
      const micros = parseDuration(text)
      if (micros === undefined) return
      expect(text).toMatch(/^[0-9.hms]+$/)
      expect(Number.isSafeInteger(micros) && micros >= 0).toBe(true)
    })
  })

  test('a duration that is longer than a number can tell is the longest that it can', () => {
    expect(parseDuration(`${'9'.repeat(400)}h`)).toBe(Number.MAX_SAFE_INTEGER)
  })

  const micros = fc.integer({ min: 0, max: 9_000_000_000_000_000 })
  test('a time is read back as it was written, and written as it was read', { timeout: TIMEOUT }, async () => {
    await forAll(micros, 2000, (at) => {
      expect(parseTime(formatTime(at))).toBe(at)
    })
    const texts = fc.oneof(
      nastyText,
      mutatedBytes(['2026-11-24T21:31:01.2Z', '2026-11-24T21:31:01.123456789+02:00', '2024-02-29T23:59:59-14:00']).map(String),
    )
    await forAll(texts, 4000, (text) => {
      const at = parseTime(text)
      if (at === undefined) return
      expect(Number.isFinite(at)).toBe(true)
      const written = formatTime(at)
      expect(written).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      if (at >= 0 && at <= 9_000_000_000_000_000) expect(parseTime(written)).toBe(at)
    })
  })

  test('any number at all is written as a time', { timeout: TIMEOUT }, async () => {
    await forAll(fc.double({ noNaN: true }), 2000, (at) => {
      expect(formatTime(at)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    })
  })

  test.for([
    '2026-02-30T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2026-04-31T12:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-11-24T24:00:00Z',
    '2026-11-24T21:31:61Z',
    '2026-11-24T21:31:01+24:00',
  ])('%s is no time that there is', (text) => {
    expect(parseTime(text)).toBeUndefined()
  })
})

describe('names and selectors', () => {
  const dns = fc.stringMatching(/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/)
  const uid = fc.uuid()
  test('of records are names that the API server takes, and the same for the same pod', { timeout: TIMEOUT }, async () => {
    await forAll(
      fc.tuple(dns, uid, fc.boolean(), fc.option(fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/))),
      800,
      ([name, of, full, prefix]) => {
        const written = recordName({ name, uid: of }, { full, ...(prefix === null ? {} : { prefix }) })
        expect(written.length).toBeLessThanOrEqual(253)
        expect(written).toMatch(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/)
      },
    )
    await forAll(fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?$/), 800, (text) => {
      expect(labelValue(text)).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
    })
  })

  test('select by labels that are there, and a selector that is none says why', { timeout: TIMEOUT }, async () => {
    const word = fc.oneof(nastyText, fc.constantFrom('app', 'web', ...INHERITED))
    const selector = fc.record({
      matchLabels: fc.dictionary(word, word, { maxKeys: 2 }),
      matchExpressions: fc.array(
        fc.record({
          key: word,
          operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
          values: fc.array(word, { maxLength: 2 }),
        }),
        { maxLength: 2 },
      ),
    })
    await forAll(fc.tuple(selector, fc.dictionary(word, word, { maxKeys: 3 })), 1500, ([given, labels]) => {
      expect(typeof matches(given, labels)).toBe('boolean')
      const problem = selectorProblem(given)
      if (problem !== undefined) expect(problem).toMatch(/^spec\.selector\./)
    })
    for (const name of INHERITED) {
      expect(matches({ matchExpressions: [{ key: name, operator: 'Exists' }] }, {})).toBe(false)
      expect(matches({ matchExpressions: [{ key: name, operator: 'DoesNotExist' }] }, {})).toBe(true)
    }
  })

  test('an address that may be asked is one of IP, and none of the ranges that are refused', { timeout: TIMEOUT }, async () => {
    const forms = fc.oneof(
      nastyText,
      fc.ipV4(),
      fc.ipV4Extended(),
      fc.ipV6(),
      fc.ipV4().map((text) => `::ffff:${text}`),
      fc.ipV4().map((text) => `64:ff9b::${text}`),
    )
    await forAll(fc.tuple(forms, fc.array(forms, { maxLength: 2 })), 2000, ([podIP, hostIPs]) => {
      const refusal = addressRefusal({ podIP, hostIPs, hostNetwork: false })
      if (refusal === undefined) {
        expect(podIP).toMatch(/^[0-9a-fA-F:.]+$/)
        expect(hostIPs).not.toContain(podIP)
      }
    })
    await forAll(
      fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.constantFrom('127', '0', '224', '239')),
      300,
      ([a, b, c, head]) => {
        for (const form of [`${head}.${a}.${b}.${c}`, `::ffff:${head}.${a}.${b}.${c}`, `64:ff9b::${head}.${a}.${b}.${c}`])
          expect(addressRefusal({ podIP: form, hostIPs: [], hostNetwork: false })).toBeDefined()
      },
    )
  })
})

const KUBECONFIG = `apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: c, user: u, namespace: shop}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443", proxy-url: "http://proxy:3128"}}]
users: [{name: u, user: {token: secret-token}}]
`

describe('a kubeconfig', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gracewatch-fuzz-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('gives a server and a context, or an error of one line that names the file or the field', {
    timeout: TIMEOUT,
  }, async () => {
    const file = join(folder, 'config')
    const load = async (bytes: Uint8Array | string) => {
      writeFileSync(file, bytes)
      return loadKubeconfig({ kubeconfig: file })
    }
    expect(await load(KUBECONFIG)).toMatchObject({ server: 'https://10.0.0.1:6443', namespace: 'shop' })
    await forAll(mutatedBytes([KUBECONFIG]), 250, async (bytes) => {
      try {
        const loaded = await load(bytes)
        for (const text of [loaded.server, loaded.context, loaded.namespace])
          expect(typeof text === 'string' && text !== '').toBe(true)
        expect(new URL(loaded.server).protocol).toMatch(/^https?:$/)
      } catch (error) {
        const message = error instanceof Error ? error.message : ''
        expect(message).toMatch(/kubeconfig|context|proxy-url|server/)
        expect(message).not.toContain('secret-token')
        expect(message).not.toContain('\n')
      }
      expectCleanPrototypes()
    })
  })

  test.for(KUBECONFIGS)('$name', async ({ text, problem }) => {
    const file = join(folder, 'found')
    writeFileSync(file, text)
    const error = await loadKubeconfig({ kubeconfig: file }).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain(problem)
    expect(inspect(error)).not.toContain('secret-token')
  })
})

describe('an address of the page', () => {
  const record = stored('web-1', forcedKill())
  const { ask, errors } = visit(new Records(record))
  const KEYS = ['namespace', 'workload', 'outcome', 'finding', 'since', 'after', 'stamp', 'uid', 'key']

  test('whose query is a filter is that filter again when it is written', { timeout: TIMEOUT }, async () => {
    await forAll(fc.array(fc.tuple(fc.constantFrom(...KEYS, ...INHERITED), nastyText)), 1500, (pairs) => {
      const filter = filterOf(new URLSearchParams(pairs))
      expectCleanPrototypes()
      for (const value of Object.values(filter)) expect(value.length <= 253 && value !== '').toBe(true)
      expect(filterOf(new URLSearchParams(queryOf(filter)))).toEqual(filter)
    })
  })

  test('is answered with a page or with what is wrong, never with a failure, and with no markup out of it', {
    timeout: TIMEOUT,
  }, async () => {
    const raw = fc.oneof(
      nastyText.map(encodeLoosely),
      fc
        .constantFrom('%', '%00', '%ff', '%c3%28', '..', '%2e%2e', '<script>x', '&quot;<b>', '"><img src=x onerror=alert(1)>')
        .map(encodeLoosely),
    )
    const query = fc
      .array(
        fc.tuple(fc.constantFrom(...KEYS, ...INHERITED), raw).map((pair) => pair.join('=')),
        { maxLength: 3 },
      )
      .map((parts) => parts.join('&'))
    const path = fc.oneof(
      fc.constant('/'),
      fc.tuple(raw, raw).map(([a, b]) => `/records/${a}/${b}`),
      fc.tuple(raw, raw, raw).map(([a, b, c]) => `/workloads/${a}/${b}/${c}`),
      raw.map((text) => `/${text}`),
    )
    await forAll(fc.tuple(path, query), 200, async ([of, asked]) => {
      const response = await ask(`${of}?${asked}`)
      expect([200, 303, 400, 403, 404], `${of}?${asked}`).toContain(response.status)
      if (!of.startsWith('/events')) expect(await response.text()).not.toMatch(/<(script>x|b>|img)/)
      else await response.body?.cancel()
    })
    expect(errors).toEqual([])
  })
})

/** As a browser may send it, or somebody who is none: percent signs stay. */
const encodeLoosely = (text: string) => encodeURI(text.toWellFormed()).replaceAll('%25', '%').replaceAll('#', '%23')
