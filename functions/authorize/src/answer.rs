//! The answer in the gateway's words.

use crate::policy::Document;
use latchkey::clock::Timestamp;
use latchkey::id::TokenId;
use latchkey::record::Record;
use serde::Serialize;

/// Who a request without a known token is from, where the gateway wants a name.
const NOBODY: &str = "anonymous";

/// What the gateway is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The token's whole grant (REST APIs, and HTTP APIs that do not ask for a simple answer).
    #[serde(rename_all = "camelCase")]
    Policy {
        /// The public id of the token.
        principal_id: String,
        /// What it may do, in the whole stage.
        policy_document: Document,
        /// What the registry and the gateway responses are told.
        context: Context,
    },
    /// Yes or no to this one request (HTTP APIs, payload 2.0).
    #[serde(rename_all = "camelCase")]
    Simple {
        /// Whether it may pass.
        is_authorized: bool,
        /// What the registry is told.
        context: Context,
    },
}

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

    /// Who the gateway's logs say it was.
    pub fn principal(&self) -> String {
        self.token_id.map_or_else(|| NOBODY.into(), |id| id.as_str().into())
    }
}

/// A header holds ASCII alone: everything but letters, digits and `-._~@+` as `%XX` of its UTF-8 bytes (RFC 3986).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
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
