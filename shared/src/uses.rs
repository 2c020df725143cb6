//! Uses of tokens that are still to be noted in the table: after the answer, so that nobody waits for it, and at most one
//! write a token in ten minutes.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::last_use::{LastUse, NOTED_EVERY};
use crate::record::Record;
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most tokens of which an instance remembers that it noted a use: some 100 bytes each.
const MOST: usize = 10_000;

/// What is to be noted.
#[derive(Debug)]
enum Use {
    /// A good secret was used.
    Good(TokenId, LastUse),
    /// One that the token no longer has.
    Retired(TokenId, Timestamp),
}

/// The uses that one instance of a function saw.
#[derive(Debug)]
pub(crate) struct Uses {
    notes: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    waiting: Vec<Use>,
    /// When a use was last taken up, by token and by whether its secret was good.
    noted: HashMap<(TokenId, bool), Timestamp>,
}

impl Uses {
    /// None yet; none are ever noted, unless `notes`.
    pub(crate) fn new(notes: bool) -> Self {
        Self { notes, seen: Mutex::default() }
    }

    /// Takes up that a token's good secret was used, unless it is known to have been used of late.
    pub(crate) fn good(&self, record: &Record, last_use: LastUse) {
        let known = record.last_use.as_ref().map(|known| known.at);
        let at = last_use.at;
        self.take_up(record.id, true, known, at, Use::Good(record.id, last_use));
    }

    /// Takes up that a secret was used which the token no longer has.
    pub(crate) fn retired(&self, record: &Record, at: Timestamp) {
        self.take_up(record.id, false, None, at, Use::Retired(record.id, at));
    }

    fn take_up(&self, id: TokenId, good: bool, known: Option<Timestamp>, at: Timestamp, noted: Use) {
        if !self.notes {
            return;
        }
        let mut seen = self.seen();
        let known = seen.noted.get(&(id, good)).copied().max(known);
        if known.is_some_and(|known| at.as_secs() - known.as_secs() < NOTED_EVERY) {
            return;
        }
        if seen.noted.len() >= MOST {
            seen.noted.clear();
        }
        seen.noted.insert((id, good), at);
        seen.waiting.push(noted);
    }

    /// Writes what was taken up. What fails is taken up again at the next use, and told in the log alone.
    pub(crate) async fn settle(&self, store: &Store) {
        let waiting = std::mem::take(&mut self.seen().waiting);
        for noted in waiting {
            let (id, good, result) = match &noted {
                Use::Good(id, last_use) => (*id, true, store.note_use(*id, last_use).await),
                Use::Retired(id, at) => (*id, false, store.note_retired_use(*id, *at).await),
            };
            if let Err(error) = result {
                self.forget(id, good, &error);
            }
        }
    }

    fn forget(&self, id: TokenId, good: bool, error: &StoreError) {
        tracing::warn!(token_id = %id, reason = %error, "a use was not noted");
        self.seen().noted.remove(&(id, good));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
