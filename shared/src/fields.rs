//! What callers ask for: the body of a request, read field by field. Whoever reads learns of every field that is wrong
//! at once.

use crate::clock::Timestamp;
use crate::lifetime::Lifetime;
use crate::problem::{FieldError, Problem};
use crate::scope::{MAX_SCOPES, ScopeError, Scopes};
use crate::source::{BlockError, MAX_BLOCKS, SourceAddresses};
use crate::token;
use lambda_http::Body;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most bytes a body may have. 50 scopes of 200 characters and a name of 100 of the widest take some 11,000.
const MOST_BYTES: usize = 32_768;
/// The most characters a name may have.
const MOST_NAME: usize = 100;

/// A body's fields, and what was wrong with those that were read.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// A JSON object of these fields and no others.
    pub fn of(body: &Body, fields: &[&str]) -> Result<Self, Problem> {
        if body.len() > MOST_BYTES {
            return Err(Problem::too_large(MOST_BYTES));
        }
        let map: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            // Line and column alone: the parser's message may repeat a piece of the body.
            let place = format!("not read beyond line {}, column {}", error.line(), error.column());
            let allowed = format!("a JSON object of {}", fields.join(", "));
            Problem::invalid(vec![FieldError::new("body", Some(&place), allowed)])
        })?;
        let unknown = map.iter().filter(|(field, _)| !fields.contains(&field.as_str()));
        let only = format!("only {}", fields.join(", "));
        let errors = unknown.map(|(field, value)| FieldError::new(field, Some(&shown(value)), only.as_str()));
        Ok(Self { errors: errors.collect(), map })
    }

    /// As [`Fields::of`], where a body that is not there is an empty object.
    pub fn of_any(body: &Body, fields: &[&str]) -> Result<Self, Problem> {
        if body.is_empty() { Ok(Self { map: Map::new(), errors: vec![] }) } else { Self::of(body, fields) }
    }

    /// Whether a field is there, `null` or not.
    pub fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// What was read, if nothing was wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self.errors)),
        }
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// `name`: for people.
    pub fn name(&mut self) -> Option<String> {
        name(self.map.get("name")).map_err(|error| self.errors.push(error)).ok()
    }

    /// `scopes`: what the token grants.
    pub fn scopes(&mut self) -> Option<Scopes> {
        scopes(self.map.get("scopes")).map_err(|errors| self.errors.extend(errors)).ok()
    }

    /// `source_addresses`: from where, anywhere unless told.
    pub fn source_addresses(&mut self) -> Option<SourceAddresses> {
        let Some(value) = self.map.get("source_addresses") else { return Some(SourceAddresses::default()) };
        source_addresses(value).map_err(|errors| self.errors.extend(errors)).ok()
    }

    /// `expires_at`: the last second of a token that is made now, `absent` where none is told.
    pub fn expires_at(
        &mut self,
        now: Timestamp,
        lifetime: &Lifetime,
        absent: Option<Timestamp>,
    ) -> Option<Option<Timestamp>> {
        let Some(value) = self.map.get("expires_at") else { return Some(absent) };
        expires_at(value, now, lifetime).map_err(|error| self.errors.push(error)).ok()
    }

    /// A whole number up to `most`, 0 unless told.
    pub fn seconds(&mut self, field: &str, most: u32) -> Option<u32> {
        let Some(value) = self.map.get(field) else { return Some(0) };
        // 60.0 is as whole as 60: JSON has one kind of numbers.
        let whole = |number: &f64| number.fract() == 0.0 && (0.0..=f64::from(most)).contains(number);
        let number = value.as_f64().filter(whole).map(|number| number as u32);
        if number.is_none() {
            self.errors.push(FieldError::new(field, Some(&shown(value)), format!("a whole number from 0 to {most}")));
        }
        number
    }

    /// A string, if the field is there.
    pub fn text(&mut self, field: &str) -> Option<String> {
        let value = self.map.get(field)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.errors.push(FieldError::new(field, Some(&shown(value)), "a string"));
        }
        text
    }

    /// A string that is read as `T`; `Some(None)` where there is none. What is wrong is not repeated.
    pub fn optional<T: FromStr>(&mut self, field: &str, allowed: &str) -> Option<Option<T>> {
        let Some(value) = self.map.get(field) else { return Some(None) };
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            self.errors.push(FieldError::new(field, None, allowed));
        }
        read.map(Some)
    }
}

