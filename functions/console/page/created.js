// The token, once: with how to use it, and whether it works.

import { describe } from './api.js'
import { copy, h, newId } from './dom.js'
import { here, sentence, utc } from './words.js'

const CLIENT = 'latchkey.client'

/** Tabs as the ARIA practices have them: arrows move, the choice is remembered. */
function tabs(usage) {
  const remembered = localStorage.getItem(CLIENT)
  let chosen = Math.max(usage.findIndex((one) => one.client === remembered), 0)
  const panels = usage.map((one) => panel(one))
  const buttons = usage.map((one, i) => h('button', {
    role: 'tab', type: 'button', id: `tab-${one.client}`, 'aria-controls': `panel-${one.client}`,
    onclick: () => choose(i),
    onkeydown: (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: usage.length - 1 }[event.key]
      if (to === undefined) return
      event.preventDefault()
      choose((to + usage.length) % usage.length, true)
    },
  }, one.title))
  function choose(i, focus) {
    chosen = i
    localStorage.setItem(CLIENT, usage[i].client)
    show()
    if (focus) buttons[i].focus()
  }
  function show() {
    buttons.forEach((button, i) => {
      button.setAttribute('aria-selected', i === chosen)
      button.tabIndex = i === chosen ? 0 : -1
      panels[i].hidden = i !== chosen
    })
  }
  show()
  return h('section', {}, h('h2', {}, 'How to use it'),
    h('div', { role: 'tablist', 'aria-label': 'Clients', class: 'tabs' }, buttons), panels)
}

function panel({ client, instructions, snippet }) {
  const code = h('pre', { tabindex: '0', 'aria-label': 'Example' }, h('code', {}, snippet))
  return h('div', { role: 'tabpanel', id: `panel-${client}`, 'aria-labelledby': `tab-${client}` },
    h('p', {}, instructions), code, copyButton('Copy the example', () => snippet, code))
}

function copyButton(label, text, element, copied = () => {}) {
  const button = h('button', {
    type: 'button', class: 'plain',
    onclick: async () => {
      if (await copy(text(), element)) {
        button.textContent = 'Copied'
        setTimeout(() => { button.textContent = label }, 2000)
      }
      copied()
    },
  }, label)
  return button
}

function test(token) {
  const result = h('p', { role: 'status' })
  const button = h('button', {
    type: 'button', class: 'plain',
    onclick: async () => {
      button.disabled = true
      result.className = ''
      result.textContent = 'Asking the service…'
      try {
        const found = await describe(token)
        result.className = 'right'
        result.textContent = `It works. The service knows it as “${found.name}”, ${found.status}: ${sentence(found.scopes)}`
      } catch (refused) {
        result.className = 'wrong'
        result.textContent = refused.message
      }
      button.disabled = false
    },
  }, 'Test this token')
  return h('div', { class: 'test' }, button, result)
}

/** What became of the secret before, if there was one. */
function before({ overlap_ends_at, rotated_at }) {
  if (!overlap_ends_at) return null
  const until = new Date(overlap_ends_at)
  return h('p', {}, until > new Date(rotated_at)
    ? `The old secret works until ${here(until)} (${utc(until)}), and then no more.`
    : 'The old secret works no more.')
}

/** The view, and whether it may be left without asking. `back` is where the token is listed. */
export function createdView(made, back) {
  let copied = false
  const id = newId()
  const code = h('code', { id, class: 'token', tabindex: '0' }, made.token)
  code.addEventListener('copy', () => { copied = true })
  const until = made.expires_at
    ? `Valid until ${here(new Date(made.expires_at))} (${utc(new Date(made.expires_at))}).`
    : 'It does not expire.'
  const from = made.source_addresses.length ? ` It is good from ${made.source_addresses.join(', ')} alone.` : ''
  const view = [
    h('h1', { tabindex: '-1' }, made.rotated_at ? 'The token’s new secret' : 'Your new token'),
    h('p', {}, h('strong', { dir: 'auto' }, made.name), ` — ${sentence(made.scopes)} ${until}${from}`),
    before(made),
    h('div', { class: 'once' },
      h('p', {}, h('strong', {}, 'Copy it now: it is shown this once.'), ' Keep it as you keep a password.'),
      h('div', { class: 'row' }, code, copyButton('Copy token', () => made.token, code, () => { copied = true })),
      test(made.token)),
    made.usage?.length ? tabs(made.usage) : null,
    h('p', {}, h('a', { class: 'button', href: back }, 'Done')),
  ].filter(Boolean)
  return { view, mayLeave: () => copied }
}
