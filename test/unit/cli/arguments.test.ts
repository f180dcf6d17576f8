import { describe, expect, it } from 'vitest'
import { flagLines, parse, UsageError } from '../../../src/cli/arguments.ts'

const FLAGS = {
  namespace: { short: 'n', value: 'NAMESPACE', help: 'Where.' },
  'all-namespaces': { short: 'A', help: 'Everywhere.' },
  output: { short: 'o', value: 'FORMAT', choices: ['wide', 'yaml', 'json'], help: 'How.' },
} as const

const read = (...argv: string[]) => parse(argv, FLAGS, 'list')

describe('parse', () => {
  it.each([[['-n', 'shop']], [['-nshop']], [['-n=shop']], [['--namespace', 'shop']], [['--namespace=shop']]])(
    'takes a value as kubectl does: %s',
    (argv) => {
      expect(read(...argv)).toEqual({ flags: { namespace: 'shop' }, words: [] })
    },
  )

  it('takes flags before, between and after the words', () => {
    expect(read('-A', 'one', '-o', 'wide', 'two')).toEqual({
      flags: { 'all-namespaces': true, output: 'wide' },
      words: ['one', 'two'],
    })
  })

  it('takes everything after -- as words', () => {
    expect(read('--', '-A')).toEqual({ flags: {}, words: ['-A'] })
  })

  it.each([
    [['--namspace', 'shop'], 'unknown flag --namspace: did you mean --namespace?'],
    [['-a'], 'unknown flag -a: did you mean -A?'],
    [['--frobnicate'], 'unknown flag --frobnicate: gracewatch list --help shows those there are'],
    [['-n'], '-n has no value: write -n NAMESPACE'],
    [['-n', '-A'], '-n has no value: write -n NAMESPACE'],
    [['--namespace='], '--namespace has no value: write --namespace NAMESPACE'],
    [['-n', 'a', '--namespace=b'], '--namespace is given twice: leave one'],
    [['--all-namespaces=true'], '--all-namespaces is a switch and takes no value'],
    [['-o', 'yml'], '-o yml: did you mean yaml?'],
    [['-o', 'picture'], '-o picture: choose from wide, yaml, json'],
  ])('%s: %s', (argv, message) => {
    expect(() => read(...argv)).toThrow(new UsageError(message))
  })
})

it('lines the flags up for the help', () => {
  expect(flagLines(FLAGS, 100)).toEqual([
    '  -n, --namespace=NAMESPACE  Where.',
    '  -A, --all-namespaces       Everywhere.',
    '  -o, --output=FORMAT        How.',
  ])
})

it('breaks what is too long for a line below its beginning', () => {
  expect(flagLines({ long: { help: 'One two three four five six.' } }, 30)).toEqual([
    '      --long  One two three',
    '              four five six.',
  ])
})
