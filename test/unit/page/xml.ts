/** Reads markup as strictly as XML wants it, so that a test notices what a browser would mend. */

export interface Node {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly (Node | string)[]
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
const TAG = /^<(\/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z][a-zA-Z0-9:-]*="[^"<]*")*)\s*>/
/** The elements of HTML that have no end. */
const VOID = ['br', 'hr', 'input', 'link', 'meta']

function unescaped(text: string): string {
  if (/[<>]/.test(text)) throw new Error(`a bare angle bracket in ${text.slice(0, 80)}`)
  return text.replace(/&([^;]*);?/g, (whole, name: string) => {
    const character = ENTITIES[name]
    if (character === undefined || !whole.endsWith(';')) throw new Error(`unknown entity ${whole.slice(0, 40)}`)
    return character
  })
}

/** The one element that `markup` is. Throws where it is not well formed. */
export function parseMarkup(markup: string): Node {
  const root: Node & { readonly children: (Node | string)[] } = { name: '', attributes: new Map<string, string>(), children: [] }
  const open: (typeof root)[] = [root]
  let rest = markup.replace(/^<!doctype html>/i, '')
  while (rest !== '') {
    const here = open.at(-1) ?? root
    if (!rest.startsWith('<')) {
      const next = rest.indexOf('<')
      const text = rest.slice(0, next === -1 ? undefined : next)
      // A style is text as it stands, in HTML.
      here.children.push(here.name === 'style' ? text : unescaped(text))
      rest = rest.slice(text.length)
      continue
    }
    const match = TAG.exec(rest)
    if (match === null) throw new Error(`no tag: ${rest.slice(0, 120)}`)
    const [whole, slash, name = '', written = ''] = match
    rest = rest.slice(whole.length)
    if (slash === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes ${here.name}`)
      continue
    }
    const attributes = new Map<string, string>()
    for (const [, key = '', value = ''] of written.matchAll(/([a-zA-Z][a-zA-Z0-9:-]*)="([^"]*)"/g)) {
      if (attributes.has(key)) throw new Error(`${key} twice in ${whole}`)
      attributes.set(key, unescaped(value))
    }
    const node = { name, attributes, children: [] }
    here.children.push(node)
    if (!VOID.includes(name)) open.push(node)
  }
  if (open.length !== 1) throw new Error(`<${open.at(-1)?.name}> is not closed`)
  const [only, ...others] = root.children.filter((child) => typeof child !== 'string' || child.trim() !== '')
  if (only === undefined || typeof only === 'string' || others.length > 0) throw new Error('not one element')
  return only
}

export function* nodesOf(node: Node): Generator<Node> {
  yield node
  for (const child of node.children) if (typeof child !== 'string') yield* nodesOf(child)
}

export const all = (node: Node, wanted: (node: Node) => boolean) => [...nodesOf(node)].filter(wanted)
export const byName = (node: Node, name: string) => all(node, (one) => one.name === name)
export const byClass = (node: Node, name: string) =>
  all(node, ({ attributes }) => attributes.get('class')?.split(' ').includes(name) ?? false)

export function textOf(node: Node | string): string {
  return typeof node === 'string' ? node : node.children.map(textOf).join('')
}
