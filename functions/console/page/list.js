// API Token Management: the list.

import { list, revoke } from './api.js'
import { ask, h, newId, say } from './dom.js'
import { fromNow, here, sentence, utc } from './words.js'

const FILTERS = [['', 'All'], ['active', 'Active'], ['expired', 'Expired'], ['revoked', 'Revoked']]

const time = (text) => h('time', { datetime: text, title: utc(new Date(text)) }, here(new Date(text)))

function ends(token) {
  if (token.revoked_at) return ['Revoked', [time(token.revoked_at)]]
  if (!token.expires_at) return ['Expires', ['never']]
  return [token.status === 'expired' ? 'Expired' : 'Expires', [time(token.expires_at), ` (${fromNow(new Date(token.expires_at))})`]]
}

/** One token; `gone` is called once it is revoked. */
function card(token, gone) {
  const heading = newId()
  const [ending, when] = ends(token)
  const facts = [
    ['Permissions', [sentence(token.scopes)]],
    ['Created', [time(token.created_at)]],
    [ending, when],
    ['Last used', [token.last_used_at ? fromNow(new Date(token.last_used_at)) : 'not known']],
    ['Id', [h('code', {}, token.id)]],
  ]
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
  return h('li', { class: 'card', 'data-id': token.id, 'data-status': token.status },
    h('h2', { id: heading, tabindex: '-1', dir: 'auto' }, token.name, ' '),
    h('span', { class: `status ${token.status}` }, token.status),
    h('dl', {}, facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))),
    wrong,
    h('div', { class: 'actions' },
      h('a', { class: 'button plain', href: `#/tokens/new?from=${encodeURIComponent(token.id)}`, 'aria-describedby': heading }, 'Make another like this'),
      token.status === 'active' ? end : null))
}

export function listView() {
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
    const loading = state.loading = list({ status, cursor: state.cursor })
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
    if (!state.tokens.length) foot(empty(status))
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
    h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, 'API Token Management'),
      h('a', { class: 'button', href: '#/tokens/new' }, 'Generate New Token')),
    h('div', { class: 'filters' },
      h('fieldset', { class: 'choice' }, h('legend', { class: 'hidden' }, 'Show tokens that are'), filters),
      h('div', { class: 'search' }, h('label', { for: search.id }, 'Search by name'), search)),
    items, footer,
  ]
}

function empty(status) {
  if (status) return h('p', { role: 'status' }, `You have no ${status} tokens.`)
  return h('div', { class: 'empty', role: 'status' },
    h('p', {}, 'You have no tokens yet. A token lets your package manager, your scripts or your CI use this registry in your name.'))
}
