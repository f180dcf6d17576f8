import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'

/** Where the harness keeps things, and which release it runs. */
export interface Settings {
  /** Built binaries and images, kept between clusters; outside every tree. */
  readonly cacheDir: string
  /** The one running cluster of this machine: its data, certificates, sockets, logs. */
  readonly stateDir: string
  /** What the user asked for in KUBE_VERSION, as `v1.37.2`; undefined for the default. */
  readonly version: string | undefined
}

/** The settings of the harness. An empty variable counts as an absent one. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const get = (name: string) => (env[name] === '' ? undefined : env[name])
  return {
    cacheDir: resolve(get('GRACEWATCH_CACHE') ?? join(get('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'gracewatch')),
    stateDir: resolve(get('GRACEWATCH_CLUSTER_DIR') ?? '/var/lib/gracewatch-cluster'),
    version: get('KUBE_VERSION'),
  }
}

/** The sbin folders are not on every PATH, and /usr/local/go/bin is where Go's own installer puts it. */
export const SEARCH_PATH = [process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/go/bin']
  .filter((part) => part !== '')
  .join(delimiter)

/** The environment of the harness's own helpers (go, npm, openssl, ...), so that a person's settings reach them. */
export function helperEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: SEARCH_PATH }
}

/** The environment of the cluster's parts: nothing of the caller's, so that no proxy or debug setting changes them. */
export function partEnvironment(): Record<string, string> {
  return { PATH: SEARCH_PATH, HOME: homedir(), LANG: 'C.UTF-8' }
}
