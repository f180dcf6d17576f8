/** Elements as text. Whatever comes from the cluster passes through here, so nothing that a user can set becomes markup. */
import { clean } from './text.ts'

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Valid in XML and HTML, in text and in quoted attributes; characters that are no glyphs are written as escapes. */
export const escaped = (text: string) => clean(text).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')

/** Markup that was made here; a string is never taken for it. */
export class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  toString(): string {
    return this.text
  }
}

/** The elements of HTML without content; the others are written with their end, which XML reads too. */
const VOID: ReadonlySet<string> = new Set(['br', 'hr', 'input', 'link', 'meta'])

type Attributes = Readonly<Record<string, string | number | undefined>>
export type Child = Markup | string | undefined | readonly Child[]

/** Numbers have two decimals at most; undefined attributes and children are left out. */
export function element(name: string, attributes: Attributes, ...children: readonly Child[]): Markup {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}="${typeof value === 'number' ? String(Math.round(value * 100) / 100) : escaped(value ?? '')}"`,
    )
    .join('')
  const inner = content(children)
  return new Markup(VOID.has(name) ? `<${name}${written}>` : `<${name}${written}>${inner}</${name}>`)
}

function content(child: Child): string {
  if (child === undefined) return ''
  if (child instanceof Markup) return child.text
  return typeof child === 'string' ? escaped(child) : child.map(content).join('')
}

/** Text in which line breaks count, as for `pre`. */
export const preformatted = (text: string) => new Markup(text.split('\n').map(escaped).join('\n'))
