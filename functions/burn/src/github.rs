//! Reports of GitHub's secret scanning
//! (<https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program>).

use crate::keys::Keys;
use crate::report::Leak;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_http::Request;
use latchkey::clock::Timestamp;
use latchkey::problem::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What a report must be.
pub const FORM: &str = "a JSON array of up to 1000 objects of token, type, url and source";

/// One match of our pattern. Fields that GitHub adds are passed over. No `Debug`: it holds the token.
#[derive(Deserialize)]
pub struct Match {
    token: String,
    #[serde(rename = "type")]
    kind: String,
    /// "May be empty".
    url: Option<String>,
}

impl Match {
    /// What matters of it.
    pub fn leak(&self) -> Leak<'_> {
        Leak::new(&self.token, self.url.as_deref())
    }
}

/// What GitHub learns of a match, in the form that repeats no token.
#[derive(Serialize)]
pub struct Feedback<'a> {
    token_hash: String,
    token_type: &'a str,
    label: &'static str,
}

/// What is said of each match, where these texts are or were tokens.
pub fn feedback<'a>(matches: &'a [Match], ours: &BTreeSet<&str>) -> Vec<Feedback<'a>> {
    let of = |found: &'a Match| Feedback {
        token_hash: hash(&found.token),
        token_type: &found.kind,
        label: if ours.contains(found.token.as_str()) { "true_positive" } else { "false_positive" },
    };
    matches.iter().map(of).collect()
}

/// GitHub says "the SHA-256 hashed form of the raw token" and no more: hexadecimal, as SHA-256 is mostly written.
fn hash(text: &str) -> String {
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Whether GitHub signed this body, byte for byte as it came.
pub async fn signed(request: &Request, keys: &Keys, now: Timestamp) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let identifier = header("github-public-key-identifier").ok_or_else(Problem::unsigned)?;
    let signature = header("github-public-key-signature").and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
    let signature = signature.ok_or_else(Problem::unsigned)?;
    let key = keys.current(identifier, now).await.map_err(|_| Problem::no_keys())?;
    match key {
        Some(key) if key.signed(request.body(), &signature) => Ok(()),
        _ => {
            tracing::warn!("a report was refused: it is not signed by GitHub");
            Err(Problem::unsigned())
        }
    }
}
