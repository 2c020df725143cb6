//! What each function asks of DynamoDB: every request is time that a client waits, and money.

use crate::events;
use crate::harness::Harness;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Notes the name of each request that a client sends, retries among them.
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl Intercept for Noted {
    fn name(&self) -> &'static str {
        "Noted"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap();
        self.0.lock().unwrap().push(target.rsplit('.').next().unwrap().into());
        Ok(())
    }
}

impl Noted {
    fn client(&self, stack: &Harness) -> Client {
        Client::from_conf(stack.dynamodb().config().to_builder().interceptor(self.clone()).build())
    }

    /// What was sent since the last look.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What an event makes a function send.
async fn sent(function: &str, event: &str) -> Vec<String> {
    let stack = Harness::start_with(&events::SETTINGS).await;
    // The stack's own `remind` would hear of records, and take part.
    if function != "remind" {
        events::keep_records(&stack).await;
    }
    let noted = Noted::default();
    let function_under_test = stack.function(function, noted.client(&stack));
    assert_eq!(noted.take(), [] as [&str; 0], "{function} asks before it is asked");
    let _ = function_under_test.invoke(&events::events(function)[event], stack.now()).await;
    noted.take()
}

#[tokio::test]
async fn authorize_reads_once() {
    for event in ["rest-request", "rest-token", "http-1.0", "http-2.0", "too-narrow", "expired", "revoked"] {
        assert_eq!(sent("authorize", event).await, ["GetItem"], "{event}");
    }
    for event in ["unknown-token", "wrong-secret"] {
        assert_eq!(sent("authorize", event).await, ["GetItem"], "{event}");
    }
}

#[tokio::test]
async fn authorize_reads_nothing_for_what_can_be_no_token() {
    for event in ["no-credential", "mistyped", "foreign-credential", "two-tokens", "query-string"] {
        assert_eq!(sent("authorize", event).await, [] as [&str; 0], "{event}");
    }
}

#[tokio::test]
async fn authorize_reads_nothing_while_its_cache_lasts() {
    let stack = Harness::start_with(&[("CACHE_SECONDS", "5")]).await;
    events::keep_records(&stack).await;
    let noted = Noted::default();
    let authorize = stack.function("authorize", noted.client(&stack));
    let event = &events::events("authorize")["rest-request"];
    for (after, expected) in [(0, 1), (1, 0), (3, 0), (1, 1), (4, 0)] {
        stack.advance(after);
        authorize.invoke(event, stack.now()).await.unwrap();
        authorize.settled().await;
        let reads = noted.take().into_iter().filter(|request| request == "GetItem").count();
        assert_eq!(reads, expected, "{after} seconds later");
    }
}

#[tokio::test]
async fn authorize_reads_once_before_the_first_event() {
    let stack = Harness::start().await;
    let noted = Noted::default();
    let authorize = authorize::Function::new(&Default::default(), noted.client(&stack)).unwrap();
    authorize.connect().await;
    assert_eq!(noted.take(), ["GetItem"]);
}

#[tokio::test]
async fn burn_writes_once_a_token_and_asks_nothing_of_what_can_be_none() {
    for event in ["current", "current-revoked", "current-unknown", "current-wrong-secret"] {
        assert_eq!(sent("burn", event).await, ["UpdateItem"], "{event}");
    }
    for event in ["found", "found-revoked", "found-unknown", "gitlab"] {
        assert_eq!(sent("burn", event).await, ["UpdateItem"], "{event}");
    }
    for event in ["current-no-token", "found-foreign", "found-not-json", "github-unsigned", "gitlab-unknown-caller"] {
        assert_eq!(sent("burn", event).await, [] as [&str; 0], "{event}");
    }
}

#[tokio::test]
async fn current_reads_once() {
    for event in ["described", "expired", "revoked", "unknown-token", "wrong-secret"] {
        assert_eq!(sent("current", event).await, ["GetItem"], "{event}");
    }
    assert_eq!(sent("current", "no-token").await, [] as [&str; 0]);
}

#[tokio::test]
async fn verify_reads_once_and_introspect_twice() {
    for event in ["nginx", "envoy", "too-narrow", "expired", "unknown-token", "wrong-secret"] {
        assert_eq!(sent("verify", event).await, ["GetItem"], "{event}");
    }
    for event in ["no-credential", "query-string", "nothing-told", "contradiction"] {
        assert_eq!(sent("verify", event).await, [] as [&str; 0], "{event}");
    }
    for event in ["active", "expired", "unknown-token", "wrong-secret"] {
        assert_eq!(sent("introspect", event).await, ["GetItem", "GetItem"], "{event}");
    }
    for event in ["not-ours", "no-token", "json", "revoked-caller"] {
        assert_eq!(sent("introspect", event).await, ["GetItem"], "the caller's, {event}");
    }
    assert_eq!(sent("introspect", "no-caller").await, [] as [&str; 0]);
}

#[tokio::test]
async fn what_verify_and_introspect_see_is_noted_after_their_answers() {
    let stack = Harness::start().await;
    events::keep_records(&stack).await;
    for (function, event, expected) in [
        ("verify", "nginx", &["GetItem", "UpdateItem"][..]),
        ("introspect", "active", &["GetItem", "GetItem", "UpdateItem"]),
    ] {
        let noted = Noted::default();
        // Later than the use before has to be.
        stack.advance(600);
        let function_under_test = stack.function(function, noted.client(&stack));
        function_under_test.invoke(&events::events(function)[event], stack.now()).await.unwrap();
        function_under_test.settled().await;
        assert_eq!(noted.take(), expected, "{function}");
    }
}

#[tokio::test]
async fn generate_counts_and_writes() {
    assert_eq!(sent("generate", "created").await, ["Query", "PutItem"]);
    for event in ["no-name", "past", "too-many-scopes", "not-json", "no-caller"] {
        assert_eq!(sent("generate", event).await, [] as [&str; 0], "{event}");
    }
}

#[tokio::test]
async fn revoke_writes_once() {
    for event in ["revoked", "revoked-before", "unknown"] {
        assert_eq!(sent("revoke", event).await, ["UpdateItem"], "{event}");
    }
    for event in ["foreign", "no-id", "no-caller"] {
        assert_eq!(sent("revoke", event).await, [] as [&str; 0], "{event}");
    }
}

#[tokio::test]
async fn revoking_all_reads_a_page_and_writes_each() {
    assert_eq!(sent("revoke", "all").await, ["Query", "UpdateItem"], "the one that is active");
    for event in ["all-of-another", "all-of-nobody"] {
        assert_eq!(sent("revoke", event).await, [] as [&str; 0], "{event}");
    }
}

#[tokio::test]
async fn rotate_and_change_read_and_write_once() {
    for event in ["rotated", "overlap", "new-end"] {
        assert_eq!(sent("rotate", event).await, ["GetItem", "UpdateItem"], "{event}");
    }
    for event in ["renamed", "narrowed", "sooner"] {
        assert_eq!(sent("change", event).await, ["GetItem", "UpdateItem"], "{event}");
    }
    for (function, event) in
        [("rotate", "revoked"), ("rotate", "unknown"), ("change", "widened"), ("change", "expired")]
    {
        assert_eq!(sent(function, event).await, ["GetItem"], "{function} {event}");
    }
    for (function, event) in
        [("rotate", "foreign"), ("rotate", "not-json"), ("change", "foreign"), ("change", "nothing")]
    {
        assert_eq!(sent(function, event).await, [] as [&str; 0], "{function} {event}");
    }
}

#[tokio::test]
async fn a_use_is_noted_after_the_answer_once_in_ten_minutes() {
    let stack = Harness::start_with(&[("CACHE_SECONDS", "3600")]).await;
    events::keep_records(&stack).await;
    let noted = Noted::default();
    let authorize = stack.function("authorize", noted.client(&stack));
    let event = &events::events("authorize")["rest-request"];
    for (after, expected) in [(0, &["GetItem", "UpdateItem"][..]), (1, &[]), (598, &[]), (1, &["UpdateItem"]), (1, &[])]
    {
        stack.advance(after);
        authorize.invoke(event, stack.now()).await.unwrap();
        authorize.settled().await;
        assert_eq!(noted.take(), expected, "{after} seconds later");
    }
}

#[tokio::test]
async fn remind_asks_for_what_is_due_and_writes_what_it_hears() {
    assert_eq!(sent("remind", "created").await, ["PutItem"]);
    assert_eq!(sent("remind", "due").await, ["Query"]);
    assert_eq!(sent("remind", "no-end").await, [] as [&str; 0]);
}

#[tokio::test]
async fn list_queries_once_a_page() {
    assert_eq!(sent("list", "all").await, ["Query"]);
    assert_eq!(sent("list", "one").await, ["Query"]);
    assert_eq!(sent("list", "one-foreign").await, [] as [&str; 0]);
    assert_eq!(sent("list", "foreign-cursor").await, [] as [&str; 0]);

    let stack = Harness::start().await;
    for n in 0..5 {
        stack.token("alice", json!({"name": format!("token {n}"), "scopes": ["read"]})).await;
        stack.advance(1);
    }
    let noted = Noted::default();
    let list = stack.function("list", noted.client(&stack));
    let mut event = events::events("list")["all"].clone();
    let claims = &mut event["requestContext"]["authorizer"]["jwt"]["claims"];
    claims["iss"] = format!("http://127.0.0.1:{}", stack.stack.ports().identity).into();
    claims["sub"] = "alice".into();
    let mut seen = vec![];
    let mut cursor = String::new();
    for page in 1..=3 {
        event["rawQueryString"] = format!("limit=2{cursor}").into();
        event["queryStringParameters"] = json!({"limit": "2"});
        if let Some(cursor) = cursor.strip_prefix("&cursor=") {
            event["queryStringParameters"]["cursor"] = cursor.into();
        }
        let answer = list.invoke(&event, stack.now()).await.unwrap();
        assert_eq!(noted.take(), ["Query"], "page {page}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        seen.extend(body["tokens"].as_array().unwrap().iter().map(|token| token["name"].clone()));
        cursor = body["next_cursor"].as_str().map_or_else(String::new, |next| format!("&cursor={next}"));
    }
    assert_eq!(seen, ["token 4", "token 3", "token 2", "token 1", "token 0"]);
    assert_eq!(cursor, "");
}
