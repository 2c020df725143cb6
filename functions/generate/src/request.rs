//! What the caller asks for, read from the body of `POST /tokens`.

use lambda_http::Body;
use latchkey::clock::Timestamp;
use latchkey::lifetime::Lifetime;
use latchkey::problem::{FieldError, Problem};
use latchkey::scope::{MAX_SCOPES, Scope, Scopes};
use latchkey::token;
use serde_json::{Map, Value};

/// The most bytes a body may have. 50 scopes of 200 characters and a name of 100 of the widest take some 11,000.
const MOST_BYTES: usize = 32_768;
/// The most characters a name may have.
const MOST_NAME: usize = 100;

const FIELDS: [&str; 3] = ["name", "scopes", "expires_at"];

/// The token that is wished for; every field is valid.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Wish {
    /// Reads a body whole: the problem names every field that is wrong.
    pub(crate) fn read(
        body: &Body,
        now: Timestamp,
        lifetime: &Lifetime,
        default_token_days: u32,
    ) -> Result<Self, Problem> {
        if body.len() > MOST_BYTES {
            return Err(Problem::too_large(MOST_BYTES));
        }
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            // Line and column alone: the parser's message may repeat a piece of the body.
            let place = format!("line {}, column {}", error.line(), error.column());
            Problem::invalid(vec![FieldError::new(
                "body",
                Some(&format!("not read beyond {place}")),
                "a JSON object with \"name\", \"scopes\" and, if wished, \"expires_at\"",
            )])
        })?;
        let mut errors: Vec<_> = fields
            .iter()
            .filter(|(field, _)| !FIELDS.contains(&field.as_str()))
            .map(|(field, value)| {
                FieldError::new(shown_name(field), Some(&shown(value)), format!("only {}", FIELDS.join(", ")))
            })
            .collect();
        let name = name(fields.get("name")).map_err(|error| errors.push(error));
        let scopes = scopes(fields.get("scopes")).map_err(|error| errors.extend(error));
        let expires_at =
            expires_at(fields.get("expires_at"), now, lifetime, default_token_days).map_err(|error| errors.push(error));
        match (name, scopes, expires_at) {
            (Ok(name), Ok(scopes), Ok(expires_at)) if errors.is_empty() => Ok(Self { name, scopes, expires_at }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

fn name(value: Option<&Value>) -> Result<String, FieldError> {
    let error = |given: Option<&str>, allowed: &str| FieldError::new("name", given, allowed);
    let allowed = "1 to 100 characters";
    let text = match value {
        None => return Err(error(None, allowed)),
        Some(Value::String(text)) => text.trim(),
        Some(other) => return Err(error(Some(&shown(other)), &format!("a string of {allowed}"))),
    };
    if !(1..=MOST_NAME).contains(&text.chars().count()) {
        Err(error(Some(text), allowed))
    } else if text.chars().any(breaks_a_line) {
        Err(error(Some(&text.escape_debug().to_string()), "no control characters, line breaks or changes of direction"))
    } else if token::is_in(text) {
        Err(error(Some(text), "a name for people; it must not hold a token, since names are shown in lists"))
    } else {
        Ok(text.into())
    }
}

/// Characters that would let a name look like more than one line, or like another name: controls, separators and
/// overrides of the writing direction. Letters of right-to-left scripts and emoji need none of them.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn scopes(value: Option<&Value>) -> Result<Scopes, Vec<FieldError>> {
    let one = |given: Option<&str>, allowed: &str| vec![FieldError::new("scopes", given, allowed)];
    let allowed = "a list of 1 to 50 scopes, such as [\"read:*\", \"write:npm/@acme/*\"]";
    let list = match value {
        None => return Err(one(None, allowed)),
        Some(Value::Array(list)) if (1..=MAX_SCOPES).contains(&list.len()) => list,
        Some(Value::Array(list)) => return Err(one(Some(&format!("{} scopes", list.len())), allowed)),
        Some(other) => return Err(one(Some(&shown(other)), allowed)),
    };
    let mut scopes: Vec<Scope> = vec![];
    let mut errors = vec![];
    for (i, value) in list.iter().enumerate() {
        let parsed = match value {
            Value::String(text) => {
                text.parse().map_err(|error: latchkey::scope::ScopeError| (text.clone(), error.to_string()))
            }
            other => Err((shown(other), "a string".into())),
        };
        match parsed {
            Ok(scope) => scopes.push(scope),
            Err((given, allowed)) => errors.push(FieldError::new(format!("scopes[{i}]"), Some(&given), allowed)),
        }
    }
    if errors.is_empty() { Scopes::new(scopes).ok_or_else(|| one(None, allowed)) } else { Err(errors) }
}

fn expires_at(
    value: Option<&Value>,
    now: Timestamp,
    lifetime: &Lifetime,
    default_token_days: u32,
) -> Result<Option<Timestamp>, FieldError> {
    let latest = lifetime.latest(now);
    let allowed = format!(
        "a date such as {0:.10} or an RFC 3339 time such as {0}, after {now}, at most {latest}",
        latest.to_string()
    );
    let error = |given: &str| FieldError::new("expires_at", Some(given), allowed.as_str());
    match value {
        None => Ok(Some(now.plus_days(default_token_days))),
        Some(Value::Null) if lifetime.allow_no_expiry => Ok(None),
        Some(Value::Null) => Err(error("null (no expiry)")),
        Some(Value::String(text)) => match Timestamp::parse(text) {
            Some(end) if end > now && end <= latest => Ok(Some(end)),
            _ => Err(error(text)),
        },
        Some(other) => Err(error(&shown(other))),
    }
}

/// A value of the wrong type, without what a nested one holds.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An unknown field's name may be anything, a pasted token as well.
fn shown_name(field: &str) -> String {
    if token::is_in(field) || field.chars().count() > MOST_NAME { "(an unknown field)".into() } else { field.into() }
}
