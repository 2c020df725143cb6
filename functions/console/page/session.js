// Signing in with OpenID Connect: authorization code with PKCE (RFC 7636), as a public client.
//
// Own code, since the one library that needs no build step (oidc-client-ts, 71 KB) would weigh more than the rest of
// the page together. The ID token is the session: it is a JWT whose audience is this client at every issuer, which an
// access token need not be. Its signature is the API's gateway's to check; here it came from the issuer itself.

import { config } from './dom.js'

const SESSION = 'latchkey.session'
const PENDING = 'latchkey.sign-in'
const listeners = []
let timer

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))
const address = () => `${location.origin}/`

let metadata
async function issuer() {
  metadata ??= fetch(`${config.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`).then((answer) => {
    if (!answer.ok) throw new Error(`the issuer answers ${answer.status}`)
    return answer.json()
  })
  try {
    return await metadata
  } catch (error) {
    metadata = undefined
    throw error
  }
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(SESSION))
  } catch {
    return null
  }
}

/** Tells when a session begins or ends. */
export const onChange = (listener) => listeners.push(listener)
const changed = () => listeners.forEach((listener) => listener())

/** Who is signed in: `{name, subject, isAdministrator}`, or null. */
export function current() {
  const session = kept()
  if (!session || (session.expires <= Date.now() && !session.refresh)) return null
  const { sub, groups, 'cognito:groups': cognito } = claimsOf(session.token)
  // A list, or a list in words: as the service reads them.
  const names = [groups, cognito].flat().join(' ').split(/[ ,]/)
  return { name: session.name, subject: sub, isAdministrator: !!config.adminGroup && names.includes(config.adminGroup) }
}

export const isOwn = (subject) => subject === current()?.subject
/** The name of the service that this subject is, if it is one. */
export const serviceOf = (subject) => subject?.match(/^service:(.*)/)?.[1]
/** The list with the tokens of this subject; the own one for none. */
export const listOf = (subject) => subject === undefined || isOwn(subject) ? '#/tokens' : `#/tokens?${new URLSearchParams({ subject })}`

/** Ends the session here: the service did not take it, or its time is over. */
export function end() {
  sessionStorage.removeItem(SESSION)
  clearTimeout(timer)
  changed()
}

/** What the service is sent; null without a session. */
export async function token() {
  const session = kept()
  if (!session) return null
  if (session.expires - Date.now() > 60_000) return session.token
  if (session.refresh && await renew(session.refresh)) return kept().token
  if (session.expires > Date.now()) return session.token
  end()
  return null
}

async function exchange(fields) {
  const { token_endpoint } = await issuer()
  const body = new URLSearchParams({ client_id: config.clientId, ...fields })
  const answer = await fetch(token_endpoint, { method: 'POST', body })
  const content = await answer.json()
  if (!answer.ok) throw new Error(content.error_description ?? content.error ?? `the issuer answers ${answer.status}`)
  return content
}

async function renew(refresh_token) {
  try {
    keep(await exchange({ grant_type: 'refresh_token', refresh_token }), undefined, refresh_token)
    return true
  } catch {
    return false
  }
}

function claimsOf(token) {
  const [, payload] = (token ?? '').split('.')
  if (!payload) throw new Error('the issuer gave no ID token')
  const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
  return JSON.parse(new TextDecoder().decode(bytes))
}

function keep(answer, nonce, oldRefresh) {
  const claims = claimsOf(answer.id_token)
  if (claims.iss !== config.issuer) throw new Error('the ID token is of another issuer')
  if (![claims.aud].flat().includes(config.clientId)) throw new Error('the ID token is for another client')
  if (nonce && claims.nonce !== nonce) throw new Error('the ID token answers another request')
  sessionStorage.setItem(SESSION, JSON.stringify({
    token: answer.id_token,
    refresh: answer.refresh_token ?? oldRefresh,
    // By its length, so that a wrong clock on this machine does not matter.
    expires: Date.now() + (claims.exp - claims.iat) * 1000,
    name: claims.name ?? claims.preferred_username ?? claims['cognito:username'] ?? claims.email ?? claims.sub,
  }))
  watch()
}

/** Renews the session before it ends, or shows that it has. */
function watch() {
  clearTimeout(timer)
  const session = kept()
  if (session) timer = setTimeout(() => token().then(() => kept() && watch()), Math.max(session.expires - Date.now() - 30_000, 1000))
}

/** Goes to the issuer; what follows comes back to `returnTo`, a hash. */
export async function signIn(returnTo) {
  const { authorization_endpoint } = await issuer()
  const pending = { state: random(), nonce: random(), verifier: random(), returnTo }
  sessionStorage.setItem(PENDING, JSON.stringify(pending))
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(pending.verifier))
  const query = new URLSearchParams({
    response_type: 'code', client_id: config.clientId, redirect_uri: address(), scope: 'openid',
    state: pending.state, nonce: pending.nonce, code_challenge: base64url(challenge), code_challenge_method: 'S256',
  })
  location.assign(`${authorization_endpoint}${authorization_endpoint.includes('?') ? '&' : '?'}${query}`)
}

/** Takes what the issuer sent back with, if anything. Throws what went wrong, in words. */
export async function resume() {
  const query = new URLSearchParams(location.search)
  if (!query.has('code') && !query.has('error')) return watch()
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? '{}')
  sessionStorage.removeItem(PENDING)
  // The code leaves the address before anything else happens.
  history.replaceState(null, '', `/${pending.returnTo ?? ''}`)
  if (query.has('error')) throw new Error(query.get('error_description') ?? query.get('error'))
  if (!pending.state || query.get('state') !== pending.state) throw new Error('this sign-in was not begun here')
  keep(await exchange({
    grant_type: 'authorization_code', code: query.get('code'), code_verifier: pending.verifier, redirect_uri: address(),
  }), pending.nonce)
}

/** Ends the session here and at the issuer. */
export async function signOut() {
  const session = kept()
  end()
  const { end_session_endpoint } = await issuer().catch(() => ({}))
  if (!end_session_endpoint) return
  // Cognito knows the last two by other names.
  location.assign(`${end_session_endpoint}?${new URLSearchParams({
    id_token_hint: session?.token ?? '', post_logout_redirect_uri: address(), client_id: config.clientId, logout_uri: address(),
  })}`)
}
