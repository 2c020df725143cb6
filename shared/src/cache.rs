//! Records kept for `CACHE_SECONDS` in a function instance's memory.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::record::Record;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes kept, so that they stay small beside the 128 MB of the smallest function: some 12,000 usual records, or
/// 400 of the largest.
const MOST: usize = 24 << 20;

/// Records by token id, each with the moment it was read. Only what exists is kept: a new token works at once.
#[derive(Debug)]
pub struct Cache {
    seconds: u32,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    records: HashMap<TokenId, (Timestamp, Arc<Record>)>,
    /// What the records take.
    bytes: usize,
    /// The latest moment that was seen.
    latest: Option<Timestamp>,
}

impl Cache {
    /// Keeps records for so many seconds; 0 keeps none.
    pub fn new(seconds: u32) -> Self {
        Self { seconds, kept: Mutex::default() }
    }

    /// A record that was read at most `CACHE_SECONDS` ago.
    pub fn get(&self, id: TokenId, now: Timestamp) -> Option<Arc<Record>> {
        if self.seconds == 0 {
            return None;
        }
        let kept = self.kept(now);
        kept.records.get(&id).filter(|(read_at, _)| self.is_fresh(*read_at, now)).map(|(_, record)| record.clone())
    }

    /// Keeps a record that was asked for at this moment.
    pub fn put(&self, record: Arc<Record>, now: Timestamp) {
        if self.seconds == 0 {
            return;
        }
        let mut kept = self.kept(now);
        if kept.bytes >= MOST {
            kept.records.retain(|_, (read_at, _)| self.is_fresh(*read_at, now));
            kept.bytes = kept.records.values().map(|(_, record)| size(record)).sum();
        }
        if kept.bytes >= MOST {
            kept.clear();
        }
        kept.bytes += size(&record);
        if let Some((_, before)) = kept.records.insert(record.id, (now, record)) {
            kept.bytes -= size(&before);
        }
    }

    /// What is kept. A clock that was set back cannot tell how old that is, so all of it goes. (An instance on Lambda
    /// answers one request at a time, so that its moments come in order.)
    fn kept(&self, now: Timestamp) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.latest > Some(now) {
            kept.clear();
        }
        kept.latest = Some(now);
        kept
    }

    fn is_fresh(&self, read_at: Timestamp, now: Timestamp) -> bool {
        let age = i128::from(now.as_millis()) - i128::from(read_at.as_millis());
        (0..i128::from(self.seconds) * 1000).contains(&age)
    }
}

impl Kept {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

/// What a record takes in memory, or a little more: a scope is kept as its resource, and as up to four pieces of
/// patterns.
fn size(record: &Record) -> usize {
    let scopes = record.scopes.iter().map(|scope| 200 + 5 * scope.resource.as_str().len());
    1000 + record.name.len() + record.subject.len() + scopes.sum::<usize>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::OwnerKey;
    use crate::record::{Retired, Times};
    use crate::scope::Scopes;
    use crate::source::SourceAddresses;
    use crate::token::TokenHash;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn record() -> Arc<Record> {
        Arc::new(Record {
            id: TokenId::new(OwnerKey::of("https://issuer.example", "alice"), at(0), 0),
            subject: "alice".into(),
            hash: TokenHash::NONE,
            retired: Retired::default(),
            name: "ci".into(),
            scopes: Scopes::new(["read".parse().unwrap()]).unwrap(),
            source_addresses: SourceAddresses::default(),
            times: Times { created_at: at(0), rotated_at: None, expires_at: None, revoked_at: None },
            revoked_by: None,
            leak_url: None,
            last_use: None,
        })
    }

    #[test]
    fn a_record_is_fresh_for_its_seconds_and_not_one_more() {
        let (cache, record) = (Cache::new(60), record());
        let id = record.id;
        cache.put(record, at(0));
        let last = Timestamp::from_millis(at(59).as_secs() * 1000 + 999);
        assert!(cache.get(id, last).is_some());
        assert!(cache.get(id, at(60)).is_none());
    }

    #[test]
    fn what_is_kept_stays_small_however_large_the_records_are() {
        let cache = Cache::new(60);
        let scopes: Vec<_> = (0..50).map(|i| format!("read:{i:0>195}").parse().unwrap()).collect();
        let large = Record { scopes: Scopes::new(scopes).unwrap(), ..Arc::unwrap_or_clone(record()) };
        for i in 0..1000 {
            let id = TokenId::new(OwnerKey::of("https://issuer.example", "alice"), at(0), i);
            cache.put(Arc::new(Record { id, ..large.clone() }), at(0));
            assert!(cache.get(id, at(1)).is_some(), "the latest is kept");
            let kept = cache.kept(at(1));
            assert_eq!(kept.bytes, kept.records.values().map(|(_, record)| size(record)).sum::<usize>());
            assert!(kept.bytes <= MOST + size(&large));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_fresh() {
        let (cache, record) = (Cache::new(60), record());
        let id = record.id;
        cache.put(Arc::clone(&record), at(0));
        assert!(cache.get(id, at(-1)).is_none(), "read in the future");
        assert!(cache.get(id, at(0)).is_none(), "and it stays gone");
        cache.put(record, at(0));
        assert!(cache.get(id, at(70)).is_none());
        assert!(cache.get(id, at(50)).is_none(), "what was stale once");
    }
}
