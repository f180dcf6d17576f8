/** Words in lines of at most `width` characters; a longer word has a line of its own. For texts of this program's own, in ASCII. */
export function wrapped(words: Iterable<string>, width: number): string[] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
