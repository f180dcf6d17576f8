import type { Raw } from './api.ts'

/** Where the test's own folder (programs, words) is mounted in its pods. */
export const MOUNT = '/gracewatch-e2e'

export interface Images {
  readonly node: string
  readonly busybox: string
  /** busybox in an image whose STOPSIGNAL is SIGQUIT. */
  readonly quit: string
}

/** Builders of the manifests of one scenario: what a pod needs to be small, and to be able to tell its own times. */
export class Manifests {
  readonly #namespace: string
  readonly #images: Images
  readonly #folder: string

  constructor(namespace: string, images: Images, folder: string) {
    this.#namespace = namespace
    this.#images = images
    this.#folder = folder
  }

  /** A container that runs the test's own program (see workload/workload.mjs for what `env` chooses). */
  program(name: string, env: Record<string, string | number> = {}, more: Raw = {}): Raw {
    return {
      name,
      image: this.#images.node,
      command: this.programCommand('workload.mjs'),
      ...this.#common(name, env),
      ...more,
    }
  }

  /** The command of a program of the test's own (see workload/), below what stands in front of it. */
  programCommand(file: string, ...before: readonly string[]): string[] {
    return [...before, 'node', '--max-semi-space-size=1', `${MOUNT}/bin/${file}`]
  }

  /** A container that runs a busybox shell script; it says nothing of its own, the kernel does. */
  shell(name: string, script: string, more: Raw = {}): Raw {
    return { name, image: this.#images.busybox, command: ['sh', '-c', script], ...this.#common(name, {}), ...more }
  }

  /** A container whose PID 1 is exactly this command. */
  command(name: string, command: readonly string[], more: Raw = {}): Raw {
    return { name, image: this.#images.busybox, command, ...this.#common(name, {}), ...more }
  }

  /** A preStop hook that takes so many seconds and then ends with the code; it tells its own times. */
  execHook(seconds: number, code = 0): Raw {
    return {
      preStop: { exec: { command: ['node', '--max-semi-space-size=1', `${MOUNT}/bin/hook.mjs`, String(seconds), String(code)] } },
    }
  }

  pod(name: string, containers: readonly Raw[], spec: Raw = {}, metadata: Raw = {}): Raw {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: this.#namespace, ...metadata },
      spec: this.podSpec(containers, spec),
    }
  }

  podSpec(containers: readonly Raw[], spec: Raw = {}): Raw {
    return {
      containers,
      volumes: [{ name: 'e2e', hostPath: { path: this.#folder, type: 'Directory' } }],
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 30,
      ...spec,
    }
  }

  deployment(name: string, replicas: number, podSpec: Raw, more: Raw = {}): Raw {
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: this.#namespace },
      spec: { replicas, selector: { matchLabels: { app: name } }, template: template(name, podSpec), ...more },
    }
  }

  statefulSet(name: string, replicas: number, podSpec: Raw): Raw {
    return {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name, namespace: this.#namespace },
      spec: { replicas, serviceName: name, selector: { matchLabels: { app: name } }, template: template(name, podSpec) },
    }
  }

  job(name: string, podSpec: Raw): Raw {
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name, namespace: this.#namespace },
      spec: { backoffLimit: 0, template: template(name, { restartPolicy: 'Never', ...podSpec }) },
    }
  }

  service(name: string, app: string, more: Raw = {}): Raw {
    return {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: this.#namespace },
      spec: { selector: { app }, ports: [{ port: 80, targetPort: 8080 }], ...more },
    }
  }

  #common(name: string, env: Record<string, string | number>): Raw {
    return {
      env: [
        { name: 'POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } },
        { name: 'WORDS', value: `${MOUNT}/words/$(POD_UID).${name}.jsonl` },
        ...Object.entries(env).map(([key, value]) => ({ name: key, value: String(value) })),
      ],
      resources: { requests: { cpu: '1m', memory: '8Mi' } },
      volumeMounts: [{ name: 'e2e', mountPath: MOUNT }],
      imagePullPolicy: 'IfNotPresent',
    }
  }
}

function template(app: string, spec: Raw): Raw {
  return { metadata: { labels: { app } }, spec }
}
