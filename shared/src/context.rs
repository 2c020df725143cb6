//! What a registry is told about a token and its client about a refusal, whichever gateway tells them.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::record::Record;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// What the registry is told about the token, and the client about a refusal. All strings: a REST API takes no lists
/// and no objects. Every value can stand in a header.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<TokenId>,
    /// Percent-encoded UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_name: Option<String>,
    /// Percent-encoded UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Apart by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    /// RFC 3339, or `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Why a request is refused: one line of ASCII without quotes.
    message: String,
}

impl Context {
    /// About this token, which ends then.
    pub fn of(record: &Record, end: Option<Timestamp>, message: String) -> Self {
        Self {
            token_id: Some(record.id),
            token_name: Some(percent_encoded(&record.name)),
            subject: Some(percent_encoded(&record.subject)),
            scopes: Some(record.scopes.to_string()),
            expires_at: Some(end.map_or_else(|| "never".into(), |end| end.to_string())),
            message,
        }
    }

    /// About no token.
    pub fn nobody(message: String) -> Self {
        Self { message, ..Self::default() }
    }

    /// The token's public id.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token_id
    }

    /// What the registry is told, by the names of the headers that tell it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("x-latchkey-token-id", self.token_id.as_ref().map(TokenId::as_str)),
            ("x-latchkey-token-name", self.token_name.as_deref()),
            ("x-latchkey-subject", self.subject.as_deref()),
            ("x-latchkey-scopes", self.scopes.as_deref()),
            ("x-latchkey-expires-at", self.expires_at.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A header holds ASCII alone, and nothing in it may end it.
const NOT_IN_A_HEADER: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'+');

/// As `%XX` of the UTF-8 bytes (RFC 3986).
fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_A_HEADER).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_headers() {
        assert_eq!(percent_encoded("ci é\r\n100%"), "ci%20%C3%A9%0D%0A100%25");
        assert_eq!(percent_encoded("alice@acme.example"), "alice@acme.example");
    }
}
