import { describe, expect, it } from 'vitest'
import { HELP, parseArguments, UsageError } from '../../demo/arguments.ts'

describe('arguments of the demo', () => {
  it('uses its own cluster without any', () => {
    expect(parseArguments([])).toEqual({ mode: 'embedded', keep: false, agent: true })
  })

  it('keeps its own cluster when asked to', () => {
    expect(parseArguments(['--keep'])).toEqual({ mode: 'embedded', keep: true, agent: true })
  })

  it('uses the cluster that a kubeconfig names', () => {
    expect(parseArguments(['--kubeconfig', 'a', '--context=b', '--image', 'c:1'])).toEqual({
      mode: 'named',
      agent: true,
      cluster: { kubeconfig: 'a', context: 'b', image: 'c:1' },
    })
    expect(parseArguments(['--kubeconfig=a'])).toEqual({ mode: 'named', agent: true, cluster: { kubeconfig: 'a' } })
  })

  it('does without the agent when asked to, in its own cluster and in a named one', () => {
    expect(parseArguments(['--no-agent'])).toEqual({ mode: 'embedded', keep: false, agent: false })
    expect(parseArguments(['--kubeconfig=a', '--no-agent'])).toMatchObject({ mode: 'named', agent: false })
  })

  it.each(['--help', '-h'])('prints its help on %s, whatever else is there', (word) => {
    expect(parseArguments([word, '--keep'])).toEqual({ mode: 'help' })
  })

  it.each([
    [['--kubeconfg', 'a'], "Unknown option '--kubeconfg'"],
    [['a'], "Unexpected argument 'a'"],
    [['--kubeconfig'], "'--kubeconfig <value>' argument missing"],
    [['--keep=yes'], "'--keep' does not take an argument"],
    [['--context', 'b'], '--context needs --kubeconfig FILE'],
    [['--image', 'c'], '--image needs --kubeconfig FILE'],
    [['--kubeconfig', 'a', '--keep'], '--keep is for the demo'],
    [['--kubeconfig', ''], '--kubeconfig is empty'],
    [['--kubeconfig', 'a', '--image='], '--image is empty'],
  ])('refuses %j in one line', (words, message) => {
    const refused = () => parseArguments(words)
    expect(refused).toThrow(UsageError)
    expect(refused).toThrow(message)
    expect(refused).not.toThrow('\n')
  })

  it('has a help that fits 100 columns and names every option', () => {
    for (const line of HELP.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    for (const option of ['--keep', '--no-agent', '--kubeconfig', '--context', '--image', '--help'])
      expect(HELP).toContain(option)
  })
})
