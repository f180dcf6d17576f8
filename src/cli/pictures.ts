/** Records as files to look at: a drawing, or a document that needs nothing beside it. */
import type { PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { draw } from '../render/draw.ts'
import { UsageError } from './arguments.ts'
import { DEFAULT_WIDTH, type Output, timeZoneOf } from './terminal.ts'

export const PICTURES = ['svg', 'html'] as const
export type Picture = (typeof PICTURES)[number]
export const isPicture = (format: string | undefined): format is Picture => format === 'svg' || format === 'html'

export interface PictureOptions {
  readonly now?: Micros
  readonly timeZone: string
}

/** What draws is loaded where it is wanted. */
export async function pictured(records: readonly PodTermination[], format: Picture, options: PictureOptions): Promise<string> {
  const [record, ...others] = records
  if (format === 'html') {
    const { report } = await import('../page/report.ts')
    return report(records, { ...options, ...(others.length === 0 ? {} : { title: `${records.length} terminations` }) })
  }
  if (record === undefined || others.length > 0) throw new UsageError('-o svg is a drawing of one record: -o html takes several')
  const { drawSvg } = await import('../render/svg.ts')
  return `${drawSvg(record, options)}\n`
}

/** Records of a file, drawn for the terminal or as the picture that was asked for. */
export async function writeDrawings(
  records: readonly PodTermination[],
  given: { readonly output?: string; readonly utc?: true },
  output: Output,
): Promise<void> {
  const timeZone = timeZoneOf(given)
  if (isPicture(given.output)) {
    output.write(await pictured(records, given.output, { timeZone }))
    return
  }
  const options = {
    width: output.columns ?? DEFAULT_WIDTH,
    colour: output.colour,
    wide: given.output === 'wide',
    timeZone,
  }
  output.write(`${records.map((record) => draw(record, options).join('\n')).join('\n\n\n')}\n`)
}
