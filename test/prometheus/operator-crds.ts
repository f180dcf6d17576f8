/** The CustomResourceDefinitions of the kinds that the chart makes for Prometheus Operator, out of its Go module. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../cluster/run.ts'

const MODULE = 'github.com/prometheus-operator/prometheus-operator@v0.92.1'
const KINDS = ['servicemonitors', 'prometheusrules']

/** Paths of the files. Go keeps the module, so they are downloaded once a machine: 4.5 MB. */
export async function operatorCrds(): Promise<string[]> {
  const found = await run('go', ['mod', 'download', '-json', MODULE], {
    cwd: tmpdir(),
    env: { GOWORK: 'off', GOFLAGS: '-mod=mod' },
  })
  const { Dir } = JSON.parse(found) as { Dir: string } // as `go help mod download` says
  return KINDS.map((kind) => join(Dir, 'example/prometheus-operator-crd', `monitoring.coreos.com_${kind}.yaml`))
}
