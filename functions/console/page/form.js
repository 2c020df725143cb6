// A form: its fields, the button that sends it, and what the service says to it.

import { draft } from './draft.js'
import { h } from './dom.js'

/**
 * `send` is given what each field holds, by the service's names, and `done` the service's answer. What the service
 * refuses is said beside the field that it names, or beside the button. `back` is where Cancel leads.
 */
export function form({ fields, label, send, done, back, failed = '' }) {
  const failure = h('div', { role: 'alert', class: 'wrong' }, failed)
  const submit = h('button', { type: 'submit' }, label)
  const wish = () => Object.fromEntries(fields.map((field) => [field.name, field.value()]))
  const keep = () => draft.keep(wish())

  /** Says of each field what is wrong with it, and goes to the first. */
  function point(of) {
    const wrong = fields.filter((field) => {
      const text = of(field)
      field.wrong(text)
      return text
    })
    wrong[0]?.focus()
    return wrong.length > 0
  }

  function refused({ status, message, errors = [] }) {
    const words = ({ allowed, given }) => `${given ? `“${given}” is not possible: ` : ''}${allowed}.`
    const name = (error) => error.field.replace(/\[.*/, '')
    const pointed = point((field) => errors.filter((error) => name(error) === field.name).map(words).join(' '))
    const rest = errors.filter((error) => !fields.some((field) => field.name === name(error))).map(words)
    if (status === 409 || !pointed || rest.length) failure.append([message, ...rest].join(' '))
    if (status === 409) failure.append(' ', h('a', { href: back }, 'To the list'))
    if (!pointed) submit.focus()
  }

  return h('form', {
    novalidate: true, class: 'form', oninput: keep, onchange: keep,
    onsubmit: async (event) => {
      event.preventDefault()
      failure.replaceChildren()
      if (point((field) => field.missing())) return
      submit.disabled = true
      try {
        const answer = await send(wish())
        draft.take()
        done(answer)
      } catch (error) {
        submit.disabled = false
        refused(error)
      }
    },
  }, fields.map((field) => field.node), failure,
  h('div', { class: 'actions' }, h('a', { class: 'button plain', href: back, onclick: () => draft.take() }, 'Cancel'), submit))
}
