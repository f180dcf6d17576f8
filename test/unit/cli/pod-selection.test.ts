import { expect, it } from 'vitest'
import { CommandError, UsageError } from '../../../src/cli/arguments.ts'
import { selectorText, selectPods } from '../../../src/cli/pod-selection.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'

/** For what needs no look at the cluster. */
const nobody: KubeHttp = {
  request: () => Promise.reject(new Error('asked the cluster')),
  stream: () => Promise.reject(new Error('asked the cluster')),
  onResponse: () => () => {},
  close: async () => {},
}
const select = (word?: string) => selectPods({ http: nobody, namespace: 'shop' }, word)

it.each([
  [undefined, { words: 'every pod of namespace shop' }],
  ['web-0', { fieldSelector: 'metadata.name=web-0', pod: 'web-0', words: 'pod web-0' }],
  ['po/web-0', { fieldSelector: 'metadata.name=web-0', pod: 'web-0', words: 'pod web-0' }],
  ['app=web,tier!=db', { labelSelector: 'app=web,tier!=db', words: 'pods with app=web,tier!=db' }],
  ['app in (web, db)', { labelSelector: 'app in (web, db)', words: 'pods with app in (web, db)' }],
])('%s', async (word, selection) => {
  expect(await select(word)).toEqual(selection)
})

it.each([
  ['deplyo/web', 'deplyo/web: did you mean deploy/web?'],
  ['configmap/web', 'configmap/web: write pod/, deploy/, sts/, ds/, rs/, job/ or svc/ and a name'],
  ['deploy/', '"" cannot be the name of anything: write KIND/NAME'],
  ['Web', '"Web" cannot be the name of anything: write KIND/NAME'],
])('%s: %s', async (word, message) => {
  await expect(select(word)).rejects.toThrow(new UsageError(message))
})

it('writes a selector of the API as the API server reads one', () => {
  expect(
    selectorText({
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'In', values: ['a', 'b'] },
        { key: 'track', operator: 'NotIn', values: ['canary'] },
        { key: 'zone', operator: 'Exists' },
        { key: 'old', operator: 'DoesNotExist' },
      ],
    }),
  ).toBe('app=web,tier in (a,b),track notin (canary),zone,!old')
  expect(() => selectorText({ matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] })).toThrow(CommandError)
})
