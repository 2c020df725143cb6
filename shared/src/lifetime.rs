//! How long a deployment lets a token live, at its creation and at every use.

use crate::clock::Timestamp;

/// The most that `MAX_TOKEN_DAYS` can be: 100 years.
pub const MOST_DAYS: u32 = 36_500;

/// The deployment's bounds (`DEFAULT_TOKEN_DAYS` is the generator's own).
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// The longest life in days (`MAX_TOKEN_DAYS`).
    pub max_days: u32,
    /// Whether a token may never expire (`ALLOW_NO_EXPIRY`).
    pub allow_no_expiry: bool,
}

impl Lifetime {
    /// The widest bounds that a deployment can have.
    pub const WIDEST: Self = Self { max_days: MOST_DAYS, allow_no_expiry: true };

    /// The last moment at which a token made then may be valid: the end of the UTC day that is `max_days` ahead, so
    /// that the date that far ahead can be chosen at any hour.
    pub fn latest(&self, created_at: Timestamp) -> Timestamp {
        created_at.plus_days(self.max_days).end_of_day()
    }
}
