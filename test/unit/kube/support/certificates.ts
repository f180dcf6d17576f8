/** A certificate authority in a few lines of DER, so that tests of TLS need no program and no keys in the tree. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const length = Buffer.from(body.length.toString(16).padStart(body.length > 255 ? 4 : 2, '0'), 'hex')
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body])
}

const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
const utf8 = (text: string) => der(0x0c, Buffer.from(text))
const octets = (...parts: Uint8Array[]) => der(0x04, ...parts)
const bits = (bytes: Uint8Array) => der(0x03, Buffer.from([0]), bytes)
const integer = (bytes: Uint8Array) => der(0x02, bytes)
const TRUE = der(0x01, Buffer.from([0xff]))

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const digits = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return der(0x06, Buffer.from(bytes))
}

const time = (date: Date) => der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))
const name = (common: string) => sequence(der(0x31, sequence(oid('2.5.4.3'), utf8(common))))
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))

export interface Issued {
  readonly cert: string
  readonly key: string
}

export class Authority {
  readonly #name: string
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly cert: string

  constructor(common: string) {
    this.#name = common
    this.cert = this.#certify(common, this.#keys.publicKey, [
      sequence(oid('2.5.29.19'), TRUE, octets(sequence(TRUE))),
      sequence(oid('2.5.29.14'), octets(octets(keyId(this.#keys.publicKey)))),
    ])
  }

  /** A certificate for these DNS names and IPv4 addresses, or for a client where there are none. */
  issue(common: string, hosts: readonly string[] = []): Issued {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const names = hosts.map((host) =>
      /^[\d.]+$/.test(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host)),
    )
    const extensions = names.length === 0 ? [] : [sequence(oid('2.5.29.17'), octets(sequence(...names)))]
    return {
      cert: this.#certify(common, publicKey, extensions),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
  }

  #certify(subject: string, key: KeyObject, extensions: Uint8Array[]): string {
    const serial = randomBytes(8)
    serial[0] = (serial[0] ?? 0) & 0x7f || 1
    const day = 86_400_000
    const body = sequence(
      der(0xa0, integer(Buffer.from([2]))),
      integer(serial),
      ECDSA_SHA256,
      name(this.#name),
      sequence(time(new Date(Date.now() - day)), time(new Date(Date.now() + day))),
      name(subject),
      key.export({ type: 'spki', format: 'der' }),
      ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
    )
    const whole = sequence(body, ECDSA_SHA256, bits(sign('sha256', body, this.#keys.privateKey)))
    const lines = whole
      .toString('base64')
      .match(/.{1,64}/g)
      ?.join('\n')
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
  }
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
}
