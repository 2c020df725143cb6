// A field of a form: its label, its control, a hint, and beside it what is wrong with it.

import { h, newId } from './dom.js'

/** `name` is what the service calls it. */
export function field(name, label, control, hint, extra) {
  control.id = newId()
  const error = h('p', { class: 'wrong', id: newId(), role: 'alert' })
  const note = h('p', { class: 'hint', id: newId() }, hint)
  control.setAttribute('aria-describedby', `${note.id} ${error.id}`)
  function wrong(text) {
    error.textContent = text
    if (text) control.setAttribute('aria-invalid', 'true')
    else control.removeAttribute('aria-invalid')
  }
  const node = h('div', { class: 'field', oninput: () => wrong(''), onchange: () => wrong('') }, h('label', { for: control.id }, label), control, extra ?? null, note, error)
  return { name, node, note, wrong, value: () => control.value.trim(), missing: () => '', focus: () => control.focus() }
}

/** The name of a token. */
export function nameField(initial) {
  const input = h('input', { type: 'text', value: initial, maxlength: '100', required: true, autocomplete: 'off', dir: 'auto' })
  const name = field('name', 'Name', input, 'So that you know it again: “laptop”, “CI of the website”. Up to 100 characters.')
  return { ...name, missing: () => name.value() ? '' : 'Give it a name.' }
}
