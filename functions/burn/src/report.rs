//! What finders of tokens send.

use lambda_http::Body;
use latchkey::problem::{FieldError, Problem};
use latchkey::token;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The most bytes that a report may have, or what names one token. A thousand tokens with addresses of 500 characters
/// take some 650,000.
const MOST_BYTES: usize = 1_048_576;
/// The most entries of a report.
const MOST_ENTRIES: usize = 1000;
/// The most characters of an address that is kept.
const MOST_PLACE: usize = 500;

/// A token, or what its finder took for one, and where it was found. No `Debug`: it is a secret.
pub struct Leak<'a> {
    /// As it was sent.
    pub text: &'a str,
    /// An address that may be kept.
    pub place: Option<&'a str>,
}

impl<'a> Leak<'a> {
    /// `place` counts only if it may be kept and shown.
    pub fn new(text: &'a str, place: Option<&'a str>) -> Self {
        Self { text, place: place.filter(|place| may_be_kept(place)) }
    }
}

/// Refuses what nobody needs to send, before anything else is done about it.
pub fn not_too_large(body: &Body) -> Result<(), Problem> {
    if body.len() > MOST_BYTES { Err(Problem::too_large(MOST_BYTES)) } else { Ok(()) }
}

/// The one token that a body names, and nothing beside it.
pub fn one(body: &Body) -> Result<String, Problem> {
    not_too_large(body)?;
    let mut found: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    match (found.remove("token"), found.is_empty()) {
        (Some(Value::String(token)), true) => Ok(token),
        _ => Err(malformed("a JSON object of token, a string")),
    }
}

/// The entries of a report.
pub fn many<T: DeserializeOwned>(body: &Body, form: &'static str) -> Result<Vec<T>, Problem> {
    // As objects first: a struct would also be read from an array of its fields.
    let entries: Vec<Map<String, Value>> = serde_json::from_slice(body).map_err(|_| malformed(form))?;
    if entries.len() > MOST_ENTRIES {
        return Err(Problem::too_many(MOST_ENTRIES));
    }
    let entries = entries.into_iter().map(|entry| serde_json::from_value(Value::Object(entry)));
    entries.collect::<Result<_, _>>().map_err(|_| malformed(form))
}

/// Nothing of the body is repeated: it may hold tokens of anybody's.
fn malformed(form: &'static str) -> Problem {
    Problem::invalid(vec![FieldError::new("body", None, form)])
}

/// Whether an address may be kept beside a token, shown to its owner and told in an event: one of the web, with nothing
/// like a token in it, and without the characters that the event's JSON and a page's markup are made of.
fn may_be_kept(place: &str) -> bool {
    let of_the_web = place.starts_with("https://") || place.starts_with("http://");
    let harmless = place.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\<>".contains(&b));
    of_the_web && harmless && place.len() <= MOST_PLACE && !token::is_in(place) && !token::is_in(&decoded(place))
}

/// Without percent-encoding, which could hide a token.
fn decoded(place: &str) -> String {
    let mut pieces = place.split('%');
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_at_checked(2).map(|(digits, rest)| (u8::from_str_radix(digits, 16), rest)) {
            Some((Ok(byte), rest)) => {
                decoded.push(char::from(byte));
                decoded.push_str(rest);
            }
            _ => {
                decoded.push('%');
                decoded.push_str(piece);
            }
        }
    }
    decoded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use latchkey::clock::Timestamp;
    use latchkey::id::OwnerKey;
    use latchkey::token::{Prefix, Token};

    #[test]
    fn an_address_of_the_web_is_kept_and_nothing_else() {
        for place in ["https://github.com/a/b/blob/0123abc/c%20d.txt#L3", "http://gitlab.example/x?y=1", &url(500)] {
            assert_eq!(Leak::new("", Some(place)).place, Some(place));
        }
        for place in [
            "",
            "javascript:alert(1)",
            "ftp://x/y",
            "https://x/\"y",
            "https://x/\\y",
            "https://x/<y>",
            "https://x/y z",
            "https://x/\u{202e}y",
            "https://x/y\n",
            &url(501),
        ] {
            assert_eq!(Leak::new("", Some(place)).place, None, "{place}");
        }
        assert_eq!(Leak::new("", None).place, None);
    }

    fn url(length: usize) -> String {
        format!("https://x/{}", "y".repeat(length - 10))
    }

    #[test]
    fn an_address_with_a_token_in_it_is_not_kept_however_it_is_written() {
        let owner = OwnerKey::of("https://issuer.example", "alice");
        let token = Token::mint(&Prefix::default(), owner, Timestamp::from_secs(1_800_000_000)).unwrap();
        let encoded: String = token.expose().bytes().map(|byte| format!("%{byte:02x}")).collect();
        for text in [token.expose().to_owned(), token.expose().replace('_', "%5F"), encoded] {
            let place = format!("https://x/y?token={text}&z");
            assert_eq!(Leak::new("", Some(&place)).place, None, "{place}");
        }
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_body() {
        for body in
            [r#"{"tokn": "ghp_secret"}"#, r#"{"token": "ghp_secret", "x": 1}"#, r#"["ghp_secret"]"#, "ghp_secret"]
        {
            let problem = one(&Body::from(body)).unwrap_err();
            assert_eq!(problem.status(), 400, "{body}");
            assert!(!format!("{problem:?}").contains("ghp_secret"), "{problem:?}");
        }
    }
}
