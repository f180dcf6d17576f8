/** Whatever a record holds, the drawing neither throws nor leaves the terminal's width, nor lets a control character through. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type StructuralSchema, structuralSchema } from '../../../src/api/crd.ts'
import { type PodTermination, podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { draw } from '../../../src/render/draw.ts'
import { list } from '../../../src/render/list.ts'
import { clean, displayWidth, shorten, wrap } from '../../../src/render/text.ts'
import * as records from './records.ts'

/** Names and messages as they are, and as nobody should have to meet them. */
const text = (max: number) =>
  fc
    .oneof(
      { weight: 4, arbitrary: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$/) },
      { weight: 2, arbitrary: fc.string({ maxLength: max }) },
      { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: max }) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: max }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '',
          '\x1b[31mred\x1b[0m',
          'a\tb\r\nc',
          '\u202eevil',
          '컨테이너',
          '👩‍👩‍👧‍👦',
          'é'.normalize('NFD'),
        ),
      },
    )
    .map((value) => value.slice(0, max))

/** Mostly near to each other, as the times of one termination are; sometimes centuries apart. */
const time = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: -5, max: 40, noNaN: true }).map(records.at) },
  { weight: 1, arbitrary: fc.double({ min: -1e6, max: 1e7, noNaN: true }).map(records.at) },
  { weight: 1, arbitrary: fc.constantFrom('0000-01-01T00:00:00.000000Z', '9999-12-31T23:59:59.999999Z') },
)

/** Values that a structural schema allows. */
function arbitraryOf(schema: StructuralSchema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'object': {
      const fields = Object.entries(schema.properties ?? {}).map(([key, field]) => [key, arbitraryOf(field)] as const)
      return fc.record(Object.fromEntries(fields), { requiredKeys: schema.required ?? [] })
    }
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}), { maxLength: Math.min(14, schema.maxItems ?? 14) })
    case 'string':
      return schema.format === 'date-time' ? time : text(schema.maxLength ?? 0)
    case 'integer': {
      const { minimum = 0, maximum = 0 } = schema
      return fc.oneof(fc.integer({ min: minimum, max: Math.min(maximum, 200_000) }), fc.constantFrom(minimum, maximum))
    }
    case 'boolean':
      return fc.boolean()
    default:
      throw new Error(`no arbitrary for ${schema.type}`)
  }
}

const record = arbitraryOf(structuralSchema(podTerminationSchema, 'PodTermination')).map((value) =>
  podTerminationSchema.parse(value),
)
const width = fc.integer({ min: 40, max: 220 })
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colours are taken out before the measuring
const COLOUR = /\x1b\[[0-9;]+m/g

function assertLines(lines: readonly string[], limit: number) {
  for (const line of lines) {
    expect(line).not.toMatch(CONTROL)
    expect(displayWidth(line), line).toBeLessThanOrEqual(limit)
  }
}

describe('draw', () => {
  it('stays within the width, with and without colour, for every record of the schema', () => {
    fc.assert(
      fc.property(
        record,
        width,
        fc.boolean(),
        fc.option(fc.double({ min: 0, max: 1e18, noNaN: true }), { nil: undefined }),
        (value, columns, wide, now) => {
          const options = { width: columns, wide, ...(now === undefined ? {} : { now: Math.round(now) }) }
          const plain = draw(value, options)
          assertLines(plain, columns)
          const coloured = draw(value, { ...options, colour: true }).map((line) => line.replace(COLOUR, ''))
          expect(coloured.map((line) => line.trimEnd())).toEqual(plain)
        },
      ),
      { numRuns: 250 },
    )
  })

  it('stays within the width for the records of the golden tests, at every width', () => {
    for (const [name, make] of Object.entries(records)) {
      if (['at', 'mark', 'aRecord'].includes(name)) continue
      const made = (make as () => PodTermination | { record: PodTermination })() // every other export is a builder without arguments
      for (let columns = 40; columns <= 200; columns += columns < 110 ? 3 : 15)
        assertLines(draw('record' in made ? made.record : made, { width: columns }), columns)
    }
  })

  it('draws 512 marks and 200 containers in a bounded number of lines', () => {
    const names = Array.from({ length: 200 }, (_, i) => `container-${i}`)
    const lines = draw({
      ...records.forcedKill(),
      containers: names.map((name, i) => ({ name, role: 'Main', outcome: i === 150 ? 'ForcedKill' : 'Graceful' })),
      timeline: [
        records.mark('Terminating', 0),
        ...names.flatMap((container) => [
          records.mark('StopSignal', 0.1, { container }),
          records.mark('ContainerExited', 1, { container }),
        ]),
      ],
    })
    expect(lines.length).toBeLessThan(110)
    expect(lines.join('\n')).toMatch(/^ {2}container-150 /m)
    expect(lines.join('\n')).toMatch(/and 180 more containers: -o yaml shows them all/)
  })
})

describe('list', () => {
  it('stays within the width for every record of the schema', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 8 }), width, fc.boolean(), fc.boolean(), (values, columns, namespaces, wide) => {
        assertLines(list(values, { now: Date.now() * 1000, width: columns, namespaces, wide }), columns)
      }),
      { numRuns: 150 },
    )
  })
})

describe('text', () => {
  it('shortens to at most the width and keeps both ends', () => {
    fc.assert(
      fc.property(text(80), fc.integer({ min: 0, max: 90 }), (value, columns) => {
        const short = shorten(clean(value), columns)
        expect(displayWidth(short)).toBeLessThanOrEqual(columns)
        if (displayWidth(clean(value)) <= columns) expect(short).toBe(clean(value))
      }),
    )
    expect(shorten('checkout-service-7d4b9c8d6f-x2x9k', 20)).toBe('checkout-…8d6f-x2x9k')
  })

  it('wraps without losing a word, and never between a number and its unit', () => {
    fc.assert(
      fc.property(text(200), fc.integer({ min: 10, max: 90 }), (value, columns) => {
        const lines = wrap(clean(value), columns, 2)
        expect(lines.join('').replaceAll(/[ \u00a0]/g, '')).toBe(clean(value).replaceAll(/[ \u00a0]/g, ''))
      }),
    )
    expect(wrap('killed after the grace period of 15 s was over', 36)).toEqual([
      'killed after the grace period of',
      '15 s was over',
    ])
    expect(wrap('it used 95 % of 512 MiB', 10)).toEqual(['it used', '95 % of', '512 MiB'])
  })

  it('lets nothing through that moves the cursor or turns the reading direction', () => {
    expect(clean('\x1b]0;title\x07 and \u202egnp.exe\r\nnext')).toBe('\\x1b]0;title\\x07 and \\u{202e}gnp.exe next')
    expect(clean('Größe 寸法 ✓')).toBe('Größe 寸法 ✓')
  })

  it.each([
    ['web', 3],
    ['寸法', 4],
    ['한글', 4],
    ['🚀', 2],
    ['é'.normalize('NFD'), 1],
    ['ＡＢ', 4],
    ['─▒✖●', 4],
  ])('%s takes %i columns', (value, columns) => {
    expect(displayWidth(value)).toBe(columns)
  })
})
