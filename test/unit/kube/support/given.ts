import { afterEach } from 'vitest'
import { TestApiServer } from './server.ts'
import { until, Watching } from './watching.ts'

type Options = ConstructorParameters<typeof Watching>[1]

const open: { end(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.end()))
})

/** A server with these objects and a reflector on it that is not started yet. */
export async function given(names: string[], options: Options = {}) {
  const server = await TestApiServer.start()
  const uids = names.map((name) => server.world.create(name).metadata.uid)
  const watching = new Watching(server, options)
  open.push({
    async end() {
      await watching.end()
      await server.stop()
    },
  })
  const uid = (index: number) => uids[index] ?? ''
  return { server, world: server.world, watching, reflector: watching.reflector, uid }
}

export async function synced(names: string[], options?: Options) {
  const all = await given(names, options)
  all.reflector.start()
  await all.reflector.whenSynced()
  await until(() => all.server.watching === 1)
  return all
}
