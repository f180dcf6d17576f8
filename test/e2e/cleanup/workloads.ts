/** Real workloads whose pods end in every way that a cleanup tells apart. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Raw } from '../api.ts'
import type { Stage } from '../gates/bed.ts'

/** The kubelet evicts a pod that has written more than the container's limit. */
const LIMIT = { resources: { requests: { cpu: '1m', memory: '4Mi' }, limits: { 'ephemeral-storage': '8Mi' } } }
/** One that exits with 0 when the kubelet evicts it would be Succeeded, without a reason (seen on 1.37). */
const FILL = 'trap "exit 1" TERM; dd if=/dev/zero of=/fill bs=1M count=32 2>/dev/null'
const FOREVER = 'while true; do sleep 0.2; done'

/** Builders of the manifests of one namespace. */
export class Workloads {
  readonly #stage: Stage

  constructor(stage: Stage) {
    this.#stage = stage
  }

  /** The first pods write too much, so many of them; the others just run. With `waits` they wait for `go` to do so. */
  evicted(name: string, count: number, { waits = false } = {}): Raw {
    const wait = waits ? 'until [ -e /flags/go ]; do sleep 0.2; done' : ':'
    const claim = `i=1; while [ $i -le ${count} ]; do if mkdir /flags/$i 2>/dev/null; then ${FILL}; break; fi; i=$((i+1)); done`
    return this.#podSpec(`trap "exit 0" TERM; ${wait}; ${claim}; ${FOREVER}`, name, LIMIT)
  }

  go(name: string): void {
    writeFileSync(join(this.#folder(name), 'go'), '')
  }

  /** The first pod fails, the second runs on. */
  failsOnce(name: string): Raw {
    return {
      ...this.#podSpec(`mkdir /flags/1 2>/dev/null && exit 1; trap "exit 0" TERM; ${FOREVER}`, name),
      restartPolicy: 'Never',
    }
  }

  ends(code: number): Raw {
    return this.#stage.podSpec([], { command: ['sh', '-c', `exit ${code}`] }, { restartPolicy: 'Never' })
  }

  deployment(name: string, replicas: number, spec: Raw): Raw {
    return this.#workload('apps/v1', 'Deployment', name, { replicas }, spec)
  }

  statefulSet(name: string, spec: Raw): Raw {
    return this.#workload('apps/v1', 'StatefulSet', name, { replicas: 1, serviceName: name }, spec)
  }

  daemonSet(name: string, spec: Raw): Raw {
    return this.#workload('apps/v1', 'DaemonSet', name, {}, spec)
  }

  job(name: string, spec: Raw, more: Raw = {}): Raw {
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: this.#metadata(name),
      spec: { ...more, template: { metadata: { labels: labelsOf(name) }, spec } },
    }
  }

  cronJob(name: string, spec: Raw): Raw {
    return {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: this.#metadata(name),
      spec: {
        schedule: '0 0 1 1 *',
        suspend: true,
        successfulJobsHistoryLimit: 10,
        jobTemplate: { spec: { template: { metadata: { labels: labelsOf(name) }, spec } } },
      },
    }
  }

  pod(name: string, app: string, spec: Raw, metadata: Raw = {}): Raw {
    return { apiVersion: 'v1', kind: 'Pod', metadata: { ...this.#metadata(name), labels: labelsOf(app), ...metadata }, spec }
  }

  cleanup(name: string, spec: Raw): Raw {
    return {
      apiVersion: 'gracewatch.dev/v1alpha1',
      kind: 'PodCleanup',
      metadata: this.#metadata(name),
      spec: { dryRun: true, ...spec },
    }
  }

  #workload(apiVersion: string, kind: string, name: string, more: Raw, spec: Raw): Raw {
    const labels = labelsOf(name)
    return {
      apiVersion,
      kind,
      metadata: this.#metadata(name),
      spec: { ...more, selector: { matchLabels: { app: name } }, template: { metadata: { labels }, spec } },
    }
  }

  #metadata(name: string): Raw {
    return { name, namespace: this.#stage.namespace }
  }

  /** Its script shares a folder with the pods of the same workload: who made a folder in it was the first. */
  #podSpec(script: string, name: string, container: Raw = {}): Raw {
    const path = this.#folder(name)
    mkdirSync(path, { recursive: true })
    return this.#stage.podSpec(
      [],
      { command: ['sh', '-c', script], volumeMounts: [{ name: 'flags', mountPath: '/flags' }], ...container },
      { volumes: [{ name: 'flags', hostPath: { path, type: 'Directory' } }] },
    )
  }

  #folder(name: string): string {
    return join(this.#stage.bed.folder, this.#stage.namespace, name)
  }
}

/** One of the workloads that have a cleanup of their own, or of all the others. */
const OWN = ['web', 'nightly', 'task', 'young']
const labelsOf = (app: string): Raw => ({ app, ...(OWN.includes(app) ? {} : { group: 'rest' }) })
