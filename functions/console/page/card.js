// A token in the list: what is known of it, and what can be done with it.

import { revoke } from './api.js'
import { ask, h, newId } from './dom.js'
import { current, isOwn, serviceOf } from './session.js'
import { fromNow, here, sentence, utc } from './words.js'

const ENDED_BY = {
  owner: 'by its owner',
  administrator: 'by an administrator',
  token: 'by somebody who had the token itself',
  finder: 'found by somebody who reported it',
  github: 'found by GitHub',
  gitlab: 'found by GitLab',
}

const time = (text) => h('time', { datetime: text, title: utc(new Date(text)) }, here(new Date(text)))
const codes = (list) => list.flatMap((text, i) => [i ? ', ' : null, h('code', {}, text)])

/** An address from outside: followed only where it leads to a page, and without saying from where. */
function place(url) {
  return /^https?:\/\//i.test(url) && URL.canParse(url) ? h('a', { href: url, rel: 'noreferrer' }, url) : h('code', {}, url)
}

function revoked({ revoked_at, revoked_by, leak_url, subject }) {
  const by = revoked_by === 'owner' && isOwn(subject) ? 'by you' : ENDED_BY[revoked_by]
  return [time(revoked_at), by ? `, ${by}` : null, ...leak_url ? [' at ', place(leak_url)] : []]
}

function ends(token) {
  if (token.revoked_at) return ['Revoked', revoked(token)]
  if (!token.expires_at) return ['Expires', ['never']]
  return [token.status === 'expired' ? 'Expired' : 'Expires', [time(token.expires_at), ` (${fromNow(new Date(token.expires_at))})`]]
}

function lastUsed({ last_used: use }) {
  if (!use) return ['not known']
  return [time(use.at), ` (${fromNow(new Date(use.at))})`,
    ...use.address ? [', from ', h('code', {}, use.address)] : [], ...use.client ? [', with ', h('code', {}, use.client)] : []]
}

/** One token; `gone` is called once it is revoked. */
export function card(token, gone) {
  const heading = newId()
  const facts = [
    ['Permissions', [sentence(token.scopes)]],
    token.source_addresses.length ? ['Only from', codes(token.source_addresses)] : null,
    ['Created', [time(token.created_at)]],
    token.rotated_at ? ['Rotated', [time(token.rotated_at)]] : null,
    ends(token),
    ['Last used', lastUsed(token)],
    ['Id', [h('code', {}, token.id)]],
  ].filter(Boolean)
  const wrong = h('p', { role: 'alert', class: 'wrong' })
  const end = h('button', {
    class: 'danger', 'aria-describedby': heading,
    onclick: async () => {
      const text = `Clients that use “${token.name}” are refused from their next request on. This cannot be undone.`
      if (!await ask(`Revoke “${token.name}”?`, text, 'Revoke', 'Keep it')) return end.focus()
      end.disabled = true
      wrong.textContent = ''
      try {
        await revoke(token.id)
        gone()
      } catch (refused) {
        wrong.textContent = refused.message
        end.disabled = false
      }
    },
  }, 'Revoke')
  const id = encodeURIComponent(token.id)
  const to = (hash, text) => h('a', { class: 'button plain', href: hash, 'aria-describedby': heading }, text)
  const active = token.status === 'active'
  // An administrator looks after services, and can only end what is another person's.
  const may = isOwn(token.subject) || (current()?.isAdministrator && serviceOf(token.subject))
  return h('li', { class: 'card', 'data-id': token.id, 'data-status': token.status },
    h('h2', { id: heading, tabindex: '-1', dir: 'auto' }, token.name, ' '),
    h('span', { class: `status ${token.status}` }, token.status),
    h('dl', {}, facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))),
    wrong,
    h('div', { class: 'actions' },
      may ? to(`#/tokens/new?from=${id}`, 'Make another like this') : null,
      may && active ? [to(`#/tokens/${id}/change`, 'Change'), to(`#/tokens/${id}/rotate`, 'Rotate')] : null,
      active ? end : null))
}
