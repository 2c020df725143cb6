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

const one = (id) => `/tokens/${encodeURIComponent(id)}`

/** One page: `{tokens, next_cursor}`. */
export function list({ subject, status, cursor } = {}) {
  const query = new URLSearchParams({ limit: 50, ...(subject && { subject }), ...(status && { status }), ...(cursor && { cursor }) })
  return call('GET', `/tokens?${query}`)
}

export const find = (id) => call('GET', one(id))
export const create = (wish) => call('POST', '/tokens', wish)
export const rotate = (id, wish) => call('POST', `${one(id)}/rotate`, wish)
export const change = (id, wish) => call('PATCH', one(id), wish)
export const revoke = (id) => call('DELETE', one(id))
/** Ends what one call can of all that somebody has: `{revoked, complete}`. */
export const revokeAll = (subject) => call('DELETE', `/tokens?${new URLSearchParams({ subject })}`)
/** What the service says of a token that is sent to it. */
export const describe = (plaintext) => send('GET', '/tokens/current', `Bearer ${plaintext}`)
