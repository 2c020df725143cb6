//! What a token is worth: the one decision that every way of using a token goes through.

use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::lifetime::Lifetime;
use crate::record::{Record, Secret, Status};
use crate::store::{Store, StoreError};
use crate::token::{Token, TokenHash};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Judges tokens by their records.
#[derive(Debug)]
pub struct Judge {
    store: Store,
    cache: Cache,
    lifetime: Lifetime,
}

/// What was found out about a token.
#[derive(Debug)]
pub enum Verdict {
    /// It matches no record.
    Unknown(Mismatch),
    /// It was rotated, and this secret's time is over.
    Retired(Arc<Record>),
    /// Its full secret matched. What it may do, if its status is active, is in the record.
    Known(Arc<Record>, Status),
}

/// Why a token matches no record: for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Nobody has its id.
    Id,
    /// Its id has another secret.
    Secret,
}

/// A verdict, and what it took.
#[derive(Debug)]
pub struct Judged {
    /// What was found out.
    pub verdict: Verdict,
    /// How long the table took; `None` if it was not asked.
    pub asked_for: Option<Duration>,
}

impl Judge {
    /// Reads from this store (DynamoDB action: `GetItem`).
    pub fn new(store: Store, cache: Cache, lifetime: Lifetime) -> Self {
        Self { store, cache, lifetime }
    }

    /// See [`Store::connect`].
    pub async fn connect(&self) -> Result<(), StoreError> {
        self.store.connect().await
    }

    /// The deployment's bounds.
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// What a token is worth now, whatever is asked for.
    pub async fn judge(&self, token: &Token, now: Timestamp) -> Result<Judged, StoreError> {
        if let Some(record) = self.cache.get(token.id(), now) {
            let verdict = self.verdict(record, token, now);
            // A secret that the record does not know may be one that the token has got since.
            if !matches!(verdict, Verdict::Unknown(_)) {
                return Ok(Judged { verdict, asked_for: None });
            }
        }
        let begin = Instant::now();
        let record = self.store.get(token.id()).await?.map(Arc::new);
        let asked_for = Some(begin.elapsed());
        let verdict = match record {
            Some(record) => {
                self.cache.put(Arc::clone(&record), now);
                self.verdict(record, token, now)
            }
            None => {
                // Without a record the comparison is made all the same.
                let _ = token.hash().matches(&TokenHash::NONE);
                Verdict::Unknown(Mismatch::Id)
            }
        };
        Ok(Judged { verdict, asked_for })
    }

    fn verdict(&self, record: Arc<Record>, token: &Token, now: Timestamp) -> Verdict {
        match (record.secret(&token.hash(), now), record.times.status(now, &self.lifetime)) {
            (Secret::Wrong, _) => Verdict::Unknown(Mismatch::Secret),
            (Secret::Retired, Status::Active) => Verdict::Retired(record),
            (_, status) => Verdict::Known(record, status),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
