// From where a token may be used.

import { h } from './dom.js'
import { field } from './field.js'

export function addresses(initial) {
  const text = h('textarea', { rows: '2', spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off', value: initial.join('\n') })
  const of = field('source_addresses', 'Only from these addresses', text,
    'Addresses or blocks such as 203.0.113.0/24 or 2001:db8::/32, one a line or apart by commas; anywhere if empty.')
  return { ...of, value: () => text.value.split(/[\s,;]+/).filter(Boolean) }
}
