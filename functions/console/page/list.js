// API Token Management: the list.

import { endOfAll, whose } from './administrator.js'
import { list } from './api.js'
import { card } from './card.js'
import { h, newId, say } from './dom.js'
import { current, isOwn } from './session.js'

const FILTERS = [['', 'All'], ['active', 'Active'], ['expired', 'Expired'], ['revoked', 'Revoked']]

/** Of the caller's tokens, or, for administrators, of this subject's. */
export function listView(subject) {
  const state = { status: '', search: '', tokens: [], cursor: null, loading: null }
  const items = h('ul', { class: 'cards' })
  const footer = h('div', { class: 'footer' })
  const search = h('input', { type: 'search', id: newId(), autocomplete: 'off', oninput: () => { state.search = search.value; searchAll() } })

  function show() {
    const words = state.search.trim().toLowerCase()
    const shown = state.tokens.filter((token) => token.name.toLowerCase().includes(words))
    items.replaceChildren(...shown.map((token) => card(token, () => {
      token.status = 'revoked'
      token.revoked_at = new Date().toISOString()
      token.revoked_by = isOwn(token.subject) ? 'owner' : 'administrator'
      say(`${token.name} is revoked`)
      if (state.status === 'active') state.tokens = state.tokens.filter((other) => other !== token)
      show()
      ;(items.querySelector(`[data-id="${CSS.escape(token.id)}"] h2`) ?? search).focus()
    })))
    return shown.length
  }

  function foot(...children) {
    footer.replaceChildren(...children)
  }

  async function load(more = false) {
    const { status } = state
    if (!more) Object.assign(state, { tokens: [], cursor: null })
    if (!more) items.replaceChildren()
    foot(h('p', { role: 'status' }, 'Loading…'))
    const loading = state.loading = list({ subject, status, cursor: state.cursor })
    try {
      const page = await loading
      // An answer to an older question.
      if (state.loading !== loading) return false
      state.tokens.push(...page.tokens)
      state.cursor = page.next_cursor
    } catch (refused) {
      if (state.loading === loading) {
        foot(h('p', { role: 'alert', class: 'wrong' }, refused.message), h('button', { class: 'plain', onclick: () => load(more) }, 'Try again'))
      }
      return false
    }
    const shown = show()
    if (!state.tokens.length) foot(empty(status, subject))
    else if (!shown && !state.cursor) foot(h('p', { role: 'status' }, `No token has “${state.search.trim()}” in its name.`))
    else if (state.cursor) foot(h('button', { class: 'plain', onclick: () => load(true) }, 'Show more'))
    else foot()
    return true
  }

  // A search is over all of them.
  async function searchAll() {
    const words = state.search
    const shown = show()
    while (state.search === words && words.trim() && state.cursor) if (!await load(true)) return
    if (state.search !== words) return
    if (!shown && !show() && state.tokens.length) foot(h('p', { role: 'status' }, `No token has “${words.trim()}” in its name.`))
    else if (!state.cursor && state.tokens.length) foot()
  }

  const filters = FILTERS.map(([value, label]) => h('label', {},
    h('input', { type: 'radio', name: 'status', value, checked: value === '', onchange: () => { state.status = value; load() } }), ' ', label))
  load()
  return [
    h('div', { class: 'title' },
      h('h1', { tabindex: '-1' }, subject ? ['Tokens of ', h('bdi', {}, subject)] : 'API Token Management'),
      h('a', { class: 'button', href: '#/tokens/new' }, 'Generate New Token')),
    current()?.isAdministrator ? whose(subject) : null,
    subject ? endOfAll(subject, () => load()) : null,
    h('div', { class: 'filters' },
      h('fieldset', { class: 'choice' }, h('legend', { class: 'hidden' }, 'Show tokens that are'), filters),
      h('div', { class: 'search' }, h('label', { for: search.id }, 'Search by name'), search)),
    items, footer,
  ].filter(Boolean)
}

function empty(status, subject) {
  if (subject) return h('p', { role: 'status' }, `${subject} has no ${status ? `${status} ` : ''}tokens.`)
  if (status) return h('p', { role: 'status' }, `You have no ${status} tokens.`)
  return h('div', { class: 'empty', role: 'status' },
    h('p', {}, 'You have no tokens yet. A token lets your package manager, your scripts or your CI use this registry in your name.'))
}
