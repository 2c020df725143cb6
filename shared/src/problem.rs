//! What is said when a request cannot be met: problem details (RFC 9457).

use crate::clock::Timestamp;
use crate::{message, token};
use serde::Serialize;

/// A refusal or a fault, in words for the caller. It holds nothing that the caller may not see.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// One wrong field.
#[derive(Debug, Serialize)]
pub struct FieldError {
    /// Its name, with the place in a list: `scopes[2]`.
    pub field: String,
    /// What was given, shortened; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What is allowed.
    pub allowed: String,
}

impl FieldError {
    /// `given` is shortened to 80 characters, and left out if it holds anything like a token. So is a name, since that of
    /// an unknown field or parameter may be anything, and nothing.
    pub fn new(field: impl Into<String>, given: Option<&str>, allowed: impl Into<String>) -> Self {
        Self { field: named(field.into()), given: given.map(repeatable), allowed: allowed.into() }
    }
}

fn named(field: String) -> String {
    const MOST: usize = 100;
    let fits = (1..=MOST).contains(&field.chars().count()) && !token::is_in(&field);
    if fits { field } else { "(an unknown field)".into() }
}

fn repeatable(given: &str) -> String {
    const MOST: usize = 80;
    if token::is_in(given) {
        return "(something like a token, not repeated here)".into();
    }
    match given.char_indices().nth(MOST) {
        None => given.into(),
        Some((end, _)) => format!("{}… ({} characters)", given.get(..end).unwrap_or(""), given.chars().count()),
    }
}

impl Problem {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// 400: fields that are wrong, all of them at once.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        Self {
            kind: "urn:latchkey:problem:invalid-request",
            title: "Invalid request",
            status: 400,
            detail: format!("Wrong: {}. Nothing was stored or changed.", names.join(", ")),
            errors,
        }
    }

    /// 401: no token, or none that is known.
    pub fn unauthorized() -> Self {
        Self::unauthorized_since(message::no_token(None))
    }

    /// 401: a token that is known and does not do, for this reason.
    pub fn unauthorized_since(detail: String) -> Self {
        Self::plain(401, "urn:latchkey:problem:unauthorized", "Unauthorized", detail)
    }

    /// 401: a report that nobody who may report has signed.
    pub fn unsigned() -> Self {
        let detail = "The report is not signed by a key that GitHub has now. Nothing was changed.";
        Self::plain(401, "urn:latchkey:problem:unsigned", "Not signed", detail.into())
    }

    /// 403: a token that was good once, `expired` or `was revoked` then.
    pub fn ended(name: &str, how: &str, at: Timestamp) -> Self {
        let detail = format!("Token {name} {how} on {at}.");
        Self::plain(403, "urn:latchkey:problem:token-ended", "Token ended", detail)
    }

    /// 403: a session that names nobody.
    pub fn no_caller(claim: &str) -> Self {
        Self::plain(
            403,
            "urn:latchkey:problem:no-caller",
            "No caller",
            format!("The session has no claim \"{claim}\"; sign in as a person."),
        )
    }

    /// 404: no such token of this caller's, whether or not another has it.
    pub fn unknown_token() -> Self {
        Self::plain(
            404,
            "urn:latchkey:problem:unknown-token",
            "Unknown token",
            "You have no token with this id.".into(),
        )
    }

    /// 403: what administrators alone may do.
    pub fn not_an_administrator() -> Self {
        let detail = "You may see and end your own tokens. Those of others are for administrators.";
        Self::plain(403, "urn:latchkey:problem:not-an-administrator", "Not an administrator", detail.into())
    }

    /// 409: a change that would give a token more than it has.
    pub fn widens(errors: Vec<FieldError>) -> Self {
        let detail = "A token is never widened or prolonged. Nothing was changed; make another token.".into();
        let mut problem = Self::plain(409, "urn:latchkey:problem:widens", "A token is never widened", detail);
        problem.errors = errors;
        problem
    }

    /// 409: a token that has ended, `expired` or `was revoked` then, and cannot be rotated or changed.
    pub fn over(name: &str, how: &str, at: Timestamp) -> Self {
        let detail = format!("Token {name} {how} on {at}. Nothing was changed; make another token.");
        Self::plain(409, "urn:latchkey:problem:over", "Token ended", detail)
    }

    /// 409: somebody else changed the token while this request was under way.
    pub fn conflict() -> Self {
        let detail =
            "The token was rotated, changed or revoked at the same moment. Nothing was changed; look at it again.";
        Self::plain(409, "urn:latchkey:problem:conflict", "Conflict", detail.into())
    }

    /// 409: the owner has as many active tokens as the deployment allows.
    pub fn too_many_tokens(most: u32) -> Self {
        let detail =
            format!("You have {most} active tokens, the most that one owner may have. Revoke one, then try again.");
        Self::plain(409, "urn:latchkey:problem:too-many-tokens", "Too many tokens", detail)
    }

    /// 413: a body that no request needs.
    pub fn too_large(most: usize) -> Self {
        Self::plain(
            413,
            "urn:latchkey:problem:too-large",
            "Request too large",
            format!("The body has more than {most} bytes."),
        )
    }

    /// 413: a report of more tokens than are ended at a time.
    pub fn too_many(most: usize) -> Self {
        let detail = format!("The report has more than {most} entries. Nothing was changed.");
        Self::plain(413, "urn:latchkey:problem:too-many", "Too many entries", detail)
    }

    /// 503: reports cannot be told from forgeries.
    pub fn no_keys() -> Self {
        let detail = "GitHub's keys cannot be read now. Nothing was changed; send the report again.";
        Self::plain(503, "urn:latchkey:problem:no-keys", "Temporarily unavailable", detail.into())
    }

    /// 503: the deployment makes no tokens for the time being (`CREATION_PAUSED`).
    pub fn creation_paused(message: &str) -> Self {
        Self::plain(503, "urn:latchkey:problem:creation-paused", "Creation is paused", message.into())
    }

    /// 503: the table does not answer. What exactly went wrong is in the log.
    pub fn unavailable() -> Self {
        let detail = "The token store does not answer. Try again; if you were making a token, look at your list first.";
        Self::plain(503, "urn:latchkey:problem:unavailable", "Temporarily unavailable", detail.into())
    }

    fn plain(status: u16, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self { kind, title, status, detail, errors: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_unknown_field_is_repeated_where_it_is_one() {
        let token = format!("lk_{}_{}", "0".repeat(43), "a".repeat(49));
        let named = |field: &str| FieldError::new(field, None, "").field;
        assert_eq!(named("subject"), "subject");
        assert_eq!(named(&"é".repeat(100)), "é".repeat(100));
        for unnamed in ["", &"é".repeat(101), &token, &format!("x {token}")] {
            assert_eq!(named(unnamed), "(an unknown field)");
        }
    }
}
