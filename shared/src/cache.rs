//! Records kept for `CACHE_SECONDS` in a function instance's memory.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::record::Record;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

/// The most records kept: some 1 KB each, so that they stay small beside the 128 MB of the smallest function.
const MOST: usize = 10_000;

/// Records by token id, each with the moment it was read. Only what exists is kept: a new token works at once.
#[derive(Debug)]
pub struct Cache {
    seconds: u32,
    records: Mutex<HashMap<TokenId, (Timestamp, Arc<Record>)>>,
}

impl Cache {
    /// Keeps records for so many seconds; 0 keeps none.
    pub fn new(seconds: u32) -> Self {
        Self { seconds, records: Mutex::default() }
    }

    /// A record that was read at most `CACHE_SECONDS` ago.
    pub fn get(&self, id: TokenId, now: Timestamp) -> Option<Arc<Record>> {
        if self.seconds == 0 {
            return None;
        }
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(&id).filter(|(read_at, _)| self.is_fresh(*read_at, now)).map(|(_, record)| record.clone())
    }

    /// Keeps a record that was asked for at this moment.
    pub fn put(&self, record: Arc<Record>, now: Timestamp) {
        if self.seconds == 0 {
            return;
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= MOST {
            records.retain(|_, (read_at, _)| self.is_fresh(*read_at, now));
        }
        if records.len() >= MOST {
            records.clear();
        }
        records.insert(record.id, (now, record));
    }

    /// A clock that was set back makes nothing fresh.
    fn is_fresh(&self, read_at: Timestamp, now: Timestamp) -> bool {
        let age = i128::from(now.as_millis()) - i128::from(read_at.as_millis());
        (0..i128::from(self.seconds) * 1000).contains(&age)
    }
}
