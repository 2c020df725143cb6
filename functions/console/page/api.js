// The management API.

import { end, token } from './session.js'

/** Why a call has no answer, in words; `errors` names the fields that are wrong. */
export class Refused extends Error {
  constructor(status, message, errors = []) {
    super(message)
    this.status = status
    this.errors = errors
  }
}

const OFFLINE = 'The service cannot be reached. Check your connection, then try again.'
const ENDED = 'Your session has ended. Sign in again; what you typed is kept.'

async function send(method, path, authorization, body) {
  let answer
  try {
    const headers = { Authorization: authorization, ...(body && { 'Content-Type': 'application/json' }) }
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) })
  } catch {
    throw new Refused(0, OFFLINE)
  }
  const text = await answer.text().catch(() => '')
  let content = null
  try {
    content = text && JSON.parse(text)
  } catch { /* A proxy's page, say: its status tells enough. */ }
  if (answer.ok) return content
  const words = content?.detail ?? `The service answers ${answer.status}. Nothing was changed; try again in a moment.`
  throw new Refused(answer.status, words, content?.errors)
}

async function call(method, path, body) {
  const session = await token()
  if (!session) throw new Refused(401, ENDED)
  try {
    return await send(method, path, `Bearer ${session}`, body)
  } catch (refused) {
    if (refused.status !== 401) throw refused
    end()
    throw new Refused(401, ENDED)
  }
}

/** One page: `{tokens, next_cursor}`. */
export function list({ status, cursor } = {}) {
  const query = new URLSearchParams({ limit: 50, ...(status && { status }), ...(cursor && { cursor }) })
  return call('GET', `/tokens?${query}`)
}

/** One of the caller's tokens, or undefined. */
export async function find(id) {
  for (let cursor; ;) {
    const page = await list({ cursor })
    const token = page.tokens.find((token) => token.id === id)
    if (token || !page.next_cursor) return token
    cursor = page.next_cursor
  }
}

export const create = (wish) => call('POST', '/tokens', wish)
export const revoke = (id) => call('DELETE', `/tokens/${encodeURIComponent(id)}`)
/** What the service says of a token that is sent to it. */
export const describe = (plaintext) => send('GET', '/tokens/current', `Bearer ${plaintext}`)
