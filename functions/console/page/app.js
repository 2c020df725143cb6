// The frame: who is signed in, which view is shown, and what stands above it.

import { find } from './api.js'
import { changeView } from './change.js'
import { createdView } from './created.js'
import { ask, config, h, newId, say } from './dom.js'
import { generateView } from './generate.js'
import { listView } from './list.js'
import { rotateView } from './rotate.js'
import * as session from './session.js'

const header = document.querySelector('header')
const notice = document.getElementById('notice')
const main = document.getElementById('main')
/** Whether the view that is shown may be left without asking. */
let mayLeave = () => true
let shownHash = ''

function menu(name) {
  const id = newId()
  const items = h('ul', { id, class: 'menu', hidden: true },
    h('li', {}, h('a', { href: '#/profile' }, 'My Profile')),
    h('li', {}, h('a', { href: '#/tokens' }, 'API Token Management')),
    h('li', {}, h('button', { type: 'button', class: 'plain', onclick: () => session.signOut() }, 'Sign out')))
  const button = h('button', { type: 'button', class: 'plain', 'aria-expanded': 'false', 'aria-controls': id, onclick: () => toggle(items.hidden) },
    h('span', { class: 'name', dir: 'auto' }, name), h('span', { 'aria-hidden': 'true' }, ' ▾'))
  function toggle(open) {
    items.hidden = !open
    button.setAttribute('aria-expanded', open)
  }
  const node = h('div', {
    class: 'person',
    onkeydown: (event) => { if (event.key === 'Escape' && !items.hidden) { toggle(false); button.focus() } },
    onfocusout: (event) => { if (event.relatedTarget && !node.contains(event.relatedTarget)) toggle(false) },
  }, button, items)
  items.addEventListener('click', () => toggle(false))
  document.addEventListener('click', (event) => { if (!node.contains(event.target)) toggle(false) })
  return node
}

function frame() {
  const person = session.current()
  header.replaceChildren(
    h('a', { href: '#/tokens', class: 'brand' }, config.logo ? h('img', { src: config.logo, alt: '', height: '24' }) : null, config.title),
    person ? menu(person.name) : '')
}

const signInButton = (text) => h('button', {
  type: 'button',
  onclick: async (event) => {
    const button = event.target
    button.disabled = true
    try {
      await session.signIn(location.hash)
    } catch (error) {
      button.disabled = false
      button.after(h('p', { role: 'alert', class: 'wrong' }, `The sign-in cannot be reached (${error.message}). Try again in a moment.`))
    }
  },
}, text)

const welcome = (failure) => [
  h('h1', { tabindex: '-1' }, config.title),
  h('p', {}, 'Sign in to make and manage your API tokens.'),
  failure ? h('p', { role: 'alert', class: 'wrong' }, `You are not signed in: ${failure}.`) : null,
  signInButton('Sign in'),
].filter(Boolean)

const profile = () => [
  h('h1', { tabindex: '-1' }, 'My Profile'),
  h('p', {}, 'Signed in as ', h('strong', { dir: 'auto' }, session.current()?.name ?? '')),
  h('ul', { class: 'cards' }, h('li', { class: 'card' },
    h('h2', {}, h('a', { href: '#/tokens' }, 'API Token Management')),
    h('p', {}, 'Tokens let your package manager, your scripts and your CI use this registry in your name.'))),
]

function show(nodes, focus = true) {
  main.replaceChildren(...nodes)
  const heading = main.querySelector('h1')
  document.title = heading.textContent === config.title ? config.title : `${heading.textContent} · ${config.title}`
  scrollTo(0, 0)
  if (focus) heading.focus({ preventScroll: true })
}

/** A view of one active token, or why there is none. */
async function ofToken(id, view, done) {
  let reason
  try {
    const token = await find(decodeURIComponent(id))
    if (token.status === 'active') return view(token, done)
    reason = `“${token.name}” is ${token.status}: it can be neither rotated nor changed.`
  } catch (refused) {
    reason = refused.message
  }
  return [h('h1', { tabindex: '-1' }, 'API Token Management'), h('p', { role: 'alert', class: 'wrong' }, reason),
    h('p', {}, h('a', { class: 'button plain', href: '#/tokens' }, 'To your tokens'))]
}

function viewOf(path, query) {
  const [, id, what] = path.match(/^\/tokens\/([^/]+)\/(rotate|change)$/) ?? []
  if (what === 'rotate') return ofToken(id, rotateView, shownOnce)
  if (what === 'change') return ofToken(id, changeView, changed)
  if (path === '/tokens/new') return generateView(query, shownOnce)
  if (path === '/profile') return profile()
  return listView(session.current().isAdministrator ? query.get('subject') : null)
}

async function route(first) {
  const [path, query] = location.hash.slice(1).split(/\?(.*)/s)
  const hash = location.hash
  mayLeave = () => true
  shownHash = hash
  notice.replaceChildren()
  if (!session.current()) return show(welcome(), !first)
  const view = await viewOf(path, new URLSearchParams(query))
  if (shownHash === hash) show(view, !first)
}

function shownOnce(made, back) {
  const { view, mayLeave: may } = createdView(made, back)
  mayLeave = may
  show(view)
  say(`${made.rotated_at ? 'The new secret' : 'Your token'} is made. Copy it now: it is shown this once.`)
}

function changed(token, back) {
  location.hash = back
  say(`${token.name} is changed`)
}

addEventListener('hashchange', async () => {
  // A link within the page, such as the one that skips to the content.
  if (location.hash && !location.hash.startsWith('#/')) return
  if (mayLeave()) return route()
  const wanted = location.hash
  history.replaceState(null, '', shownHash)
  if (await ask('Leave without the token?', 'You have not copied it, and it is not shown again.', 'Leave', 'Stay')) {
    mayLeave = () => true
    history.replaceState(null, '', wanted)
    route()
  }
})

addEventListener('beforeunload', (event) => { if (!mayLeave()) event.preventDefault() })

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault()
  main.focus()
})

session.onChange(() => {
  frame()
  if (session.current()) return
  // What is on the page stays as it is: a half-filled form, or a token that nobody has copied yet.
  notice.replaceChildren(h('div', { class: 'notice', role: 'alert' },
    h('p', {}, 'Your session has ended. Sign in again to go on; what you typed is kept.'), signInButton('Sign in again')))
})

try {
  await session.resume()
  frame()
  await route(true)
} catch (error) {
  frame()
  show(welcome(error.message))
}
