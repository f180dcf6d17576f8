/** What the metrics port proves itself with, and such a pair from files that is read again when it changes, as a mounted Secret does. */
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Log } from '../kube/log.ts'

/** PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface Certificate {
  readonly current: KeyPair
  /** Calls back with each that follows, until close(). */
  watch(onChange: (pair: KeyPair) => void): void
  close(): void
}

/** Where the pair of a mounted Secret lies. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** The kubelet takes up to a minute to bring a changed Secret into the pod. */
const LOOK_MS = 30_000

/** Rejects, in words for the settings, where there is no pair that fits; later a pair that does not fit leaves the one before in use. */
export async function certificateOfFiles(files: CertificateFiles, log: Log, lookMs: number = LOOK_MS): Promise<Certificate> {
  let current = await read(files).catch((error: unknown) => {
    throw new Error(`--metrics-tls-cert-file and --metrics-tls-key-file: ${messageOf(error)}`, { cause: error })
  })
  let timer: NodeJS.Timeout | undefined
  let looking = false
  let [found, told]: [string | undefined, string | undefined] = [undefined, undefined]
  const look = async (onChange: (pair: KeyPair) => void) => {
    // Two at a time would read over each other, and each tell what the other had told.
    if (looking) return
    looking = true
    try {
      const pair = await read(files)
      found = told = undefined
      if (pair.cert === current.cert && pair.key === current.key) return
      current = pair
      log.info({ file: files.cert }, 'the certificate of the metrics port has changed')
      onChange(pair)
    } catch (error) {
      const message = messageOf(error)
      // What the next look finds otherwise was files that were being written, of which there is nothing to do for anyone.
      if (message !== found)
        log.debug({ error: message }, 'certificate of the metrics port cannot be used now, the next look will tell')
      else if (message !== told) {
        told = message
        log.warn({ error: message }, 'certificate of the metrics port cannot be used, the one before stays')
      }
      found = message
    } finally {
      looking = false
    }
  }
  return {
    get current() {
      return current
    },
    watch(onChange) {
      timer = setInterval(() => void look(onChange), lookMs).unref()
    },
    close: () => clearInterval(timer),
  }
}

/** Both files of one renewal: a certificate with the key of another is refused here. */
async function read(files: CertificateFiles): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')])
  // As a file is at the beginning of its writing. TLS would take it for none, and do without.
  const empty = cert.trim() === '' ? files.cert : key.trim() === '' ? files.key : undefined
  if (empty !== undefined) throw new Error(`${empty} is empty`)
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw new Error(`${files.cert} and ${files.key} are no pair that can be used (${messageOf(error)})`, { cause: error })
  }
  return { cert, key }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
