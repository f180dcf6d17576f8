/** Processes that are measured: how long they take to be ready, and what the kernel says of them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startController } from '../apiserver/cleanup-bench/gracewatch.ts'
import type { ControllerProcess } from '../apiserver/recorder/controller.ts'
import { Arrivals } from '../apiserver/waiting.ts'
import type { World } from './world.ts'

/** Of /proc/PID/stat, on every Linux that Node runs on: _SC_CLK_TCK. */
const TICKS_PER_SECOND = 100
/** For 150,000 pods on a slow machine. */
const READY_WITHIN_MS = 600_000
const UNBOUND = 10_000

export interface Memory {
  readonly resident: number
  readonly peak: number
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  return { resident: bytes('VmRSS'), peak: bytes('VmHWM') }
}

/** Seconds of processor time, of all threads. */
export function cpuSeconds(pid: number): number {
  // The second field is the name in parentheses, which may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

export interface Started {
  /** From the start of the process to its caches being complete. */
  readonly startMs: number
  readonly pid: number
  /** Pods in its cache. */
  readonly pods: number
  /** Gives memory back that it does not need, where the program can. */
  free(): Promise<void>
  stop(): Promise<void>
}

export interface StartedController extends Started {
  readonly controller: ControllerProcess
}

/** The built controller with the flags of the image, whose rates do not bind. */
export async function startGracewatch(world: World): Promise<StartedController> {
  const from = performance.now()
  const controller = await startController({
    cluster: world.bed.cluster,
    namespace: world.bed.namespace,
    token: world.token,
    name: 'bench',
    args: [
      `--writes-per-second=${UNBOUND}`,
      // Retention is another matter.
      '--records-per-namespace=100000',
      '--records-total=1000000',
    ],
  })
  try {
    const line = await controller.says('caches complete', READY_WITHIN_MS)
    return {
      startMs: performance.now() - from,
      pid: controller.pid,
      pods: Number(line.pods),
      controller,
      free: async () => {},
      stop: async () => {
        await controller.stop()
      },
    }
  } catch (error) {
    await controller.kill()
    throw error
  }
}

/** client-go's informer, with the controller's account. */
export async function startInformer(world: World, strip: boolean): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-bench-'))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf(world), { mode: 0o600 })
  const lines = new Arrivals<string>()
  let said = ''
  const from = performance.now()
  const child = spawn(world.informer, [`--kubeconfig=${kubeconfig}`, `--strip=${strip}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH },
  })
  createInterface({ input: child.stdout }).on('line', (line) => lines.add(line))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000)
  })
  const closed = once(child, 'close').then(() => rmSync(folder, { recursive: true, force: true }))
  const stop = async () => {
    child.kill('SIGTERM')
    await closed
  }
  const says = async (word: string) => {
    const ended = closed.then(() => Promise.reject(new Error(`the informer ended: ${said}`)))
    return Promise.race([ended, lines.first((line) => line.startsWith(`${word} `), READY_WITHIN_MS, `"${word}" of the informer`)])
  }
  const { pid } = child
  if (pid === undefined) throw new Error('the informer did not start')
  const ready = await says('ready').catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return {
    startMs: performance.now() - from,
    pid,
    pods: Number(ready.split(' ')[1]),
    free: async () => {
      child.kill('SIGUSR1')
      await says('freed')
    },
    stop,
  }
}

function kubeconfigOf({ bed, token }: World): string {
  const { cluster } = bed
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    clusters: [
      { name: 'bench', cluster: { server: cluster.apiServerUrl, 'certificate-authority': cluster.adminCertificate.ca } },
    ],
    users: [{ name: 'controller', user: { token } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'controller' } }],
  })
}
