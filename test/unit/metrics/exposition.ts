/** Reads the text format of Prometheus strictly: what Prometheus would not take, or would take for something else, throws. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: readonly Sample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = new Map<string, Family & { samples: Sample[] }>()
  const seen = new Set<string>()
  let help: { name: string; text: string } | undefined
  let family: (Family & { samples: Sample[] }) | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const helped = /^# HELP (\S+) (.*)$/.exec(line)
    if (helped !== null) {
      help = { name: helped[1] ?? '', text: helped[2] ?? '' }
      continue
    }
    const typed = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line)
    if (typed !== null) {
      const [, name = '', type = ''] = typed
      if (help?.name !== name) throw new Error(`${name} has no HELP right before its TYPE`)
      if (families.has(name)) throw new Error(`${name} comes twice`)
      family = { name, type, help: help.text, samples: [] }
      families.set(name, family)
      continue
    }
    const sample = parseSample(line)
    if (family === undefined) throw new Error(`a sample before any TYPE: ${line}`)
    const { name, type } = family
    if (!(SUFFIXES[type] ?? ['']).some((suffix) => `${name}${suffix}` === sample.name))
      throw new Error(`${sample.name} stands among the samples of ${name}, a ${type}`)
    const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (seen.has(key)) throw new Error(`a series comes twice: ${line}`)
    seen.add(key)
    family.samples.push(sample)
  }
  return families
}

function parseSample(line: string): Sample {
  const [, name = '', , inner = '', number = ''] = /^([^\s{]+)(\{(.*)\})? (\S+)$/s.exec(line) ?? []
  if (!NAME.test(name)) throw new Error(`no sample: ${line}`)
  const labels: Record<string, string> = {}
  let rest = inner
  while (rest !== '') {
    const [all = '', label = '', value = ''] = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest) ?? []
    if (all === '' || label in labels) throw new Error(`no labels: ${line}`)
    labels[label] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    rest = rest.slice(all.length)
  }
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : number === '-Inf' ? Number.NEGATIVE_INFINITY : Number(number)
  // Prometheus takes it in any spelling.
  if (Number.isNaN(value) && !/^nan$/i.test(number)) throw new Error(`no number: ${line}`)
  return { name, labels, value }
}

/** The value of the one series with these labels, and no others; undefined where there is none. */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort())
  for (const { samples } of families.values())
    for (const sample of samples)
      if (sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted) return sample.value
  return undefined
}
