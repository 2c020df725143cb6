//! The answer that shows a token: to whoever made or rotated it, and never again.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::record::Record;
use crate::scope::Scopes;
use crate::source::SourceAddresses;
use crate::token::Token;
use crate::usage::Usage;
use serde::Serialize;

/// A token in plaintext, with what it is and how it is used. No `Debug`: it holds the token.
#[derive(Serialize)]
pub struct Shown<'a> {
    id: TokenId,
    token: &'a str,
    name: &'a str,
    scopes: &'a Scopes,
    source_addresses: &'a SourceAddresses,
    created_at: Timestamp,
    rotated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// The secret before this one is good before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap_ends_at: Option<Timestamp>,
    usage: Vec<Usage>,
}

impl<'a> Shown<'a> {
    /// A token and its record.
    pub fn new(token: &'a Token, record: &'a Record, usage: Vec<Usage>) -> Self {
        Self {
            id: record.id,
            token: token.expose(),
            name: &record.name,
            scopes: &record.scopes,
            source_addresses: &record.source_addresses,
            created_at: record.times.created_at,
            rotated_at: record.times.rotated_at,
            expires_at: record.times.expires_at,
            overlap_ends_at: record.retired.overlap_ends_at,
            usage,
        }
    }
}
