// Generate New Token: the form.

import { create, find } from './api.js'
import { config, h, newId } from './dom.js'
import { dateIn, endOf, fromNow, here, parts, sentence, utc } from './words.js'

const DRAFT = 'latchkey.draft'
const PRESETS = [7, 30, 60, 90]

/** What is typed survives signing in again, in this tab. It holds no secret. */
const draft = {
  keep: (wish) => sessionStorage.setItem(DRAFT, JSON.stringify({ of: location.hash, wish })),
  take() {
    const kept = JSON.parse(sessionStorage.getItem(DRAFT) ?? 'null')
    sessionStorage.removeItem(DRAFT)
    // Of the same form: one that makes another token like some other is a new beginning.
    return kept?.of === location.hash ? kept.wish : null
  },
}

function field(label, control, hint, extra) {
  const error = h('p', { class: 'wrong', id: newId(), role: 'alert' })
  const note = h('p', { class: 'hint', id: newId() }, hint)
  control.setAttribute('aria-describedby', `${note.id} ${error.id}`)
  return { node: h('div', { class: 'field' }, h('label', { for: control.id }, label), control, extra ?? null, note, error), error, note, control }
}

function wrong(of, text) {
  of.error.textContent = text
  if (text) of.control.setAttribute('aria-invalid', 'true')
  else of.control.removeAttribute('aria-invalid')
}

function expiry(initial, changed) {
  const days = [...new Set([...PRESETS, config.defaultDays])].filter((n) => n <= config.maxDays).sort((a, b) => a - b)
  const options = [
    ...days.map((n) => h('option', { value: n, selected: n === config.defaultDays }, `${n} days`)),
    h('option', { value: 'custom' }, 'Custom date'),
    config.allowNoExpiry ? h('option', { value: 'never' }, 'No expiry') : null,
  ]
  const select = h('select', { id: newId(), onchange: () => update() }, options)
  const date = h('input', { type: 'date', id: newId(), 'aria-label': 'Custom date', min: dateIn(0), max: dateIn(config.maxDays), oninput: () => update() })
  const last = dateIn(config.maxDays)
  const limit = `At most ${config.maxDays} days: ${last}.`
  const of = field('Expiry date', select, '', date)
  if (initial === null && config.allowNoExpiry) select.value = 'never'
  else if (initial) [select.value, date.value] = ['custom', initial]
  function value() {
    if (select.value === 'never') return null
    return select.value === 'custom' ? date.value : dateIn(Number(select.value))
  }
  function update() {
    date.hidden = select.value !== 'custom'
    const chosen = value()
    const moment = chosen && endOf(chosen)
    of.note.textContent = chosen === null ? 'It stays valid until it is revoked.'
      : moment && !isNaN(moment) ? `Valid until ${here(moment)} your time, ${utc(moment)} (${fromNow(moment)}). ${limit}`
        : `Choose a date. ${limit}`
    wrong(of, '')
    changed()
  }
  update()
  return { ...of, value, missing: () => select.value === 'custom' && !date.value }
}

function permissions(initial, changed) {
  const body = h('div', { class: 'rows', role: 'group', 'aria-label': 'Permissions' })
  const rows = []
  const error = h('p', { class: 'wrong', id: newId(), role: 'alert' })
  const summary = h('p', { class: 'summary', 'aria-live': 'polite' })

  function row(label, resource, custom) {
    const one = { read: false, write: false, resource }
    const name = custom
      ? h('input', { type: 'text', value: resource, placeholder: 'npm/@acme/*', 'aria-label': 'Path', spellcheck: 'false', autocapitalize: 'none', oninput: (event) => { one.resource = event.target.value.trim(); update() } })
      : h('span', { class: 'label' }, label, h('code', {}, resource))
    const box = (action, text) => h('label', {}, h('input', {
      type: 'checkbox', 'aria-label': `${text} ${label}`,
      onchange: (event) => { one[action] = event.target.checked; update() },
    }), ' ', text)
    one.boxes = { read: box('read', 'Read'), write: box('write', 'Write') }
    one.node = h('div', { class: 'permission' }, name, one.boxes.read, one.boxes.write,
      custom ? h('button', { type: 'button', class: 'plain', 'aria-label': `Remove path ${rows.length + 1}`, onclick: () => { rows.splice(rows.indexOf(one), 1); one.node.remove(); update(); add.focus() } }, 'Remove') : null)
    rows.push(one)
    body.append(one.node)
    return one
  }
  function set(one, action) {
    one[action] = true
    one.boxes[action].querySelector('input').checked = true
  }
  for (const [label, resource] of config.resources) row(label, resource, false)
  for (const scope of initial) {
    const { action, resource } = parts(scope)
    if (action === 'read' || action === 'write') set(rows.find((one) => one.resource === resource) ?? row('this path', resource, true), action)
  }
  const add = h('button', { type: 'button', class: 'plain', onclick: () => row('this path', '', true).node.querySelector('input').focus() }, 'Add a path')

  function value() {
    return rows.filter((one) => one.read || one.write).map((one) => `${one.write ? 'write' : 'read'}:${one.resource}`)
  }
  function update() {
    for (const one of rows) {
      const read = one.boxes.read.querySelector('input')
      // Writing implies reading the same path.
      read.disabled = one.write
      read.checked = one.read || one.write
    }
    summary.textContent = sentence(value().filter((scope) => parts(scope).resource))
    error.textContent = ''
    changed()
  }
  update()
  const node = h('fieldset', {}, h('legend', {}, 'Permissions'),
    h('p', { class: 'hint' }, 'Write includes read. A path may end in *, for everything below it.'),
    body, add, summary, error)
  return { node, value, error }
}

