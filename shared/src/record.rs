//! What is kept of a token.

use crate::clock::{DAY, Timestamp};
use crate::id::TokenId;
use crate::last_use::LastUse;
use crate::lifetime::Lifetime;
use crate::scope::Scopes;
use crate::source::SourceAddresses;
use crate::token::TokenHash;
use serde::Serialize;

/// The most earlier secrets that are remembered, so that their use is noticed.
pub const MAX_RETIRED: usize = 10;

/// A token's record. It never holds the token.
#[derive(Clone, Debug)]
pub struct Record {
    /// The public id, which is also where the record lies.
    pub id: TokenId,
    /// Whose token it is, in the words of their issuer.
    pub subject: String,
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// What it was before it was rotated.
    pub retired: Retired,
    /// What its owner calls it.
    pub name: String,
    /// What it grants.
    pub scopes: Scopes,
    /// From where.
    pub source_addresses: SourceAddresses,
    /// When it was made, ends and was revoked.
    pub times: Times,
    /// Who revoked it, if somebody did.
    pub revoked_by: Option<RevokedBy>,
    /// Where it was found, if it leaked and its finder said.
    pub leak_url: Option<String>,
    /// When it was last used, as far as is known.
    pub last_use: Option<LastUse>,
}

/// The secrets that a token had before.
#[derive(Clone, Debug, Default)]
pub struct Retired {
    /// SHA-256 of the tokens, newest first, at most [`MAX_RETIRED`].
    pub hashes: Vec<TokenHash>,
    /// The newest of them is good before this moment; all the others are not. So at most two secrets are ever good. A
    /// rotation without an overlap has its own second here.
    pub overlap_ends_at: Option<Timestamp>,
}

/// Which of a token's secrets one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The one that it has, or the one before within its overlap.
    Good,
    /// One that it had.
    Retired,
    /// None of its.
    Wrong,
}

impl Record {
    /// What this secret is to the token at this moment. Each comparison takes constant time.
    pub fn secret(&self, presented: &TokenHash, now: Timestamp) -> Secret {
        // An overlap that ended as it began was none: a clock that is set back must not make one of it.
        let overlaps = self.retired.overlap_ends_at.is_some_and(|end| now < end && self.times.rotated_at < Some(end));
        match self.retired.hashes.iter().position(|hash| hash.matches(presented)) {
            _ if self.hash.matches(presented) => Secret::Good,
            Some(0) if overlaps => Secret::Good,
            Some(_) => Secret::Retired,
            None => Secret::Wrong,
        }
    }

    /// The second from which on a secret that is good now is none any more: after the token's last second; or, of the
    /// secret before the `current` one, once its overlap ends. `None`: never.
    pub fn ends_before(&self, current: bool, lifetime: &Lifetime) -> Option<Timestamp> {
        let end = self.times.end(lifetime).map(|last| Timestamp::from_secs(last.as_secs().saturating_add(1)));
        let overlap = self.retired.overlap_ends_at.filter(|_| !current);
        end.into_iter().chain(overlap).min()
    }
}

/// Who revoked a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// Its owner.
    Owner,
    /// An administrator.
    Administrator,
    /// Whoever had the token, by the token itself.
    Token,
    /// Somebody who found it.
    Finder,
    /// GitHub's secret scanning.
    GitHub,
    /// GitLab's secret detection.
    GitLab,
}

impl RevokedBy {
    const WORDS: [(Self, &str); 6] = [
        (Self::Owner, "owner"),
        (Self::Administrator, "administrator"),
        (Self::Token, "token"),
        (Self::Finder, "finder"),
        (Self::GitHub, "github"),
        (Self::GitLab, "gitlab"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(by, _)| *by == self).map_or("", |(_, word)| word)
    }

    /// Whose word this is.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(by, _)| *by)
    }

    /// Whether it ended because somebody had it who should not.
    pub fn is_leak(self) -> bool {
        matches!(self, Self::Finder | Self::GitHub | Self::GitLab)
    }
}

/// The times that decide what a token is.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it got the secret that it has, if that is not its first.
    pub rotated_at: Option<Timestamp>,
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
        let latest = lifetime.latest(self.issued_at());
        match self.expires_at {
            None if lifetime.allow_no_expiry => None,
            None => Some(latest),
            Some(expires_at) => Some(expires_at.min(latest)),
        }
    }

    /// When the secret that it has was made: from then on its life is counted.
    pub fn issued_at(&self) -> Timestamp {
        self.rotated_at.unwrap_or(self.created_at)
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

/// A token as its owner sees it.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    id: TokenId,
    name: &'a str,
    subject: &'a str,
    scopes: &'a Scopes,
    source_addresses: &'a SourceAddresses,
    status: &'static str,
    created_at: Timestamp,
    rotated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<&'static str>,
    leak_url: Option<&'a str>,
    last_used: Option<&'a LastUse>,
}

impl<'a> Summary<'a> {
    /// `expires_at` is the end that holds under the deployment's bounds of today.
    pub fn of(record: &'a Record, now: Timestamp, lifetime: &Lifetime) -> Self {
        Self {
            id: record.id,
            name: &record.name,
            subject: &record.subject,
            scopes: &record.scopes,
            source_addresses: &record.source_addresses,
            status: record.times.status(now, lifetime).word(),
            created_at: record.times.created_at,
            rotated_at: record.times.rotated_at,
            expires_at: record.times.end(lifetime),
            revoked_at: record.times.revoked_at,
            revoked_by: record.revoked_by.map(RevokedBy::word),
            leak_url: record.leak_url.as_deref(),
            last_used: record.last_use.as_ref(),
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
        let times =
            Times { created_at, rotated_at: None, expires_at: expires_at.map(at), revoked_at: revoked_at.map(at) };
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
    fn the_longest_life_is_counted_in_days_and_never_leaves_the_calendar() {
        let latest = |made, max_days| Lifetime { max_days, ..YEAR }.latest(at(made)).to_string();
        assert_eq!(latest("2028-02-29T12:00:00Z", 365), "2029-02-28T23:59:59Z");
        assert_eq!(latest("2027-02-28T23:59:59Z", 366), "2028-02-29T23:59:59Z");
        assert_eq!(latest("2027-01-31T00:00:00Z", 1), "2027-02-01T23:59:59Z");
        assert_eq!(latest("2027-01-01T00:00:00Z", 36_500), "2126-12-08T23:59:59Z");
        assert_eq!(latest("9990-01-01T00:00:00Z", 36_500), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_record_is_kept_for_its_retention_and_never_beyond_the_calendar() {
        assert_eq!(purge_at(at("2028-01-30T23:59:59Z"), 30).to_string(), "2028-02-29T23:59:59Z");
        assert_eq!(purge_at(at("9999-12-31"), 36_500).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(purge_at(Timestamp::from_secs(i64::MAX), u32::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_clock_set_back_ends_no_end_that_somebody_willed() {
        let (made, later) = (at("2026-01-01T12:00:00Z"), Some("2026-06-01T12:00:00Z"));
        assert_eq!(of(None, later, made, &YEAR), "revoked", "in the future, by this clock");
        // Nor does a token that was made in the future live by another rule.
        assert_eq!(of(Some("2026-02-01"), None, at("2025-01-01T00:00:00Z"), &YEAR), "active");
    }

    #[test]
    fn a_token_without_end_lives_where_that_is_allowed() {
        let open = Lifetime { allow_no_expiry: true, ..YEAR };
        assert_eq!(of(None, None, at("2999-01-01"), &open), "active");
        assert_eq!(of(Some("2999-01-01"), None, at("2998-01-01"), &open), "expired");
    }
}
