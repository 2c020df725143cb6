//! Ending tokens by their plaintext.

use crate::report::Leak;
use latchkey::clock::Timestamp;
use latchkey::credential;
use latchkey::record::{self, RevokedBy};
use latchkey::store::{Presented, Revocation, Store, StoreError};
use latchkey::token::{Prefix, Token};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

/// How many tokens of a report are ended at a time. At 10 ms each, a thousand are half a second of waiting, and at the CPU
/// share of 128 MB some 4 s in all, of the 25 s that the function has.
const AT_ONCE: usize = 20;

/// Ends tokens of this deployment.
pub struct Burner {
    store: Store,
    prefix: Prefix,
    retention_days: u32,
}

impl Burner {
    /// In this store.
    pub fn new(store: Store, prefix: Prefix, retention_days: u32) -> Self {
        Self { store, prefix, retention_days }
    }

    /// How its tokens begin.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The token that this text is, if it can be one of ours. What cannot is never looked for in the table.
    pub fn token(&self, text: &str) -> Option<Token> {
        credential::ours(text, &self.prefix)
    }

    /// Ends one token.
    pub async fn burn(
        &self,
        token: &Token,
        by: RevokedBy,
        leak_url: Option<&str>,
        now: Timestamp,
    ) -> Result<Presented, StoreError> {
        let presented =
            self.store.revoke_presented(token.id(), &token.hash(), &self.revocation(by, leak_url, now)).await?;
        log(token, by, presented);
        Ok(presented)
    }

    /// Ends every token of these that is ours; the texts of those that are or were, told only once all are ended. One
    /// that is there several times counts as found where it is named first.
    pub async fn burn_all<'a>(
        &self,
        leaks: Vec<Leak<'a>>,
        by: RevokedBy,
        now: Timestamp,
    ) -> Result<BTreeSet<&'a str>, StoreError> {
        let mut places = BTreeMap::new();
        for leak in leaks {
            places.entry(leak.text).or_insert(leak.place);
        }
        let mut waiting =
            places.into_iter().filter_map(|(text, place)| self.token(text).map(|token| (text, token, place)));
        let (mut ours, mut texts, mut under_way) = (BTreeSet::new(), vec![], JoinSet::new());
        loop {
            while under_way.len() < AT_ONCE
                && let Some((text, token, place)) = waiting.next()
            {
                let (store, revocation) = (self.store.clone(), self.revocation(by, place, now));
                let index = texts.len();
                texts.push(text);
                under_way.spawn(async move {
                    let presented = store.revoke_presented(token.id(), &token.hash(), &revocation).await;
                    (index, token, presented)
                });
            }
            let Some(done) = under_way.join_next().await else { return Ok(ours) };
            let (index, token, presented) =
                done.map_err(|_| StoreError::Unavailable("a revocation was broken off".into()))?;
            let presented = presented?;
            log(&token, by, presented);
            if presented != Presented::Unknown {
                ours.extend(texts.get(index));
            }
        }
    }

    fn revocation(&self, by: RevokedBy, leak_url: Option<&str>, now: Timestamp) -> Revocation {
        let purge_at = record::purge_at(now, self.retention_days);
        Revocation { at: now, by, purge_at, leak_url: leak_url.map(str::to_owned) }
    }
}

fn log(token: &Token, by: RevokedBy, presented: Presented) {
    if presented == Presented::Revoked {
        tracing::info!(token_id = %token.id(), by = by.word(), "revoked");
    }
}