/** `created` is given the service's answer. */
export async function formView(query, created) {
  const kept = draft.take()
  const from = query.get('from')
  let like, unfound = ''
  if (!kept && from) {
    like = await find(from).catch(() => undefined)
    if (!like) unfound = 'The token to make another like is not among yours. The form is empty.'
  }
  const initial = kept ?? {
    name: like?.name ?? query.get('name') ?? '',
    scopes: like?.scopes ?? query.getAll('scope'),
  }
  let ready = false
  const changed = () => { if (ready) draft.keep(wish()) }
  const input = h('input', { type: 'text', id: newId(), value: initial.name, maxlength: '100', required: true, autocomplete: 'off', dir: 'auto', oninput: () => { wrong(name, ''); changed() } })
  const name = field('Name', input, 'So that you know it again: “laptop”, “CI of the website”. Up to 100 characters.')
  const date = expiry(initial.expires_at, changed)
  const permission = permissions(initial.scopes ?? [], changed)
  const failure = h('div', { role: 'alert', class: 'wrong' }, unfound)
  const submit = h('button', { type: 'submit' }, 'Create Token')
  const wish = () => ({ name: input.value, scopes: permission.value(), expires_at: date.value() })

  function missing() {
    wrong(name, input.value.trim() ? '' : 'Give it a name.')
    wrong(date, date.missing() ? 'Choose a date.' : '')
    permission.error.textContent = permission.value().length ? '' : 'Choose at least one permission.'
    return [[name.error, input], [date.error, date.control], [permission.error, permission.node.querySelector('input')]]
      .find(([error]) => error.textContent)?.[1]
  }

  function refused({ status, message, errors }) {
    const rest = []
    for (const { field, allowed, given } of errors) {
      const words = `${given ? `“${given}” is not possible: ` : ''}${allowed}.`
      if (field === 'name') wrong(name, words)
      else if (field === 'expires_at') wrong(date, words)
      else if (field.startsWith('scopes')) permission.error.textContent += `${words} `
      else rest.push(words)
    }
    failure.replaceChildren()
    if (!errors.length || rest.length) failure.append([message, ...rest].join(' '))
    if (status === 409) failure.append(' ', h('a', { href: '#/tokens' }, 'To your tokens'))
    const first = form.querySelector('[aria-invalid]') ?? (failure.textContent ? submit : permission.node.querySelector('input'))
    first.focus()
  }

  const form = h('form', {
    novalidate: true, class: 'form',
    onsubmit: async (event) => {
      event.preventDefault()
      failure.replaceChildren()
      const first = missing()
      if (first) return first.focus()
      submit.disabled = true
      try {
        const made = await create(wish())
        draft.take()
        created(made)
      } catch (error) {
        submit.disabled = false
        refused(error)
      }
    },
  }, name.node, date.node, permission.node, failure,
  h('div', { class: 'actions' }, h('a', { class: 'button plain', href: '#/tokens', onclick: () => draft.take() }, 'Cancel'), submit))
  ready = true
  return [h('h1', { tabindex: '-1' }, 'Generate New Token'), form]
}