fn name(value: Option<&Value>) -> Result<String, FieldError> {
    let error = |given: Option<&str>, allowed: &str| FieldError::new("name", given, allowed);
    let allowed = "1 to 100 characters";
    let text = match value {
        None => return Err(error(None, allowed)),
        Some(Value::String(text)) => text,
        Some(other) => return Err(error(Some(&shown(other)), &format!("a string of {allowed}"))),
    };
    if text.trim().is_empty() || text.chars().count() > MOST_NAME {
        Err(error(Some(text), allowed))
    } else if text.chars().any(breaks_a_line) {
        Err(error(Some(&text.escape_debug().to_string()), "no control characters, line breaks or changes of direction"))
    } else if token::is_in(text) {
        Err(error(Some(text), "a name for people; it must not hold a token, since names are shown in lists"))
    } else {
        Ok(text.trim().into())
    }
}

/// Characters that would let a name look like more than one line, or like another name: controls, separators and
/// overrides of the writing direction. Letters of right-to-left scripts and emoji need none of them.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn scopes(value: Option<&Value>) -> Result<Scopes, Vec<FieldError>> {
    let allowed = "a list of 1 to 50 scopes, such as [\"read:*\", \"write:npm/@acme/*\"]";
    let one = || vec![FieldError::new("scopes", None, allowed)];
    let scopes = list("scopes", value.ok_or_else(one)?, 1..=MAX_SCOPES, allowed, |error: ScopeError| error.to_string());
    Scopes::new(scopes?).ok_or_else(one)
}

fn source_addresses(value: &Value) -> Result<SourceAddresses, Vec<FieldError>> {
    let field = "source_addresses";
    let allowed = "a list of up to 20 blocks, such as [\"203.0.113.0/24\", \"2001:db8::/32\"]; none for anywhere";
    let blocks = list(field, value, 0..=MAX_BLOCKS, allowed, |error: BlockError| error.to_string());
    SourceAddresses::new(blocks?).ok_or_else(|| vec![FieldError::new(field, None, allowed)])
}

/// A list of strings, each read; every one that is wrong is named by its place.
fn list<T: FromStr>(
    field: &str,
    value: &Value,
    many: RangeInclusive<usize>,
    allowed: &str,
    wrong: impl Fn(T::Err) -> String,
) -> Result<Vec<T>, Vec<FieldError>> {
    let one = |given: &str| vec![FieldError::new(field, Some(given), allowed)];
    let list = match value {
        Value::Array(list) if many.contains(&list.len()) => list,
        Value::Array(list) => return Err(one(&format!("{} of them", list.len()))),
        other => return Err(one(&shown(other))),
    };
    let (mut read, mut errors) = (vec![], vec![]);
    for (i, value) in list.iter().enumerate() {
        let item = match value {
            // The path of a scope may look like one, and would be kept and shown.
            Value::String(text) if token::is_in(text) => Err((text.clone(), "nothing that holds a token".into())),
            Value::String(text) => text.parse().map_err(|error| (text.clone(), wrong(error))),
            other => Err((shown(other), "a string".into())),
        };
        match item {
            Ok(item) => read.push(item),
            Err((given, allowed)) => errors.push(FieldError::new(format!("{field}[{i}]"), Some(&given), allowed)),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

fn expires_at(value: &Value, now: Timestamp, lifetime: &Lifetime) -> Result<Option<Timestamp>, FieldError> {
    let latest = lifetime.latest(now);
    let allowed = format!(
        "a date such as {0:.10} or an RFC 3339 time such as {0}, after {now}, at most {latest}",
        latest.to_string()
    );
    let error = |given: &str| FieldError::new("expires_at", Some(given), allowed.as_str());
    match value {
        Value::Null if lifetime.allow_no_expiry => Ok(None),
        Value::Null => Err(error("null (no expiry)")),
        Value::String(text) => match Timestamp::parse(text) {
            Some(end) if end > now && end <= latest => Ok(Some(end)),
            _ => Err(error(text)),
        },
        other => Err(error(&shown(other))),
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
