// The date on which a token ends.

import { config, h, newId } from './dom.js'
import { field } from './field.js'
import { dateIn, endOf, fromNow, here, utc } from './words.js'

const PRESETS = [7, 30, 60, 90]

/** `Valid until 5 Jan 2027, 12:00 your time, 2027-01-05 12:00 UTC (in 5 days).` */
export const validUntil = (moment) =>
  moment ? `Valid until ${here(moment)} your time, ${utc(moment)} (${fromNow(moment)}).` : 'It stays valid until it is revoked.'

/**
 * `initial` is a date, null for never, undefined for what is usual: the deployment's default, or, where there is one,
 * what a `standing` choice (`{label, end}`) leaves to the service: its value is undefined. `latest` is the last date
 * that can be chosen.
 */
export function expiry({ initial, standing, latest = dateIn(config.maxDays), limit = `At most ${config.maxDays} days: ${latest}.`, never = config.allowNoExpiry }) {
  const days = [...new Set([...PRESETS, config.defaultDays])].filter((n) => n <= config.maxDays && dateIn(n) <= latest).sort((a, b) => a - b)
  const select = h('select', {},
    standing ? h('option', { value: 'standing' }, standing.label) : null,
    days.map((n) => h('option', { value: n }, `${n} days`)),
    latest >= dateIn(0) ? h('option', { value: 'custom' }, 'Custom date') : null,
    never ? h('option', { value: 'never' }, 'No expiry') : null)
  const date = h('input', { type: 'date', id: newId(), 'aria-label': 'Custom date', min: dateIn(0), max: latest })
  const of = field('expires_at', 'Expiry date', select, '', date)
  select.value = standing ? 'standing' : config.defaultDays
  if (initial === null && never) select.value = 'never'
  else if (initial) [select.value, date.value] = ['custom', initial]
  const values = { standing: () => undefined, never: () => null, custom: () => date.value }
  const value = () => (values[select.value] ?? (() => dateIn(Number(select.value))))()
  function show() {
    date.hidden = select.value !== 'custom'
    const moment = select.value === 'standing' ? standing.end : value() && endOf(value())
    if (moment === '' || isNaN(moment)) of.note.textContent = `Choose a date. ${limit}`
    else of.note.textContent = moment ? `${validUntil(moment)} ${limit}` : validUntil(null)
  }
  select.addEventListener('change', show)
  date.addEventListener('input', show)
  show()
  return { ...of, value, missing: () => select.value === 'custom' && !date.value ? 'Choose a date.' : '' }
}
