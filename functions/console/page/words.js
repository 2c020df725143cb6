// Times and permissions in words.

const DAY = 86_400_000
const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** `2027-01-05 12:00 UTC` */
export const utc = (date) => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
/** In this browser's time and language. */
export const here = (date) => local.format(date)

/** `in 5 days`, `2 hours ago` */
export function fromNow(date, now = Date.now()) {
  const difference = date - now
  const [unit, length] = [['day', DAY], ['hour', 3_600_000], ['minute', 60_000]]
    .find(([, length]) => Math.abs(difference) >= length) ?? ['minute', 60_000]
  // Whole units that are left; what was chosen as 90 days says so a moment later, too.
  return relative.format(Math.trunc(difference / length + Math.sign(difference) * 0.1), unit)
}

/** The date so many days from now, as the service counts days: `2027-01-05`. */
export const dateIn = (days, now = Date.now()) => new Date(now + days * DAY).toISOString().slice(0, 10)
/** The last second of a date. */
export const endOf = (date) => new Date(`${date}T23:59:59Z`)

/** A scope in its parts. */
export function parts(scope) {
  const [action, resource = '*'] = scope.split(/:(.*)/s)
  return { action, resource }
}

function where(resources, exactly, below) {
  if (resources.includes('*')) return `${exactly} everything`
  const open = resources.filter((resource) => resource.endsWith('*')).map((resource) => resource.slice(0, -1))
  const exact = resources.filter((resource) => !resource.endsWith('*'))
  const lists = [open.length && `${below} ${and(open)}`, exact.length && `${exactly} ${and(exact)}`]
  return lists.filter(Boolean).join(' and ')
}

const and = (list) => new Intl.ListFormat('en').format(list)

/** What a choice of scopes allows: `May read everything, and publish under npm/@acme/.` */
export function sentence(scopes) {
  const of = (action) => scopes.map(parts).filter((scope) => scope.action === action).map((scope) => scope.resource)
  const writes = of('write')
  const reads = of('read').filter((resource) => !writes.includes(resource))
  if (!writes.length && !reads.length) return 'May do nothing yet: choose at least one permission.'
  if (writes.includes('*')) return 'May read and publish everything.'
  const reading = reads.length && where(reads, 'read', 'read under')
  const writing = writes.length && where(writes, reads.length ? 'publish' : 'read and publish', reads.length ? 'publish under' : 'read and publish under')
  return `May ${[reading, writing].filter(Boolean).join(', and ')}.`
}
