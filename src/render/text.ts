/**
 * Text in terminal columns. Whatever comes from the cluster passes `clean` first, so that no name or message can move the
 * cursor, colour the screen or turn the reading direction.
 */

/** East Asian wide and full-width characters and the emoji: two columns in every terminal. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
/** Marks that join the character before them. U+FE0F is counted as one: it makes some characters wide in some terminals. */
const JOINING = /^(?!\ufe0f)[\p{Mn}\p{Me}]$/u
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/
const BREAKING = /[\t\n\v\f\r\u0085\u2028\u2029]+/gu
/** Control and format characters (escape sequences, bidirectional overrides, zero-width ones) and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}]/gu

/** `text` on one line and without a character that is no glyph: line breaks become a space, the rest is written as an escape. */
export function clean(text: string): string {
  if (PRINTABLE_ASCII.test(text)) return text
  return text.replace(BREAKING, ' ').replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

const columnsOf = (character: string) => (WIDE.test(character) ? 2 : JOINING.test(character) ? 0 : 1)

/** Columns that `text` takes in a terminal; never less than a terminal draws. */
export function displayWidth(text: string): number {
  if (PRINTABLE_ASCII.test(text)) return text.length
  let width = 0
  for (const character of text) width += columnsOf(character)
  return width
}

/** The longest start of `text` that fits into `width` columns. */
function head(text: string, width: number): string {
  let taken = ''
  let used = 0
  for (const character of text) {
    used += columnsOf(character)
    if (used > width) break
    taken += character
  }
  return taken
}

/** `text` in at most `width` columns, cut in its middle: the ends of Kubernetes names are what tells them apart. */
export function shorten(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  if (width <= 1) return width === 1 ? '…' : ''
  const characters = [...text]
  const start = head(text, Math.floor((width - 1) / 2))
  const end: string[] = []
  let left = width - 1 - displayWidth(start)
  for (let i = characters.length - 1; i >= 0; i--) {
    const character = characters[i] ?? ''
    left -= columnsOf(character)
    if (left < 0) break
    end.unshift(character)
  }
  return `${start}…${end.join('')}`
}

/** `text` filled with spaces to `width` columns. */
export const pad = (text: string, width: number) => text + ' '.repeat(Math.max(0, width - displayWidth(text)))

/** Spaces between a number and its unit: no line breaks there. */
const UNIT_SPACE = /(?<=\d) (?=(?:[mn]?s|min|h|d|%|[KMGT]i?B)(?![\p{L}\p{N}]))/gu
const NO_BREAK = '\u00a0'

/** `text` broken at spaces into lines of at most `width` columns, those after the first `indent` narrower; long words are split. */
export function wrap(text: string, width: number, indent = 0): string[] {
  const lines: string[] = []
  let line = ''
  const room = () => Math.max(1, width - (lines.length === 0 ? 0 : indent))
  const words = text.replace(UNIT_SPACE, NO_BREAK).split(' ')
  for (const word of words.filter((part) => part !== '')) {
    let rest = word
    if (line !== '' && displayWidth(line) + 1 + displayWidth(rest) <= room()) {
      line += ` ${rest}`
      continue
    }
    if (line !== '') lines.push(line)
    while (displayWidth(rest) > room()) {
      const part = head(rest, room()) || [...rest].slice(0, 1).join('')
      lines.push(part)
      rest = rest.slice(part.length)
    }
    line = rest
  }
  if (line !== '') lines.push(line)
  return lines.length === 0 ? [''] : lines.map((joined) => joined.replaceAll(NO_BREAK, ' '))
}
