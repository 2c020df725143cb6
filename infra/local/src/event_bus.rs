//! An event bus: keeps its latest events, and hands each to the functions with a rule for it.

use crate::event_pattern::EventPattern;
use crate::function::Function;
use crate::{ACCOUNT_ID, REGION, wire};
use latchkey::clock::Timestamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many events are kept for whoever asks.
const KEPT: usize = 1_000;

/// A bus.
pub struct EventBus {
    rules: Vec<Rule>,
    latest: Mutex<VecDeque<Value>>,
}

/// Which events a function hears.
pub struct Rule {
    /// Those that it means.
    pub pattern: EventPattern,
    /// Who hears them.
    pub target: Target,
}

/// A function that hears events, and that nobody waits for.
#[derive(Clone)]
pub struct Target {
    /// Its name in the template.
    pub name: String,
    /// The function.
    pub function: Function,
}

impl Target {
    /// Calls it once. Lambda would try an event that fails twice more, minutes later.
    pub async fn call(&self, event: &Value, now: Timestamp) {
        if let Err(failure) = self.function.invoke(event, now).await {
            tracing::error!("{} failed: {failure}", self.name);
        }
    }
}

impl EventBus {
    /// A bus with these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, latest: Mutex::new(VecDeque::new()) }
    }

    /// Takes an event, and returns once every function that hears it has ended.
    pub async fn put(&self, source: &str, detail_type: &str, detail: Value, now: Timestamp) {
        let said = |field: &str| detail.get(field).and_then(Value::as_str).unwrap_or_default();
        tracing::info!("event {} {}", said("event"), said("token_id"));
        let event = json!({
            "version": "0",
            "id": wire::request_id(),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT_ID,
            "time": now.to_string(),
            "region": REGION,
            "resources": [],
            "detail": detail,
        });
        {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest.truncate(KEPT - 1);
            latest.push_front(event.clone());
        }
        for target in self.targets(&event) {
            target.call(&event, now).await;
        }
    }

    /// The latest events, oldest first.
    pub fn latest(&self) -> Vec<Value> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn targets(&self, event: &Value) -> impl Iterator<Item = &Target> {
        self.rules.iter().filter(|rule| rule.pattern.matches(event)).map(|rule| &rule.target)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::function::{Handler, HttpHandler};
    use std::time::Duration;

    fn rule(name: &str, pattern: Value) -> Rule {
        // It takes no events of a bus; how it fails is logged, and hinders nobody.
        let environment =
            [("OIDC_ISSUER", "http://issuer"), ("OIDC_CLIENT_ID", "latchkey")].map(|(k, v)| (k.to_string(), v.into()));
        let console = console::Function::new(&environment.into_iter().collect()).unwrap();
        let function = Function::new(Handler::Http(HttpHandler::Console(console)), Duration::from_secs(1));
        Rule { pattern: EventPattern::new(&pattern).unwrap(), target: Target { name: name.into(), function } }
    }

    #[tokio::test]
    async fn an_event_goes_to_every_function_that_has_a_rule_for_it() {
        let made = json!({"source": ["latchkey"], "detail-type": ["Token"], "detail": {"event": ["created"]}});
        let bus = EventBus::new(vec![
            rule("Made", made),
            rule("All", json!({"source": ["latchkey"]})),
            rule("Other", json!({"source": ["other"]})),
        ]);
        for event in ["created", "revoked"] {
            bus.put("latchkey", "Token", json!({"event": event}), Timestamp::from_secs(0)).await;
        }
        let heard = |event: &Value| bus.targets(event).map(|target| target.name.clone()).collect::<Vec<_>>();
        let latest = bus.latest();
        assert_eq!(
            (heard(&latest[0]), heard(&latest[1])),
            (vec!["Made".to_string(), "All".into()], vec!["All".into()])
        );
        assert_eq!(latest[0]["time"], "1970-01-01T00:00:00Z");
        assert_ne!(latest[0]["id"], latest[1]["id"]);
    }

    #[tokio::test]
    async fn the_latest_thousand_are_kept() {
        let bus = EventBus::new(vec![]);
        for i in 0..KEPT + 5 {
            bus.put("s", "t", json!({"i": i}), Timestamp::from_secs(0)).await;
        }
        let kept: Vec<_> = bus.latest().iter().map(|event| event["detail"]["i"].as_u64().unwrap()).collect();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (1_000, 5, 1_004));
    }
}
