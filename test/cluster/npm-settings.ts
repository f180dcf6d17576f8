import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.ts'
import { helperEnvironment } from './settings.ts'

/** What says how a registry is reached; everything else in a person's npm configuration is their own business. */
const NETWORK_SETTING = /^(registry|@[^:]+:registry|\/\/.*|proxy|https-proxy|noproxy|strict-ssl|fetch-[a-z-]+)$/
const MACHINE_BUNDLE = '/etc/ssl/certs/ca-certificates.crt'

/** Every CA that this machine trusts for npm, as PEM: the system's bundle and what Node and npm were given beside it. */
export async function certificateBundle(): Promise<string> {
  const cafile = (await npmConfig('cafile')) ?? ''
  const files = [MACHINE_BUNDLE, helperEnvironment().NODE_EXTRA_CA_CERTS ?? '', cafile]
  const present = [...new Set(files)].filter((file) => file !== '' && existsSync(file))
  return present.map((file) => readFileSync(file, 'utf8')).join('\n')
}

/** An npmrc with the machine's own way to its registry, for a build that runs npm in a container. It may hold a token. */
export async function networkNpmrc(): Promise<string> {
  const environment = Object.entries(helperEnvironment()).flatMap(([name, value]) => {
    const key = /^npm_config_(.+)$/i.exec(name)?.[1]
    return key === undefined || value === undefined ? [] : [`${key.startsWith('//') ? key : key.replaceAll('_', '-')}=${value}`]
  })
  const files = await Promise.all(['globalconfig', 'userconfig'].map(npmConfig))
  const lines = files.flatMap((file) => (file !== undefined && existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []))
  const kept = [...lines, ...environment].filter((line) => NETWORK_SETTING.test((line.split('=')[0] ?? '').trim()))
  return kept.map((line) => `${line}\n`).join('')
}

async function npmConfig(key: string): Promise<string | undefined> {
  // From the root folder: a project's own npmrc there says nothing about the machine.
  const value = (await run('npm', ['config', 'get', key], { cwd: join('/') })).trim()
  return value === '' || value === 'null' || value === 'undefined' ? undefined : value
}
