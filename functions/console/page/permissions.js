// What a token may do: a row a path, with a box for reading and one for writing.

import { config, h, newId } from './dom.js'
import { parts, sentence } from './words.js'

/**
 * `ticked` are scopes. With `held`, the scopes that a token has, nothing can be ticked that it does not have, and there
 * are no paths but its own.
 */
export function permissions(ticked, held) {
  const body = h('div', { class: 'rows', role: 'group', 'aria-label': 'Permissions' })
  const rows = []
  const error = h('p', { class: 'wrong', id: newId(), role: 'alert' })
  const summary = h('p', { class: 'summary', 'aria-live': 'polite' })
  const has = (action, resource) => !held || held.some((scope) => scope === `write:${resource}` || scope === `${action}:${resource}`)

  function row(label, resource, custom) {
    const one = { read: false, write: false, resource }
    const name = custom
      ? h('input', { type: 'text', value: resource, placeholder: 'npm/@acme/*', 'aria-label': 'Path', spellcheck: 'false', autocapitalize: 'none', oninput: (event) => { one.resource = event.target.value.trim(); update() } })
      : h('span', { class: 'label' }, label === resource ? null : label, h('code', {}, resource))
    const box = (action, text) => h('label', {}, h('input', {
      type: 'checkbox', 'aria-label': `${text} ${label}`, disabled: !has(action, resource),
      onchange: (event) => { one[action] = event.target.checked; update() },
    }), ' ', text)
    one.boxes = { read: box('read', 'Read'), write: box('write', 'Write') }
    one.node = h('div', { class: 'permission' }, name, one.boxes.read, one.boxes.write,
      custom ? h('button', { type: 'button', class: 'plain', 'aria-label': `Remove path ${rows.length + 1}`, onclick: () => remove(one) }, 'Remove') : null)
    rows.push(one)
    body.append(one.node)
    return one
  }
  function remove(one) {
    rows.splice(rows.indexOf(one), 1)
    one.node.remove()
    update()
    add.focus()
    add.dispatchEvent(new Event('change', { bubbles: true }))
  }
  function set(one, action) {
    one[action] = true
    // What can be written can be narrowed to what can be read.
    if (held) one.read = true
    one.boxes[action].querySelector('input').checked = true
  }
  const resources = (scopes) => scopes.map((scope) => parts(scope).resource)
  for (const [label, resource] of config.resources) if (!held || resources(held).includes(resource)) row(label, resource, false)
  for (const resource of resources(held ?? [])) if (!rows.some((one) => one.resource === resource)) row(resource, resource, false)
  for (const scope of ticked) {
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
      read.disabled = one.write || !has('read', one.resource)
      read.checked = one.read || one.write
    }
    summary.textContent = sentence(value().filter((scope) => parts(scope).resource))
    error.textContent = ''
  }
  update()
  const hint = held ? 'A permission can be taken away, and never given back.' : 'Write includes read. A path may end in *, for everything below it.'
  const node = h('fieldset', {}, h('legend', {}, 'Permissions'), h('p', { class: 'hint' }, hint), body, held ? null : add, summary, error)
  return {
    name: 'scopes', node, value,
    wrong: (text) => { error.textContent = text },
    missing: () => value().length ? '' : 'Choose at least one permission.',
    focus: () => node.querySelector('input:not(:disabled)').focus(),
  }
}
