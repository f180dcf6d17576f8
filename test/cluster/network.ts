import { DNS_ADDRESS, NODE_ADDRESS, NODE_INTERFACE, SERVICE_RANGE } from './layout.ts'
import { run, tryRun } from './run.ts'

/** What the kubelet, kube-proxy and the CNI plugins call the chains that they make in iptables. */
const FOREIGN_CHAIN = /^(KUBE-|CNI-)/
const IPTABLES = ['iptables', 'ip6tables'] as const
const TABLES = ['filter', 'nat', 'mangle', 'raw'] as const
const PROXY_TABLE = 'kube-proxy'

/** The bridge that carries the node's address. A loopback address would not do: the kubelet refuses it. */
export async function makeNodeInterface(): Promise<void> {
  const present = (await tryRun('ip', ['link', 'show', NODE_INTERFACE])).code === 0
  if (!present) await run('ip', ['link', 'add', NODE_INTERFACE, 'type', 'bridge'])
  await run('ip', ['address', 'replace', `${NODE_ADDRESS}/32`, 'dev', NODE_INTERFACE])
  await run('ip', ['link', 'set', NODE_INTERFACE, 'up'])
}

/**
 * Routes for Service addresses: from the host they must have one before kube-proxy's rules can translate them, whatever
 * the machine's default route is. There is no DNS server; its address is unreachable at once, or each name that a pod
 * looks up would take the resolver's ten seconds to fail.
 */
export async function makeServiceRoutes(): Promise<void> {
  await run('ip', ['route', 'replace', SERVICE_RANGE, 'dev', NODE_INTERFACE, 'src', NODE_ADDRESS])
  await run('ip', ['route', 'replace', 'unreachable', DNS_ADDRESS])
}

/** `ip nat`, `inet filter`, ... as nft lists them. */
export async function listNftTables(): Promise<string[]> {
  const result = await tryRun('nft', ['list', 'tables'])
  return result.stdout.split('\n').flatMap((line) => (line.startsWith('table ') ? [line.slice('table '.length).trim()] : []))
}

/** `iptables nat KUBE-MARK-MASQ`, ... for every chain of a kind that the cluster's parts make. */
export async function listForeignChains(): Promise<string[]> {
  const found: string[] = []
  for (const command of IPTABLES) {
    for (const table of TABLES) {
      for (const line of await rules(command, table)) {
        const chain = /^-N (\S+)/.exec(line)?.[1]
        if (chain !== undefined && FOREIGN_CHAIN.test(chain)) found.push(`${command} ${table} ${chain}`)
      }
    }
  }
  return found
}

/** Takes away what came since: the node's interface, routes, kube-proxy's tables, and the chains of kubelet and CNI. */
export async function removeNetwork(before: {
  readonly nftTables: readonly string[]
  readonly chains: readonly string[]
}): Promise<void> {
  await tryRun('ip', ['route', 'del', 'unreachable', DNS_ADDRESS])
  await tryRun('ip', ['link', 'del', NODE_INTERFACE])
  const chains = (await listForeignChains()).filter((chain) => !before.chains.includes(chain))
  for (const command of IPTABLES) {
    for (const table of TABLES) {
      const prefix = `${command} ${table} `
      await removeChains(
        command,
        table,
        chains.filter((chain) => chain.startsWith(prefix)).map((chain) => chain.slice(prefix.length)),
      )
    }
  }
  for (const table of await listNftTables()) {
    if (before.nftTables.includes(table)) continue
    const [family = '', name = ''] = table.split(' ')
    if (name === PROXY_TABLE || (await isEmptyTable(family, name))) await tryRun('nft', ['delete', 'table', family, name])
  }
}

async function rules(command: string, table: string): Promise<string[]> {
  return (await tryRun(command, ['-w', '-t', table, '-S'])).stdout.split('\n')
}

async function removeChains(command: string, table: string, chains: readonly string[]): Promise<void> {
  if (chains.length === 0) return
  // First every rule that jumps to one of them, then their own rules, then the chains.
  for (const rule of await rules(command, table)) {
    const words = splitRule(rule)
    const target = words[words.indexOf('-j') + 1]
    if (words[0] !== '-A' || !words.includes('-j') || target === undefined || !chains.includes(target)) continue
    await tryRun(command, ['-w', '-t', table, '-D', ...words.slice(1)])
  }
  for (const chain of chains) await tryRun(command, ['-w', '-t', table, '-F', chain])
  for (const chain of chains) await tryRun(command, ['-w', '-t', table, '-X', chain])
}

/** A rule as iptables -S prints it, in words: comments stand in double quotes. */
function splitRule(rule: string): string[] {
  return [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '')
}

/** The tables that iptables makes at its first use (`ip nat`) stay behind with nothing but their base chains. */
async function isEmptyTable(family: string, name: string): Promise<boolean> {
  if (!['ip', 'ip6'].includes(family) || !TABLES.some((table) => table === name)) return false
  const listed = await tryRun('nft', ['list', 'table', family, name])
  if (listed.code !== 0) return false
  return listed.stdout.split('\n').every((line) => /^\s*(table .*\{|chain [A-Z]+ \{|type .*; policy accept;|\}|#.*)?$/.test(line))
}
