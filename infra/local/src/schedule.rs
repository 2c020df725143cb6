//! Schedules of functions: `rate(N minutes)`.

use crate::{ACCOUNT_ID, REGION, wire};
use latchkey::clock::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// When a function is to be called, and by whom.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name in the template.
    pub name: String,
    /// The time between two calls.
    pub every: Duration,
    /// Who calls.
    pub kind: Kind,
}

/// The two services that call by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule of the default bus (SAM's `Schedule`).
    Rule,
    /// EventBridge Scheduler (SAM's `ScheduleV2`).
    Scheduler,
}

/// A time between two calls, as `rate(15 minutes)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate(pub Duration);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let inner = text.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')'));
        let minutes = match inner.and_then(|inner| inner.split_once(' ')) {
            Some(("1", "minute")) => Some(1),
            Some((number, "minutes")) => number.parse::<u64>().ok().filter(|minutes| *minutes > 1),
            _ => None,
        };
        let seconds = minutes.and_then(|minutes| minutes.checked_mul(60));
        seconds.map(Duration::from_secs).map(Rate).ok_or_else(|| format!("{text} is not supported: rate(N minutes) is"))
    }
}

impl Schedule {
    /// What the function is called with.
    pub fn event(&self, now: Timestamp) -> Value {
        let name = &self.name;
        let (source, resource, detail) = match self.kind {
            Kind::Rule => ("aws.events", format!("arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{name}"), json!({})),
            Kind::Scheduler => {
                let resource = format!("arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{name}");
                ("aws.scheduler", resource, json!("{}"))
            }
        };
        json!({
            "version": "0",
            "id": wire::request_id(),
            "detail-type": "Scheduled Event",
            "source": source,
            "account": ACCOUNT_ID,
            "time": now.to_string(),
            "region": REGION,
            "resources": [resource],
            "detail": detail,
        })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_in_minutes() {
        let minutes = |text: &str| Rate::try_from(text.to_string()).map(|rate| rate.0.as_secs() / 60).ok();
        assert_eq!(minutes("rate(15 minutes)"), Some(15));
        assert_eq!(minutes("rate(1 minute)"), Some(1));
        let wrong = [
            "rate(1 minutes)",
            "rate(0 minutes)",
            "rate(2 minute)",
            "rate(-5 minutes)",
            "rate(1 hour)",
            "cron(0 * * * ? *)",
            "",
        ];
        for text in wrong {
            assert_eq!(minutes(text), None, "{text}");
        }
    }

    #[test]
    fn the_event_says_the_time_and_who_calls() {
        let schedule = |kind| Schedule { name: "Daily".into(), every: Duration::from_secs(60), kind };
        let event = schedule(Kind::Rule).event(Timestamp::from_secs(0));
        assert_eq!(event["time"], "1970-01-01T00:00:00Z");
        assert_eq!((&event["source"], &event["detail"]), (&json!("aws.events"), &json!({})));
        let event = schedule(Kind::Scheduler).event(Timestamp::from_secs(0));
        assert_eq!((&event["source"], &event["detail"]), (&json!("aws.scheduler"), &json!("{}")));
        assert_eq!(event["resources"], json!(["arn:aws:scheduler:us-east-1:123456789012:schedule/default/Daily"]));
    }
}
