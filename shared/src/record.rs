//! What is kept of a token.

use crate::clock::{DAY, Timestamp};
use crate::id::TokenId;
use crate::lifetime::Lifetime;
use crate::scope::Scopes;
use crate::token::TokenHash;
use serde::Serialize;

/// A token's record. It never holds the token.
#[derive(Clone, Debug)]
pub struct Record {
    /// The public id, which is also where the record lies.
    pub id: TokenId,
    /// Whose token it is, in the words of their issuer.
    pub subject: String,
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// What its owner calls it.
    pub name: String,
    /// What it grants.
    pub scopes: Scopes,
    /// When it was made, ends and was revoked.
    pub times: Times,
    /// When it was last used, as far as is known.
    pub last_used_at: Option<Timestamp>,
}

/// The times that decide what a token is.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was made.
    pub created_at: Timestamp,
    /// The last second in which it is valid, as its maker set it; `None`: no end was set.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// What a token is at some moment. Always derived from its times, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can be used.
    Active,
    /// Its time is over since then.
    Expired(Timestamp),
    /// It was revoked then, whether or not its time is over by now.
    Revoked(Timestamp),
}

impl Status {
    /// The words for it.
    pub const WORDS: [&str; 3] = ["active", "expired", "revoked"];

    /// The word for it.
    pub fn word(self) -> &'static str {
        let [active, expired, revoked] = Self::WORDS;
        match self {
            Self::Active => active,
            Self::Expired(_) => expired,
            Self::Revoked(_) => revoked,
        }
    }
}

impl Times {
    /// The token's last valid second under the deployment's bounds of today: one that shortens them shortens the life
    /// of the tokens that exist. `None`: it never expires.
    pub fn end(&self, lifetime: &Lifetime) -> Option<Timestamp> {
        match self.expires_at {
            None if lifetime.allow_no_expiry => None,
            None => Some(lifetime.latest(self.created_at)),
            Some(expires_at) => Some(expires_at.min(lifetime.latest(self.created_at))),
        }
    }

    /// What the token is at this moment. Whole seconds count.
    pub fn status(&self, now: Timestamp, lifetime: &Lifetime) -> Status {
        match (self.revoked_at, self.end(lifetime)) {
            (Some(at), _) => Status::Revoked(at),
            (None, Some(end)) if now.as_secs() > end.as_secs() => Status::Expired(end),
            _ => Status::Active,
        }
    }
}

/// When DynamoDB may delete the record of a token that ended then: `RETENTION_DAYS` later, so that its owner still
/// sees for a while what has ended.
pub fn purge_at(ended_at: Timestamp, retention_days: u32) -> Timestamp {
    Timestamp::from_secs(ended_at.as_secs().saturating_add(i64::from(retention_days) * DAY))
}

/// A token as its owner sees it in a list.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    id: TokenId,
    name: &'a str,
    scopes: &'a Scopes,
    status: &'static str,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl<'a> Summary<'a> {
    /// `expires_at` is the end that holds under the deployment's bounds of today.
    pub fn of(record: &'a Record, now: Timestamp, lifetime: &Lifetime) -> Self {
        Self {
            id: record.id,
            name: &record.name,
            scopes: &record.scopes,
            status: record.times.status(now, lifetime).word(),
            created_at: record.times.created_at,
            expires_at: record.times.end(lifetime),
            revoked_at: record.times.revoked_at,
            last_used_at: record.last_used_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Lifetime = Lifetime { max_days: 365, allow_no_expiry: false };

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or(Timestamp::from_secs(0))
    }

    /// The word for a token made on the first of January 2026.
    fn of(expires_at: Option<&str>, revoked_at: Option<&str>, now: Timestamp, lifetime: &Lifetime) -> &'static str {
        let created_at = at("2026-01-01T12:00:00Z");
        let times = Times { created_at, expires_at: expires_at.map(at), revoked_at: revoked_at.map(at) };
        times.status(now, lifetime).word()
    }

    #[test]
    fn the_second_of_its_end_is_a_tokens_last_valid_one() {
        let within = Timestamp::from_millis(at("2026-02-01").as_secs() * 1000 + 999);
        assert_eq!(of(Some("2026-02-01"), None, within, &YEAR), "active");
        assert_eq!(of(Some("2026-02-01"), None, at("2026-02-02T00:00:00Z"), &YEAR), "expired");
    }

    #[test]
    fn revoked_beats_expired() {
        assert_eq!(of(Some("2026-02-01"), Some("2026-01-02"), at("2026-03-01"), &YEAR), "revoked");
    }

    #[test]
    fn the_longest_life_holds_at_use_whatever_the_record_says() {
        let week = Lifetime { max_days: 7, ..YEAR };
        assert_eq!(of(Some("2026-12-01"), None, at("2026-01-08T23:59:59Z"), &week), "active");
        assert_eq!(of(Some("2026-12-01"), None, at("2026-01-09T00:00:00Z"), &week), "expired");
        assert_eq!(of(None, None, at("2026-01-09T00:00:00Z"), &week), "expired");
    }

    #[test]
    fn a_token_without_end_lives_where_that_is_allowed() {
        let open = Lifetime { allow_no_expiry: true, ..YEAR };
        assert_eq!(of(None, None, at("2999-01-01"), &open), "active");
        assert_eq!(of(Some("2999-01-01"), None, at("2998-01-01"), &open), "expired");
    }
}
