//! Log lines as JSON, one an event: `timestamp`, `level`, `requestId`, and the event's own fields beside them.
//!
//! The line of a decision also carries metrics in CloudWatch's embedded metric format, so that they cost no call:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! CloudWatch bills each metric that it has seen within an hour, so that only a count is kept by reason, of which there
//! are twelve; latency and cache hits are kept for the whole function: 15 metrics at most.

use super::text::{Escaped, push_name};
use crate::clock::Timestamp;
use lambda_http::tracing::field::{Field, Visit};
use lambda_http::tracing::span::{Attributes, Id};
use lambda_http::tracing::subscriber::Layer;
use lambda_http::tracing::subscriber::fmt::MakeWriter;
use lambda_http::tracing::subscriber::layer::Context;
use lambda_http::tracing::subscriber::registry::LookupSpan;
use lambda_http::tracing::{Event, Metadata, Subscriber};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::Write as _;

/// The target of events that are decisions, if they have a field `decision`: others of the module by this name have their
/// own reasons, each of which would be a metric. The fields `reason`, `cache_hit` and `dynamodb_ms` become metrics.
pub const DECISION: &str = "latchkey::decision";

fn is_decision(metadata: &Metadata<'_>) -> bool {
    metadata.target() == DECISION && metadata.fields().field("decision").is_some()
}

thread_local! {
    /// The line before, for its room. Whoever writes takes it, so that a value which logs while it is being written down
    /// finds an empty one.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes each event as one line of JSON, in one write.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    /// `,"Function":"…"` of the metrics, written down once.
    function: Option<String>,
    now: fn() -> Timestamp,
}

impl<W> JsonLines<W> {
    /// To what `out` makes, with metrics of this function, or none.
    pub fn new(out: W, function: Option<&str>, now: fn() -> Timestamp) -> Self {
        let function = function.map(|name| {
            let mut member = String::from(",\"Function\":\"");
            // Nothing that writes into a string fails.
            let _ = Escaped(&mut member).write_str(name);
            member.push('"');
            member
        });
        Self { out, function, now }
    }
}

/// The id of the request whose span this is.
struct RequestId(String);

impl Visit for RequestId {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "requestId" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut request = RequestId(String::new());
        attributes.record(&mut request);
        if let Some(span) = context.span(id).filter(|_| !request.0.is_empty()) {
            span.extensions_mut().insert(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = LINE.take();
        line.clear();
        // A value that cannot be written down leaves no line, rather than half of one.
        if self.write(&mut line, event, &context).is_ok() {
            // Where nobody takes the log, a request is answered all the same.
            let _ = self.out.make_writer().write_all(line.as_bytes());
        }
        LINE.set(line);
    }
}

impl<W> JsonLines<W> {
    fn write<S>(&self, line: &mut String, event: &Event<'_>, context: &Context<'_, S>) -> fmt::Result
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let now = (self.now)();
        write!(line, "{{\"timestamp\":\"{now}")?;
        line.pop();
        write!(line, ".{:03}Z\",\"level\":\"{}\"", now.as_millis() % 1000, event.metadata().level())?;
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(RequestId(id)) = span.extensions().get() {
                line.push_str(",\"requestId\":\"");
                Escaped(line).write_str(id)?;
                line.push('"');
                break;
            }
        }
        let function = self.function.as_deref().filter(|_| is_decision(event.metadata()));
        let mut fields = Fields { line, metrics: function.map(|_| Metrics::default()), result: Ok(()) };
        event.record(&mut fields);
        let Fields { metrics, result, .. } = fields;
        result?;
        // Without a reason there is nothing to count by.
        if let (Some(function), Some(Metrics { reason: true, cache_hit, latency })) = (function, metrics) {
            line.push_str(function);
            line.push_str(",\"Decisions\":1");
            write!(line, ",\"_aws\":{{\"Timestamp\":{},\"CloudWatchMetrics\":[", now.as_millis())?;
            line.push_str("{\"Namespace\":\"Latchkey\",\"Dimensions\":[[\"Function\"],[\"Function\",\"Reason\"]],");
            line.push_str("\"Metrics\":[{\"Name\":\"Decisions\",\"Unit\":\"Count\"}]}");
            if cache_hit || latency {
                line.push_str(",{\"Namespace\":\"Latchkey\",\"Dimensions\":[[\"Function\"]],\"Metrics\":[");
                line.push_str(if cache_hit { "{\"Name\":\"CacheHits\",\"Unit\":\"Count\"}" } else { "" });
                line.push_str(if cache_hit && latency { "," } else { "" });
                line.push_str(if latency { "{\"Name\":\"DynamoDbLatency\",\"Unit\":\"Milliseconds\"}" } else { "" });
                line.push_str("]}");
            }
            line.push_str("]}");
        }
        line.push_str("}\n");
        Ok(())
    }
}

