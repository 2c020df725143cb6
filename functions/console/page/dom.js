// Building the page. Everything that comes from outside becomes text: nothing here parses HTML.

export const config = JSON.parse(document.querySelector('meta[name=config]').content)

/**
 * An element. Properties that begin with `on` are listeners, `true` and `false` set and leave out attributes, and
 * children are elements, text, or null for none.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'value') element.value = value
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value != null) element.setAttribute(name, value)
  }
  element.append(...children.flat().filter((child) => child != null))
  return element
}

/** Has a screen reader say something. */
export function say(text) {
  const said = document.getElementById('said')
  said.textContent = ''
  setTimeout(() => { said.textContent = text }, 50)
}

let ids = 0
/** An id for elements that name each other. */
export const newId = () => `i${++ids}`

/** Asks in a dialog; resolves to whether the answer was yes. */
export function ask(title, text, yes, no) {
  return new Promise((resolve) => {
    const [heading, description] = [newId(), newId()]
    const dialog = h('dialog', { 'aria-labelledby': heading, 'aria-describedby': description },
      h('h2', { id: heading }, title),
      h('p', { id: description }, text),
      h('form', { method: 'dialog', class: 'actions' },
        h('button', { value: 'no', class: 'plain' }, no),
        h('button', { value: 'yes', class: 'danger' }, yes)))
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes')
      dialog.remove()
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/** Copies text, or, where the browser does not allow that, marks it to be copied by hand. */
export async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text)
    say('Copied')
    return true
  } catch {
    getSelection().selectAllChildren(element)
    say('Press Control and C to copy')
    return false
  }
}
