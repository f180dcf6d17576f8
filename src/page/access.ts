/**
 * Who may read the page. It listens on loopback, which every web page in the user's browser and every other user of the machine can
 * reach: a foreign Host is refused (DNS rebinding), a foreign Origin is, and without the key of this run nothing is shown.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?$/

/** Any port: behind a port-forward the one that the browser sees is another. */
export const fromThisMachine: MiddlewareHandler = async (c, next) => {
  const host = c.req.header('host') ?? ''
  if (!LOOPBACK.test(host)) return c.text('This page answers to localhost only.\n', 421)
  const origin = c.req.header('origin')
  if (origin !== undefined && origin !== `http://${host}`) return c.text('This page answers to itself only.\n', 403)
  const site = c.req.header('sec-fetch-site')
  const followed = c.req.header('sec-fetch-mode') === 'navigate' && c.req.header('sec-fetch-dest') === 'document'
  // A link that somebody follows is no harm: the answer is shown to them, and to nobody else.
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !followed)
    return c.text('This page answers to itself only.\n', 403)
  return next()
}

export const onlyReads: MiddlewareHandler = async (c, next) => {
  if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
  c.header('Allow', 'GET, HEAD')
  return c.text('This page only reads.\n', 405)
}

/** Lets in who has the key, once in the address and from then on in a cookie. */
export function withKey(key: string): MiddlewareHandler {
  return async (c, next) => {
    // Cookies do not tell ports apart, and more than one such page may be open.
    const name = `gracewatch-${LOOPBACK.exec(c.req.header('host') ?? '')?.[1] ?? '80'}`
    const given = c.req.query('key')
    if (given !== undefined && same(given, key)) {
      setCookie(c, name, key, { httpOnly: true, sameSite: 'Lax', path: '/' })
      const url = new URL(c.req.url)
      url.searchParams.delete('key')
      return c.redirect(`${url.pathname}${url.search}`, 303)
    }
    if (same(getCookie(c, name) ?? '', key)) return next()
    return c.text('This page is for who started it: open the address that gracewatch open printed, with its key.\n', 403)
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest()
const same = (one: string, other: string) => timingSafeEqual(digest(one), digest(other))
