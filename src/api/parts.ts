/** What the schemas of src/api are made of. */
import { z } from 'zod'

export const text = (max: number) => z.string().max(max)
/** RFC 3339 in UTC with six decimals. */
export const time = z.iso.datetime({ precision: 6 }).max(32)

/** A description that says what each value of an enum means, one a line, as `kubectl explain` prints it. */
export const values = <T extends string>(first: string, meanings: Record<T, string>) =>
  [first, ...Object.entries(meanings).map(([value, meaning]) => ` - ${value}: ${meaning}`)].join('\n')
