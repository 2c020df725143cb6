//! An EventBridge pipe from the table's stream to the bus: records that pass its filters, each made an event.

use crate::event_pattern::EventPattern;
use crate::input_template::{InputTemplate, InputTemplateError};
use serde_json::Value;

/// What filters may name of a stream's record. `eventName` is not among it, nor what else the poller adds.
const FILTERABLE: [&str; 2] = ["dynamodb", "userIdentity"];

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    /// Its name in the template.
    pub name: String,
    /// Of which one must fit.
    pub filters: Vec<EventPattern>,
    /// What it makes of a record.
    pub template: InputTemplate,
    /// Who its events are from.
    pub source: String,
    /// What its events are.
    pub detail_type: String,
}

/// Reads a filter, which CloudFormation has as text.
pub fn filter(text: &str) -> Result<EventPattern, String> {
    let pattern: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let pattern = EventPattern::new(&pattern).map_err(|error| error.to_string())?;
    if let Some(field) = pattern.fields().find(|field| !FILTERABLE.contains(field)) {
        return Err(format!("filters of pipes cannot name {field}"));
    }
    Ok(pattern)
}

impl Pipe {
    /// What it makes of this record of the stream; `None` if the record does not pass.
    pub fn carry(&self, record: &Value) -> Option<Result<Value, InputTemplateError>> {
        self.filters.iter().any(|filter| filter.matches(record)).then(|| self.template.fill(record))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_that_passes_one_filter_is_carried() {
        let filters = [r#"{"dynamodb": {"a": ["1"]}}"#, r#"{"userIdentity": {"type": ["Service"]}}"#];
        let pipe = Pipe {
            name: "P".into(),
            filters: filters.iter().map(|text| filter(text).unwrap()).collect(),
            template: InputTemplate::new(r#"{"a": <$.dynamodb.a>}"#).unwrap(),
            source: "s".into(),
            detail_type: "t".into(),
        };
        let carried = |record| pipe.carry(&record).map(Result::ok);
        assert_eq!(carried(json!({"dynamodb": {"a": "1"}})), Some(Some(json!({"a": "1"}))));
        assert_eq!(carried(json!({"dynamodb": {"a": "2"}})), None);
        assert_eq!(carried(json!({"userIdentity": {"type": "Service"}})), Some(None), "its template needs more");
    }

    #[test]
    fn filters_name_nothing_that_pipes_would_not_look_at() {
        for (text, error) in [
            ("{", "it is no JSON: "),
            (r#"{"dynamodb": {"a": [{"wildcard": "*"}]}}"#, "dynamodb.a: {\"wildcard\":\"*\"} is not supported"),
            (r#"{"eventName": ["INSERT"]}"#, "filters of pipes cannot name eventName"),
        ] {
            assert!(filter(text).unwrap_err().starts_with(error), "{text}");
        }
    }
}
