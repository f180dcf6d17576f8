import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { API_SERVER_URL, API_SERVICE_ADDRESS, type Layout, NODE_ADDRESS, NODE_NAME } from './layout.ts'
import { run } from './run.ts'

interface Subject {
  /** The user name that the API server reads from a client certificate. */
  readonly name: string
  /** The group that it reads. */
  readonly group?: string
  /** Subject alternative names in OpenSSL's notation; their presence makes it a serving certificate too. */
  readonly serves?: readonly string[]
}

/** The API server shows a certificate of this name to extension API servers; they believe the user it tells only then. */
export const FRONT_PROXY_NAME = 'front-proxy-client'

const LOCAL_NAMES = [`IP:${NODE_ADDRESS}`, 'IP:127.0.0.1', 'DNS:localhost']

/**
 * One CA signs everything. Names and groups are those that Kubernetes' default RBAC rules and the Node authorizer expect:
 * https://kubernetes.io/docs/setup/best-practices/certificates/
 */
const SUBJECTS = {
  admin: { name: 'kubernetes-admin', group: 'system:masters' },
  'controller-manager': { name: 'system:kube-controller-manager', serves: LOCAL_NAMES },
  scheduler: { name: 'system:kube-scheduler', serves: LOCAL_NAMES },
  kubelet: { name: `system:node:${NODE_NAME}`, group: 'system:nodes', serves: [...LOCAL_NAMES, `DNS:${NODE_NAME}`] },
  proxy: { name: 'system:kube-proxy' },
  apiserver: {
    name: 'kube-apiserver',
    serves: [
      ...LOCAL_NAMES,
      `IP:${API_SERVICE_ADDRESS}`,
      'DNS:kubernetes',
      'DNS:kubernetes.default',
      'DNS:kubernetes.default.svc',
      'DNS:kubernetes.default.svc.cluster.local',
    ],
  },
  'apiserver-to-kubelet': { name: 'kube-apiserver-kubelet-client', group: 'system:masters' },
  'front-proxy': { name: FRONT_PROXY_NAME },
  'apiserver-to-etcd': { name: 'kube-apiserver-etcd-client' },
  etcd: { name: 'etcd', serves: LOCAL_NAMES },
} as const satisfies Record<string, Subject>

export type CertificateName = keyof typeof SUBJECTS

export interface Certificates {
  /** The CA's certificate, which every part trusts. */
  readonly ca: string
  readonly caKey: string
  /** Key pair that signs and checks the service accounts' tokens. */
  readonly serviceAccountKey: string
  readonly serviceAccountPublicKey: string
  certificate(name: CertificateName): string
  key(name: CertificateName): string
}

export function certificatesOf(layout: Layout): Certificates {
  const file = (name: string) => join(layout.certificates, name)
  return {
    ca: file('ca.crt'),
    caKey: file('ca.key'),
    serviceAccountKey: file('service-account.key'),
    serviceAccountPublicKey: file('service-account.pub'),
    certificate: (name) => file(`${name}.crt`),
    key: (name) => file(`${name}.key`),
  }
}

/** Makes whatever is missing: a cluster that is healed keeps its CA, or every kubeconfig in use would be void. */
export async function makeCertificates(layout: Layout): Promise<Certificates> {
  const files = certificatesOf(layout)
  mkdirSync(layout.certificates, { recursive: true, mode: 0o700 })
  if (!existsSync(files.ca)) {
    newKey(files.caKey)
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,digitalSignature,cRLSign']
    await run('openssl', [
      ...['req', '-x509', '-new', '-key', files.caKey, '-subj', '/CN=gracewatch-test-ca', '-days', '3650', '-out', files.ca],
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ])
  }
  if (!existsSync(files.serviceAccountKey)) newKey(files.serviceAccountKey, files.serviceAccountPublicKey)
  // Object.entries widens the keys to string; the object is a constant of this file.
  for (const [name, subject] of Object.entries(SUBJECTS) as Array<[CertificateName, Subject]>) {
    if (!existsSync(files.certificate(name))) await sign(files, name, subject)
  }
  return files
}

async function sign(files: Certificates, name: CertificateName, subject: Subject): Promise<void> {
  newKey(files.key(name))
  const request = `${files.certificate(name)}.csr`
  const extensionFile = `${files.certificate(name)}.ext`
  const group = subject.group === undefined ? '' : `/O=${subject.group}`
  await run('openssl', ['req', '-new', '-key', files.key(name), '-subj', `${group}/CN=${subject.name}`, '-out', request])
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=clientAuth${subject.serves ? ',serverAuth' : ''}`,
    ...(subject.serves ? [`subjectAltName=${subject.serves.join(',')}`] : []),
  ]
  writeFileSync(extensionFile, `${extensions.join('\n')}\n`)
  await run('openssl', [
    ...['x509', '-req', '-in', request, '-CA', files.ca, '-CAkey', files.caKey, '-CAcreateserial', '-days', '3650'],
    ...['-extfile', extensionFile, '-out', files.certificate(name)],
  ])
}

function newKey(file: string, publicFile?: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  writeFileSync(file, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 })
  if (publicFile !== undefined) writeFileSync(publicFile, publicKey.export({ type: 'spki', format: 'pem' }))
}

/** Writes a kubeconfig with the named client certificate inside and returns its path. */
export function writeKubeconfig(layout: Layout, name: CertificateName): string {
  const files = certificatesOf(layout)
  const inline = (file: string) => readFileSync(file).toString('base64')
  const cluster = 'gracewatch-test'
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: cluster, cluster: { server: API_SERVER_URL, 'certificate-authority-data': inline(files.ca) } }],
    users: [
      {
        name,
        user: { 'client-certificate-data': inline(files.certificate(name)), 'client-key-data': inline(files.key(name)) },
      },
    ],
    contexts: [{ name: cluster, context: { cluster, user: name } }],
    'current-context': cluster,
  }
  mkdirSync(layout.kubeconfigs, { recursive: true, mode: 0o700 })
  const path = kubeconfigOf(layout, name)
  // JSON is YAML, and every reader of a kubeconfig reads YAML.
  writeFileSync(path, `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 })
  return path
}

export function kubeconfigOf(layout: Layout, name: CertificateName): string {
  return join(layout.kubeconfigs, `${name}.kubeconfig`)
}
