//! What the issuer has given out and waits to see again: authorization codes and refresh tokens.

use crate::wire;
use latchkey::clock::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a code can be exchanged. RFC 6749, section 4.1.2, recommends at most ten minutes.
const CODE_SECONDS: i64 = 60;

/// Who signed in.
#[derive(Clone)]
pub struct Person {
    /// Their name.
    pub subject: String,
    /// The groups they say they are in.
    pub groups: Vec<String>,
}

/// What a client that asked for a code must prove or repeat.
pub struct Asking {
    /// Where the code was sent.
    pub redirect_uri: String,
    /// `code_challenge`, of method S256 (RFC 7636).
    pub challenge: String,
    /// To be repeated in the ID token.
    pub nonce: Option<String>,
}

/// Each can be taken once.
#[derive(Default)]
pub struct Grants {
    codes: Mutex<HashMap<String, (Timestamp, Person, Asking)>>,
    refresh: Mutex<HashMap<String, Person>>,
}

impl Grants {
    /// A new code.
    pub fn give_code(&self, person: Person, asking: Asking, now: Timestamp) -> String {
        let code = wire::request_id();
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, (given, ..)| is_fresh(*given, now));
        codes.insert(code.clone(), (now, person, asking));
        code
    }

    /// Whose code this is.
    pub fn take_code(&self, code: &str, now: Timestamp) -> Option<(Person, Asking)> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let (given, person, asking) = codes.remove(code)?;
        is_fresh(given, now).then_some((person, asking))
    }

    /// A new refresh token.
    pub fn give_refresh(&self, person: Person) -> String {
        let token = wire::request_id();
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), person);
        token
    }

    /// Whose refresh token this is.
    pub fn take_refresh(&self, token: &str) -> Option<Person> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).remove(token)
    }
}

fn is_fresh(given: Timestamp, now: Timestamp) -> bool {
    (0..CODE_SECONDS).contains(&(now.as_secs() - given.as_secs()))
}