/// Which values of metrics the line already holds.
#[derive(Default)]
struct Metrics {
    reason: bool,
    cache_hit: bool,
    latency: bool,
}

/// Writes an event's fields down, those of a decision twice where they are metrics.
struct Fields<'a> {
    line: &'a mut String,
    metrics: Option<Metrics>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn push(&mut self, name: &str, value: impl Fn(&mut String) -> fmt::Result) {
        push_name(self.line, name);
        self.result = self.result.and(value(self.line));
    }

    fn push_text(&mut self, name: &str, value: impl Fn(&mut Escaped<'_>) -> fmt::Result) {
        let quoted = |line: &mut String| {
            line.push('"');
            value(&mut Escaped(line))?;
            line.write_char('"')
        };
        self.push(name, quoted);
        if let Some(metrics) = self.metrics.as_mut().filter(|_| name == "reason") {
            metrics.reason = true;
            self.push("Reason", quoted);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field.name(), |text| text.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push_text(field.name(), |text| write!(text, "{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field.name(), |line| line.write_str(if value { "true" } else { "false" }));
        if let Some(metrics) = self.metrics.as_mut().filter(|_| field.name() == "cache_hit") {
            metrics.cache_hit = true;
            self.line.push_str(if value { ",\"CacheHits\":1" } else { ",\"CacheHits\":0" });
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field.name(), |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field.name(), |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no number that is infinite, or none.
        if !value.is_finite() {
            return self.record_debug(field, &value);
        }
        self.push(field.name(), |line| write!(line, "{value}"));
        if let Some(metrics) = self.metrics.as_mut().filter(|_| field.name() == "dynamodb_ms") {
            metrics.latency = true;
            self.push("DynamoDbLatency", |line| write!(line, "{value}"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use lambda_http::tracing::subscriber::layer::SubscriberExt;
    use lambda_http::tracing::subscriber::registry;
    use serde_json::{Value, json};
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing::{error, info, info_span, warn};

    /// What was written, one entry a write.
    #[derive(Clone, Debug, Default)]
    struct Written(Arc<Mutex<Vec<String>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    const NOW: i64 = 1_799_150_400_042;

    /// The lines that `events` leave in the log of this function.
    fn lines(function: Option<&str>, events: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let layer = JsonLines::new(written.clone(), function, || Timestamp::from_millis(NOW));
        tracing::subscriber::with_default(registry().with(layer), events);
        let lines = written.0.lock().unwrap().clone();
        assert!(lines.iter().all(|line| line.ends_with("}\n") && line.lines().count() == 1), "{lines:?}");
        lines
    }

    fn line(events: impl FnOnce()) -> Value {
        let lines = lines(Some("latchkey-Authorize-1"), events);
        assert_eq!(lines.len(), 1, "{lines:?}");
        serde_json::from_str(&lines[0]).unwrap()
    }

    #[test]
    fn a_line_has_the_time_the_level_the_request_and_the_events_fields_in_camel_case() {
        let read = line(|| {
            let _request = info_span!("Lambda runtime invoke", requestId = "8476a536", xrayTraceId = "1-2").entered();
            let _inner = info_span!("inner").entered();
            warn!(token_id = "lk_1", count = 3, below = -1, share = 0.5, fresh = true, cause = %"why", "not {}", "yet");
        });
        assert_eq!(
            read,
            json!({
                "timestamp": "2027-01-05T12:00:00.042Z", "level": "WARN", "requestId": "8476a536", "message": "not yet",
                "tokenId": "lk_1", "count": 3, "below": -1, "share": 0.5, "fresh": true, "cause": "why",
            })
        );
    }

    #[test]
    fn outside_a_request_there_is_no_request_id() {
        let read = line(|| error!("wrong settings"));
        assert_eq!(
            read,
            json!({"timestamp": "2027-01-05T12:00:00.042Z", "level": "ERROR", "message": "wrong settings"})
        );
    }

    #[test]
    fn a_decision_carries_its_metrics_and_the_dimensions_that_they_are_counted_by() {
        let read = line(|| {
            info!(
                target: DECISION, decision = "allow", reason = "granted", token_id = "lk_1", cache_hit = false,
                dynamodb_ms = 3.25
            );
        });
        assert_eq!(
            read,
            json!({
                "timestamp": "2027-01-05T12:00:00.042Z", "level": "INFO", "decision": "allow", "reason": "granted",
                "tokenId": "lk_1", "cacheHit": false, "dynamodbMs": 3.25,
                "Function": "latchkey-Authorize-1", "Reason": "granted",
                "Decisions": 1, "CacheHits": 0, "DynamoDbLatency": 3.25,
                "_aws": {"Timestamp": NOW, "CloudWatchMetrics": [
                    {
                        "Namespace": "Latchkey", "Dimensions": [["Function"], ["Function", "Reason"]],
                        "Metrics": [{"Name": "Decisions", "Unit": "Count"}],
                    },
                    {
                        "Namespace": "Latchkey", "Dimensions": [["Function"]],
                        "Metrics": [
                            {"Name": "CacheHits", "Unit": "Count"},
                            {"Name": "DynamoDbLatency", "Unit": "Milliseconds"},
                        ],
                    },
                ]},
            })
        );
    }

    /// The metrics that CloudWatch would take from a line, each with its value at the line's root.
    fn metrics(read: &Value) -> Vec<(String, Value)> {
        let directives = read["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let metrics = directives.iter().flat_map(|directive| directive["Metrics"].as_array().unwrap());
        let named = metrics.map(|metric| metric["Name"].as_str().unwrap());
        named.map(|name| (name.to_owned(), read[name].clone())).collect()
    }

    #[test]
    fn a_decision_has_no_metric_of_what_did_not_happen() {
        let unasked = line(|| info!(target: DECISION, decision = "unauthorized", reason = "no_token"));
        assert_eq!(metrics(&unasked), [("Decisions".into(), json!(1))]);
        let cached = line(|| info!(target: DECISION, decision = "allow", reason = %"granted", cache_hit = true));
        assert_eq!(metrics(&cached), [("Decisions".into(), json!(1)), ("CacheHits".into(), json!(1))]);
        assert_eq!(cached["Reason"], "granted");
        let read = line(
            || info!(target: DECISION, decision = "deny", reason = "expired", cache_hit = Option::<bool>::None, dynamodb_ms = 2.5),
        );
        assert_eq!(metrics(&read), [("Decisions".into(), json!(1)), ("DynamoDbLatency".into(), json!(2.5))]);
        let never = line(|| info!(target: DECISION, decision = "fault", reason = "fault", dynamodb_ms = f64::NAN));
        assert_eq!(metrics(&never), [("Decisions".into(), json!(1))]);
        assert_eq!(never["dynamodbMs"], "NaN");
    }

    #[test]
    fn nothing_but_a_decision_of_a_named_function_carries_metrics() {
        let elsewhere = line(|| info!(reason = "granted", cache_hit = true, dynamodb_ms = 1.0));
        let of_the_module = line(|| warn!(target: DECISION, reason = "connection refused", "not connected yet"));
        let without_reason = line(|| info!(target: DECISION, decision = "allow"));
        let nameless = lines(None, || info!(target: DECISION, decision = "allow", reason = "granted"));
        let nameless: Value = serde_json::from_str(&nameless[0]).unwrap();
        for read in [elsewhere, of_the_module, without_reason, nameless] {
            for name in ["_aws", "Function", "Reason", "Decisions", "CacheHits"] {
                assert_eq!(read.get(name), None, "{read}");
            }
        }
    }

    #[test]
    fn strings_are_escaped_so_that_an_event_stays_one_line() {
        let hostile = "a \"b\" \\ c\nd\te\r\u{0}\u{1f}\u{7f}\u{2028} 🦀";
        let events = || {
            let _request = info_span!("Lambda runtime invoke", requestId = hostile).entered();
            info!(target: DECISION, decision = "deny", reason = hostile, cause = %hostile, listed = ?[hostile], "{hostile}");
        };
        let lines = lines(Some(hostile), events);
        let read: Value = serde_json::from_str(&lines[0]).unwrap();
        for name in ["requestId", "reason", "Reason", "cause", "message", "Function"] {
            assert_eq!(read[name], hostile, "{name}");
        }
        assert_eq!(read["listed"], format!("{:?}", [hostile]));
    }
}
