//! The part of EventBridge's event patterns that the templates in `infra/` use. Anything else is an error that says
//! what it is and where.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Which events are meant: every field that it names must fit.
#[derive(Debug)]
pub struct EventPattern {
    fields: BTreeMap<String, Field>,
}

#[derive(Debug)]
enum Field {
    Nested(EventPattern),
    AnyOf(Vec<Condition>),
}

#[derive(Debug)]
enum Condition {
    Equals(Value),
    AnythingBut(Vec<String>),
    Prefix(String),
    Exists(bool),
}

/// What a pattern says that is not understood here.
#[derive(Debug, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

impl EventPattern {
    /// Reads a pattern.
    pub fn new(pattern: &Value) -> Result<Self, PatternError> {
        Self::at("", pattern)
    }

    fn at(place: &str, pattern: &Value) -> Result<Self, PatternError> {
        let Value::Object(pattern) = pattern else {
            return Err(PatternError(format!("{} is not a mapping of fields", named(place))));
        };
        let mut fields = BTreeMap::new();
        for (name, value) in pattern {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let field = match value {
                Value::Array(conditions) if !name.starts_with('$') && !conditions.is_empty() => {
                    let conditions = conditions.iter().map(|condition| Condition::new(&place, condition));
                    Field::AnyOf(conditions.collect::<Result<_, _>>()?)
                }
                Value::Object(_) => Field::Nested(Self::at(&place, value)?),
                _ => return Err(PatternError(format!("{place}: {value} is not supported"))),
            };
            fields.insert(name.clone(), field);
        }
        Ok(Self { fields })
    }

    /// Whether it means this event.
    pub fn matches(&self, event: &Value) -> bool {
        self.fields.iter().all(|(name, field)| match (field, event.get(name)) {
            (Field::Nested(pattern), value) => pattern.matches(value.unwrap_or(&Value::Null)),
            (Field::AnyOf(conditions), value) => conditions.iter().any(|condition| condition.holds(value)),
        })
    }

    /// The fields at its top.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }
}

impl Condition {
    fn new(place: &str, condition: &Value) -> Result<Self, PatternError> {
        let unsupported = || PatternError(format!("{place}: {condition} is not supported"));
        let Value::Object(operators) = condition else {
            return if condition.is_array() { Err(unsupported()) } else { Ok(Self::Equals(condition.clone())) };
        };
        let mut operators = operators.iter();
        let (Some((operator, operand)), None) = (operators.next(), operators.next()) else { return Err(unsupported()) };
        let text = |value: &Value| value.as_str().map(str::to_string).ok_or_else(unsupported);
        match (operator.as_str(), operand) {
            ("anything-but", Value::Array(values)) => {
                Ok(Self::AnythingBut(values.iter().map(text).collect::<Result<_, _>>()?))
            }
            ("anything-but", value) => Ok(Self::AnythingBut(vec![text(value)?])),
            ("exists", Value::Bool(exists)) => Ok(Self::Exists(*exists)),
            ("prefix", value) => Ok(Self::Prefix(text(value)?)),
            _ => Err(unsupported()),
        }
    }

    /// Of a list in the event, one element is enough. A field that is not there fits `exists: false` alone.
    fn holds(&self, value: Option<&Value>) -> bool {
        let of = |one: &Value| match self {
            Self::Equals(expected) => one == expected,
            Self::AnythingBut(values) => !values.iter().any(|value| one == value),
            Self::Prefix(prefix) => one.as_str().is_some_and(|text| text.starts_with(prefix)),
            // It looks at values, not at what holds them.
            Self::Exists(exists) => *exists && !one.is_object(),
        };
        match value {
            None => matches!(self, Self::Exists(false)),
            Some(Value::Array(values)) => values.iter().any(of),
            Some(value) => of(value),
        }
    }
}

fn named(place: &str) -> &str {
    if place.is_empty() { "the pattern" } else { place }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(pattern: Value, event: Value) -> bool {
        EventPattern::new(&pattern).unwrap().matches(&event)
    }

    #[test]
    fn every_field_must_fit_one_of_its_conditions() {
        let pattern = json!({"source": ["latchkey"], "detail": {"event": ["created", "rotated"], "days": [7, null]}});
        let event = |source: &str, event: &str, days: Value| json!({"source": source, "detail": {"event": event, "days": days, "more": 1}});
        assert!(fits(pattern.clone(), event("latchkey", "rotated", json!(7))));
        assert!(fits(pattern.clone(), event("latchkey", "created", Value::Null)));
        assert!(!fits(pattern.clone(), event("other", "created", json!(7))));
        assert!(!fits(pattern.clone(), event("latchkey", "revoked", json!(7))));
        assert!(!fits(pattern.clone(), event("latchkey", "created", json!("7"))));
        assert!(!fits(pattern, json!({"source": "latchkey"})));
        assert!(fits(json!({}), json!({"any": "event"})));
    }

    #[test]
    fn a_value_that_is_not_there_is_no_other_value() {
        let but = json!({"a": {"b": [{"anything-but": ["x", "y"]}]}});
        assert!(fits(but.clone(), json!({"a": {"b": "z"}})));
        assert!(fits(json!({"a": [{"anything-but": "x"}]}), json!({"a": "z"})));
        for event in [json!({"a": {"b": "y"}}), json!({"a": {}}), json!({})] {
            assert!(!fits(but.clone(), event.clone()), "{event}");
        }
    }

    #[test]
    fn what_exists_is_a_value_and_not_a_mapping() {
        let exists = |wanted: bool| json!({"a": {"b": [{"exists": wanted}]}});
        for (event, there) in [(json!({"a": {"b": null}}), true), (json!({"a": {}}), false), (json!({}), false)] {
            assert_eq!(fits(exists(true), event.clone()), there, "{event}");
            assert_eq!(fits(exists(false), event.clone()), !there, "{event}");
        }
        assert!(!fits(exists(true), json!({"a": {"b": {"c": 1}}})));
    }

    #[test]
    fn a_prefix_is_a_beginning() {
        let prefix = json!({"a": [{"prefix": "re"}]});
        assert!(fits(prefix.clone(), json!({"a": "revoked"})));
        assert!(fits(prefix.clone(), json!({"a": ["created", "revoked"]})));
        assert!(!fits(prefix.clone(), json!({"a": "created"})));
        assert!(!fits(prefix, json!({"a": 1})));
    }

    #[test]
    fn anything_else_is_named_with_its_place() {
        for (pattern, error) in [
            (json!([]), "the pattern is not a mapping of fields"),
            (json!({"a": "x"}), "a: \"x\" is not supported"),
            (json!({"a": []}), "a: [] is not supported"),
            (json!({"$or": [{"a": [1]}]}), "$or: [{\"a\":[1]}] is not supported"),
            (json!({"a": {"b": [["x"]]}}), "a.b: [\"x\"] is not supported"),
            (json!({"a": {"b": [{"suffix": "x"}]}}), "a.b: {\"suffix\":\"x\"} is not supported"),
            (json!({"a": [{"exists": "yes"}]}), "a: {\"exists\":\"yes\"} is not supported"),
            (json!({"a": [{"anything-but": [1]}]}), "a: {\"anything-but\":[1]} is not supported"),
            (json!({"a": [{"prefix": "x", "exists": true}]}), "a: {\"exists\":true,\"prefix\":\"x\"} is not supported"),
        ] {
            assert_eq!(EventPattern::new(&pattern).unwrap_err().to_string(), error, "{pattern}");
        }
    }
}
