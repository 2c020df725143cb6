// Rotate: a new secret for a token, and how long the old one goes on.

import { rotate } from './api.js'
import { config, h } from './dom.js'
import { draft } from './draft.js'
import { expiry } from './expiry.js'
import { field } from './field.js'
import { form } from './form.js'
import { listOf } from './session.js'
import { dateIn, endOf, here, utc } from './words.js'

const OVERLAPS = [[0, 'not at all'], [3_600, 'for 1 hour'], [86_400, 'for 1 day'], [604_800, 'for 7 days']]

function overlapField(token, initial) {
  const select = h('select', {}, OVERLAPS.map(([seconds, label]) => h('option', { value: seconds }, label)))
  select.value = initial ?? 0
  const of = field('overlap_seconds', 'The old secret goes on', select, '')
  function show() {
    const ends = [Date.now() + Number(select.value) * 1000, Date.parse(token.expires_at ?? '')].filter((end) => !isNaN(end))
    const until = new Date(Math.min(...ends))
    of.note.textContent = select.value === '0'
      ? 'Clients that have the old secret are refused from their next request on.'
      : `Clients that have the old secret are refused from ${here(until)} on (${utc(until)}). Give them the new one before.`
  }
  select.addEventListener('change', show)
  show()
  return { ...of, value: () => Number(select.value) }
}

/** As long again as the secret before was made for, within what the deployment allows. */
function asLongAgain({ created_at, rotated_at, expires_at }) {
  if (!expires_at) return null
  const life = Date.parse(expires_at) - Date.parse(rotated_at ?? created_at)
  return new Date(Math.min(Date.now() + life, endOf(dateIn(config.maxDays))))
}

/** `rotated` is given the service's answer, and where it is listed. */
export function rotateView(token, rotated) {
  const kept = draft.take()
  const back = listOf(token.subject)
  const fields = [
    overlapField(token, kept?.overlap_seconds),
    expiry({ initial: kept?.expires_at, standing: { label: 'As long again as before', end: asLongAgain(token) } }),
  ]
  return [
    h('h1', { tabindex: '-1' }, 'Rotate “', h('bdi', {}, token.name), '”'),
    h('p', {}, 'The token gets a new secret, which is shown once. Its id, name and permissions stay.'),
    form({ fields, label: 'Rotate', back, send: (wish) => rotate(token.id, wish), done: (made) => rotated(made, back) }),
  ]
}
