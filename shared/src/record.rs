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
    /// When it was made.
    pub created_at: Timestamp,
    /// The last second in which it is valid; `None`: no end was set.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, as far as is known.
    pub last_used_at: Option<Timestamp>,
}

/// What a token is at some moment. Always derived from the record's times, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It can be used.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked, whether or not its time is over by now.
    Revoked,
}

impl Record {
    /// What the token is at this moment.
    pub fn status(&self, now: Timestamp, lifetime: &Lifetime) -> Status {
        status(self.created_at, self.expires_at, self.revoked_at, now, lifetime)
    }
}

/// What a token with these times is at this moment. The second of its end is its last valid one.
pub fn status(
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    now: Timestamp,
    lifetime: &Lifetime,
) -> Status {
    let end = lifetime.end(created_at, expires_at);
    if revoked_at.is_some() {
        Status::Revoked
    } else if end.is_some_and(|end| now.as_secs() > end.as_secs()) {
        Status::Expired
    } else {
        Status::Active
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
    status: Status,
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
            status: record.status(now, lifetime),
            created_at: record.created_at,
            expires_at: lifetime.end(record.created_at, record.expires_at),
            revoked_at: record.revoked_at,
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

    fn of(expires_at: Option<&str>, revoked_at: Option<&str>, now: &str, lifetime: &Lifetime) -> Status {
        status(at("2026-01-01T12:00:00Z"), expires_at.map(at), revoked_at.map(at), at(now), lifetime)
    }

    #[test]
    fn the_second_of_its_end_is_a_tokens_last_valid_one() {
        assert_eq!(of(Some("2026-02-01"), None, "2026-02-01T23:59:59Z", &YEAR), Status::Active);
        assert_eq!(of(Some("2026-02-01"), None, "2026-02-02T00:00:00Z", &YEAR), Status::Expired);
        let within = Timestamp::from_millis(at("2026-02-01").as_secs() * 1000 + 999);
        assert_eq!(status(within, Some(at("2026-02-01")), None, within, &YEAR), Status::Active);
    }

    #[test]
    fn revoked_beats_expired() {
        assert_eq!(of(Some("2026-02-01"), Some("2026-01-02"), "2026-03-01", &YEAR), Status::Revoked);
    }

    #[test]
    fn the_longest_life_holds_at_use_whatever_the_record_says() {
        let week = Lifetime { max_days: 7, ..YEAR };
        assert_eq!(of(Some("2026-12-01"), None, "2026-01-08T23:59:59Z", &week), Status::Active);
        assert_eq!(of(Some("2026-12-01"), None, "2026-01-09T00:00:00Z", &week), Status::Expired);
        assert_eq!(of(None, None, "2026-01-09T00:00:00Z", &week), Status::Expired);
    }

    #[test]
    fn a_token_without_end_lives_where_that_is_allowed() {
        let open = Lifetime { allow_no_expiry: true, ..YEAR };
        assert_eq!(of(None, None, "2999-01-01", &open), Status::Active);
        assert_eq!(of(Some("2999-01-01"), None, "2998-01-01", &open), Status::Expired);
    }
}
