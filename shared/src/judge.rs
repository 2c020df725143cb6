//! What a token is worth: the one decision that every way of using a token goes through.

use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::lifetime::Lifetime;
use crate::record::{Record, Status};
use crate::store::{Store, StoreError};
use crate::token::{Token, TokenHash};
use std::sync::Arc;

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
    /// It matches no record; why, for the log alone.
    Unknown(&'static str),
    /// Its full secret matched. What it may do, if its status is active, is in the record.
    Known(Arc<Record>, Status),
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
    pub async fn judge(&self, token: &Token, now: Timestamp) -> Result<Verdict, StoreError> {
        let record = self.record(token, now).await?;
        // Without a record the comparison is made all the same.
        let kept = record.as_ref().map_or(TokenHash::NONE, |record| record.hash);
        let matches = token.hash().matches(&kept);
        Ok(match record {
            None => Verdict::Unknown("unknown token"),
            Some(_) if !matches => Verdict::Unknown("wrong secret"),
            Some(record) => {
                let status = record.times.status(now, &self.lifetime);
                Verdict::Known(record, status)
            }
        })
    }

    async fn record(&self, token: &Token, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        if let Some(record) = self.cache.get(token.id(), now) {
            return Ok(Some(record));
        }
        let record = self.store.get(token.id()).await?.map(Arc::new);
        if let Some(record) = &record {
            self.cache.put(record.clone(), now);
        }
        Ok(record)
    }
}
