// Generate New Token: the form.

import { addresses } from './addresses.js'
import { create, find } from './api.js'
import { h } from './dom.js'
import { draft } from './draft.js'
import { expiry } from './expiry.js'
import { field, nameField } from './field.js'
import { form } from './form.js'
import { permissions } from './permissions.js'
import { current, listOf, serviceOf } from './session.js'

/** For administrators: a token that no person owns. */
function serviceField(initial) {
  const input = h('input', { type: 'text', value: initial, maxlength: '60', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
  const of = field('service', 'For a service', input,
    'A name such as “website-ci”, if the token is to belong to no person: every administrator looks after it. Yours if empty.')
  return { ...of, value: () => input.value.trim() || undefined }
}

/** `created` is given the service's answer, and where it is listed. */
export async function generateView(query, created) {
  const kept = draft.take()
  const from = query.get('from')
  let like, failed = ''
  if (!kept && from) {
    like = await find(from).catch(() => undefined)
    if (!like) failed = 'The token to make another like is not among yours. The form is empty.'
  }
  const initial = kept ?? {
    name: like?.name ?? query.get('name') ?? '',
    scopes: like?.scopes ?? query.getAll('scope'),
    source_addresses: like?.source_addresses ?? query.getAll('address'),
    service: serviceOf(like?.subject),
  }
  const fields = [
    nameField(initial.name),
    expiry({ initial: initial.expires_at }),
    permissions(initial.scopes ?? []),
    addresses(initial.source_addresses ?? []),
  ]
  if (current()?.isAdministrator) fields.push(serviceField(initial.service ?? ''))
  const subject = () => fields.at(-1).name === 'service' && fields.at(-1).value()
  return [h('h1', { tabindex: '-1' }, 'Generate New Token'), form({
    fields, label: 'Create Token', failed, back: '#/tokens', send: create,
    done: (made) => created(made, listOf(subject() ? `service:${subject()}` : undefined)),
  })]
}
