/** A certificate for the metrics port that is signed with its own key and lives in memory only. */
import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import * as x509 from '@peculiar/asn1-x509'
import type { Certificate, KeyPair } from './metrics-files.ts'

const DAY_MS = 86_400_000
const VALID_MS = 90 * DAY_MS
/** Long before the one before ends; whoever scrapes does not check it, and those who do have files. */
const RENEW_MS = 20 * DAY_MS
/** A verifier whose clock is behind takes it all the same. */
const BACKDATED_MS = 3_600_000

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'
const LONGEST_COMMON_NAME = 64

/** @param names DNS names that it is for, the first of which is its subject */
export function selfSigned(names: readonly string[], nowMs: number): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = new x509.AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const value = new x509.AttributeValue({ utf8String: (names[0] ?? '').slice(0, LONGEST_COMMON_NAME) })
  const subject = new x509.Name([
    new x509.RelativeDistinguishedName([new x509.AttributeTypeAndValue({ type: COMMON_NAME, value })]),
  ])
  const extension = (extnID: string, critical: boolean, content: unknown) =>
    new x509.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(content)) })
  // Positive, and with its first bit set no longer than it says.
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const { KeyUsage, KeyUsageFlags, ExtendedKeyUsage, SubjectAlternativeName, GeneralName } = x509
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: new Uint8Array(serial).buffer,
    signature: algorithm,
    issuer: subject,
    validity: new x509.Validity({ notBefore: new Date(nowMs - BACKDATED_MS), notAfter: new Date(nowMs + VALID_MS) }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), x509.SubjectPublicKeyInfo),
    extensions: new x509.Extensions([
      extension(x509.id_ce_basicConstraints, true, new x509.BasicConstraints({ cA: false })),
      extension(x509.id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
      extension(x509.id_ce_extKeyUsage, false, new ExtendedKeyUsage([x509.id_kp_serverAuth])),
      extension(
        x509.id_ce_subjectAltName,
        false,
        new SubjectAlternativeName(names.map((dNSName) => new GeneralName({ dNSName }))),
      ),
    ]),
  })
  const signature = createSign('sha256')
    .update(new Uint8Array(AsnConvert.serialize(tbsCertificate)))
    .sign(privateKey)
  const signed = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: new Uint8Array(signature).buffer,
  })
  const body = Buffer.from(AsnConvert.serialize(signed)).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** One of its own making, made anew long before it ends. */
export function ownCertificate(names: readonly string[], now: () => number = Date.now, renewMs: number = RENEW_MS): Certificate {
  let current = selfSigned(names, now())
  let timer: NodeJS.Timeout | undefined
  return {
    get current() {
      return current
    },
    watch(onChange) {
      timer = setInterval(() => {
        current = selfSigned(names, now())
        onChange(current)
      }, renewMs).unref()
    },
    close: () => clearInterval(timer),
  }
}
