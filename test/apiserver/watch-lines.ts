import type { HttpStream } from '../../src/kube/http.ts'

/** The events of a watch as the API server sends them, one JSON text a line; ends with the stream. */
export async function* watchLines<T>({
  chunks,
}: HttpStream): AsyncGenerator<{ type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = JSON.parse(line) as { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'ERROR'; object: T } // the API's form of a watch
      if (event.type === 'ERROR') throw new Error(`the watch failed: ${line}`)
      yield { type: event.type, object: event.object }
    }
  }
}
