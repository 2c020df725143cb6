// What is typed into a form survives signing in again, in this tab. It holds no secret.

const DRAFT = 'latchkey.draft'

export const draft = {
  keep: (wish) => sessionStorage.setItem(DRAFT, JSON.stringify({ of: location.hash, wish })),
  take() {
    const kept = JSON.parse(sessionStorage.getItem(DRAFT) ?? 'null')
    sessionStorage.removeItem(DRAFT)
    // Of the same form: one that makes another token like some other is a new beginning.
    return kept?.of === location.hash ? kept.wish : null
  },
}
