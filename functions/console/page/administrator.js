// What administrators have above the list: whose tokens it shows, and the end of all of them. The page shows or hides;
// the service decides.

import { revokeAll } from './api.js'
import { ask, h, newId } from './dom.js'
import { listOf } from './session.js'

/** Whose tokens the list shows. */
export function whose(subject = '') {
  const input = h('input', { type: 'search', id: newId(), value: subject, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
  const hint = h('p', { class: 'hint', id: newId() }, 'A subject of your issuer’s, or service:NAME; your own if empty.')
  input.setAttribute('aria-describedby', hint.id)
  return h('form', {
    class: 'search whose', role: 'search', 'aria-label': 'Tokens of',
    onsubmit: (event) => {
      event.preventDefault()
      location.hash = listOf(input.value.trim() || undefined)
    },
  }, h('label', { for: input.id }, 'Tokens of'), h('div', { class: 'row' }, input, h('button', { class: 'plain' }, 'Show')), hint)
}

/** Ends all that somebody has; `gone` is called after each step of it. */
export function endOfAll(subject, gone) {
  const said = h('p', { role: 'status' })
  const button = h('button', {
    type: 'button', class: 'danger',
    onclick: async () => {
      const text = `Clients that use any of them are refused from their next request on. This cannot be undone.`
      if (!await ask(`Revoke all of ${subject}’s tokens?`, text, 'Revoke all', 'Keep them')) return button.focus()
      button.disabled = true
      let sum = 0, answer
      const counted = () => sum === 1 ? '1 token is revoked' : `${sum} tokens are revoked`
      try {
        do {
          answer = await revokeAll(subject)
          sum += answer.revoked
          said.className = ''
          said.textContent = `${counted()}${answer.complete ? '.' : '; going on…'}`
        } while (!answer.complete)
      } catch (refused) {
        said.className = 'wrong'
        said.textContent = `${sum ? `${counted()}, then: ` : ''}${refused.message}`
      }
      button.disabled = false
      button.focus()
      if (sum) gone()
    },
  }, `Revoke all of ${subject}’s tokens`)
  return h('div', { class: 'row' }, button, said)
}
