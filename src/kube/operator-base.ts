/**
 * Loads @dot-i/k8s-operator with nothing to reach a network by: what it requires for that is answered by stand-ins. Its constructor
 * would otherwise load the whole Kubernetes client (40 MB resident, half a second), open the default kubeconfig, which is not the one
 * that the settings name, and make a second client. See docs/adr/0001-operator-base.md.
 */
import Module, { createRequire } from 'node:module'

type OperatorBase = typeof import('@dot-i/k8s-operator')

const unavailable = (what: string) => new Error(`the operator base has no ${what} of its own: use the connection of src/kube`)

/** Throws at the first call. */
const noClient = new Proxy(
  {},
  {
    get(_target, property) {
      throw unavailable(`Kubernetes client (${String(property)})`)
    },
  },
)

class NoKubeConfig {
  loadFromDefault(): void {}
  makeApiClient(): object {
    return noClient
  }
  applyToHTTPSOptions(): Promise<never> {
    return Promise.reject(unavailable('credentials'))
  }
}

/** What dist/operator.js of the base takes from each module. */
const STAND_INS: Readonly<Record<string, object>> = {
  '@kubernetes/client-node': { KubeConfig: NoKubeConfig },
  gaxios: { instance: { request: () => Promise.reject(unavailable('HTTP client')) } },
}

export function loadOperatorBase(): OperatorBase {
  const require = createRequire(import.meta.url)
  const fromBase = createRequire(require.resolve('@dot-i/k8s-operator'))
  const paths = Object.keys(STAND_INS).map((name) => [fromBase.resolve(name), STAND_INS[name]] as const)
  const before = paths.map(([path]) => require.cache[path])
  for (const [path, exports] of paths) require.cache[path] = Object.assign(new Module(path), { exports, loaded: true })
  try {
    // A CommonJS module has no type of its own here. Its default export is wrapped in Node and bare in vitest only for import.
    return require('@dot-i/k8s-operator') as OperatorBase
  } finally {
    // Whoever asks for these modules next gets the real ones.
    for (const [index, [path]] of paths.entries()) {
      const module = before[index]
      if (module === undefined) delete require.cache[path]
      else require.cache[path] = module
    }
  }
}
