//! The part of EventBridge Pipes' input templates that ours use: JSON with `<$.a.b>` in it.
//!
//! Where AWS's documents leave something open, this goes by the reading that breaks more: nothing is escaped between
//! quotes, and nothing at all stands for a path that does not exist.

use serde_json::{Value, json};
use std::fmt;

/// A template of JSON.
#[derive(Debug)]
pub struct InputTemplate {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// The fields on the way, and whether it stands within quotes.
    Path(Vec<String>, bool),
}

/// What a template says that is not understood here, or why it makes no JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct InputTemplateError(String);

impl fmt::Display for InputTemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InputTemplateError {}

impl InputTemplate {
    /// Reads a template, which must be JSON once it is filled.
    pub fn new(template: &str) -> Result<Self, InputTemplateError> {
        let mut parts = vec![];
        let mut quoted = false;
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('<') {
            quoted = ends_quoted(before, quoted);
            parts.push(Part::Text(before.into()));
            let unsupported = |what: &str| InputTemplateError(format!("the placeholder <{what}> is not supported"));
            let (path, after) = behind.split_once('>').ok_or_else(|| unsupported(behind))?;
            let fields = path.strip_prefix("$.").ok_or_else(|| unsupported(path))?;
            let fields: Vec<_> = fields.split('.').map(str::to_string).collect();
            let plain = |field: &String| {
                !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            };
            if !fields.iter().all(plain) {
                return Err(unsupported(path));
            }
            parts.push(Part::Path(fields, quoted));
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        let template = Self { parts };
        template.filled(|_| Some(json!("x")))?;
        Ok(template)
    }

    /// Fills it from a record.
    pub fn fill(&self, record: &Value) -> Result<Value, InputTemplateError> {
        self.filled(|fields| fields.iter().try_fold(record, |value, field| value.get(field)).cloned())
    }

    fn filled(&self, value: impl Fn(&[String]) -> Option<Value>) -> Result<Value, InputTemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Path(fields, quoted) => match value(fields) {
                    Some(Value::String(value)) if *quoted => text.push_str(&value),
                    Some(value) => text.push_str(&value.to_string()),
                    None => {}
                },
            }
        }
        serde_json::from_str(&text).map_err(|error| InputTemplateError(format!("it makes no JSON: {error}")))
    }
}

/// Whether a string is open at the end of this piece of JSON.
fn ends_quoted(json: &str, mut quoted: bool) -> bool {
    let mut escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fill(template: &str, record: Value) -> Result<Value, String> {
        InputTemplate::new(template).and_then(|template| template.fill(&record)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_string_is_quoted_where_its_placeholder_is_not() {
        let record = json!({"a": {"b-c": {"S": "x \"y\" \\ \u{1f511}\n"}}, "id": "1", "sort": "2", "n": 3, "l": [1]});
        assert_eq!(
            fill(r#"{"s": <$.a.b-c.S>, "id": "<$.id><$.sort>", "n": <$.n>, "l": <$.l>, "q": "\"<$.id>"}"#, record),
            Ok(json!({"s": "x \"y\" \\ \u{1f511}\n", "id": "12", "n": 3, "l": [1], "q": "\"1"}))
        );
    }

    #[test]
    fn what_is_not_there_is_empty_within_quotes_and_no_json_without() {
        assert_eq!(fill(r#"{"a": "<$.a.N>"}"#, json!({"a": {"S": "1"}})), Ok(json!({"a": ""})));
        assert!(fill(r#"{"a": <$.a.N>}"#, json!({})).unwrap_err().starts_with("it makes no JSON: "));
    }

    #[test]
    fn nothing_is_escaped_within_quotes() {
        assert!(fill(r#"{"a": "<$.a>"}"#, json!({"a": "x\"y"})).is_err());
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (template, error) in [
            ("<aws.pipes.event.json>", "the placeholder <aws.pipes.event.json> is not supported"),
            ("<$.a[0]>", "the placeholder <$.a[0]> is not supported"),
            ("<$.a.*>", "the placeholder <$.a.*> is not supported"),
            ("<$.a..b>", "the placeholder <$.a..b> is not supported"),
            ("{\"a\": <$.a", "the placeholder <$.a> is not supported"),
            ("{\"a\": <$.a>,}", "it makes no JSON: trailing comma at line 1 column 11"),
        ] {
            assert_eq!(InputTemplate::new(template).unwrap_err().to_string(), error, "{template}");
        }
    }
}
