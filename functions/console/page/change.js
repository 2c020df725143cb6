// Change: another name, fewer permissions, an earlier end. Never more than a token has.

import { change, Refused } from './api.js'
import { config, h } from './dom.js'
import { draft } from './draft.js'
import { expiry } from './expiry.js'
import { nameField } from './field.js'
import { form } from './form.js'
import { permissions } from './permissions.js'
import { listOf } from './session.js'
import { dateIn } from './words.js'

const DAY = 86_400_000

/** `changed` is given the service's answer, and where it is listed. */
export function changeView(token, changed) {
  const kept = draft.take() ?? {}
  const back = listOf(token.subject)
  const end = token.expires_at && new Date(token.expires_at)
  // The last date that ends no later than the token does.
  const latest = end ? new Date(end - DAY + 1000).toISOString().slice(0, 10) : dateIn(config.maxDays)
  const fields = [
    nameField(kept.name ?? token.name),
    permissions(kept.scopes ?? token.scopes, token.scopes),
    expiry({
      initial: kept.expires_at, standing: { label: 'As it is', end }, latest, never: false,
      limit: 'It can end sooner, and never later.',
    }),
  ]
  const before = { name: token.name, scopes: permissions(token.scopes, token.scopes).value() }
  async function send(wish) {
    const news = Object.entries(wish).filter(([name, value]) => value !== undefined && String(value) !== String(before[name]))
    if (!news.length) throw new Refused(0, 'Nothing is changed yet.')
    return change(token.id, Object.fromEntries(news))
  }
  return [
    h('h1', { tabindex: '-1' }, 'Change “', h('bdi', {}, token.name), '”'),
    h('p', {}, 'Clients that use it go on with the same secret.'),
    form({ fields, label: 'Save', back, send, done: (answer) => changed(answer, back) }),
  ]
}
