//! What is written to the table, as events of the bus.

use crate::harness::Harness;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local::event_pattern::EventPattern;
use local::options::{Data, Options};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const OWNER: &str = "0000000000000000A";
const ULID: &str = "01JGXW7S00000000000000000A";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Puts a token as functions do, with these attributes more.
async fn put(stack: &Harness, event: Option<&str>, more: &[(&str, AttributeValue)]) {
    let hash = AttributeValue::B(Blob::new([0xab; 32]));
    let token = [
        ("owner", text(OWNER)),
        ("id", text(ULID)),
        ("subject", text("alice")),
        ("name", text("laptop")),
        ("hash", hash.clone()),
        ("retired", AttributeValue::L(vec![hash])),
        ("created_at", number(1_800_000_000)),
    ];
    let event = event.map(|event| ("last_event", text(event)));
    put_item(stack, token.into_iter().chain(event).chain(more.iter().cloned())).await;
}

async fn put_item(stack: &Harness, attributes: impl Iterator<Item = (&str, AttributeValue)>) {
    let item = attributes.map(|(name, value)| (name.to_string(), value)).collect();
    stack.dynamodb().put_item().table_name("latchkey").set_item(Some(item)).send().await.unwrap();
}

/// Every event so far.
async fn events(stack: &Harness) -> Vec<Value> {
    stack.stack.settle_events().await.unwrap();
    stack.stack.events()
}

/// What each event so far says that it is.
async fn heard(stack: &Harness) -> Vec<String> {
    events(stack).await.iter().map(|event| event["detail"]["event"].as_str().unwrap().into()).collect()
}

async fn delete(stack: &Harness) {
    let delete = stack.dynamodb().delete_item().table_name("latchkey");
    delete.key("owner", text(OWNER)).key("id", text(ULID)).send().await.unwrap();
}

/// A moment that is past for the time to live, which goes by the system's clock.
fn past() -> AttributeValue {
    number(latchkey::clock::now().as_secs() - 60)
}

#[tokio::test]
async fn a_creation_is_an_event_with_all_that_is_known_of_the_token() {
    let stack = Harness::start().await;
    put(&stack, Some("created"), &[("expires_at", number(1_900_000_000))]).await;
    let [event] = events(&stack).await.try_into().unwrap();
    assert_eq!(
        event["detail"],
        json!({
            "event": "created", "token_id": format!("{OWNER}{ULID}"), "subject": "alice", "name": "laptop",
            "created_at": "1800000000", "expires_at": "1900000000", "rotated_at": "", "revoked_at": "",
            "revoked_by": "", "leak_url": "", "retired_used_at": "", "days_left": "",
        })
    );
    let envelope = ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"];
    assert_eq!(event.as_object().unwrap().len(), envelope.len());
    assert!(envelope.iter().all(|field| event.get(field).is_some()), "{event}");
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("latchkey"), &json!("Token")));
    assert_eq!(event["time"], "2027-01-05T12:00:00Z", "by the stack's clock");
}

#[tokio::test]
async fn every_later_change_is_an_event_that_says_what_it_was() {
    let stack = Harness::start().await;
    let id = format!("{OWNER}{ULID}");
    put(&stack, Some("created"), &[]).await;
    stack.set_attribute(&id, "last_event", "rotated").await;
    let leaked =
        [("revoked_at", number(5)), ("revoked_by", text("github")), ("leak_url", text("https://github.com/a/b?c=<d>"))];
    put(&stack, Some("leaked"), &leaked).await;
    put(&stack, Some("expiring"), &[("reminded", number(7))]).await;
    assert_eq!(heard(&stack).await, ["created", "rotated", "leaked", "expiring"]);
    let events = events(&stack).await;
    let leaked = &events[2]["detail"];
    assert_eq!(
        (&leaked["revoked_at"], &leaked["revoked_by"], &leaked["leak_url"]),
        (&json!("5"), &json!("github"), &json!("https://github.com/a/b?c=<d>"))
    );
    assert_eq!(events[3]["detail"]["days_left"], "7");
}

#[tokio::test]
async fn the_whole_life_of_a_token_is_told_without_a_secret() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "ci \"x\"\\é", "scopes": ["read"]})).await;
    stack.registry(Method::GET, "/x", Some(&token.text)).await;
    let path = format!("/tokens/{}", token.id);
    let rotated = stack.api(Method::POST, &format!("{path}/rotate"), Some(&alice), None).await;
    stack.registry(Method::GET, "/x", Some(&token.text)).await;
    stack.stack.settled().await;
    stack.api(Method::PATCH, &path, Some(&alice), Some(&json!({"name": "new"}))).await;
    stack.revoke("alice", &token.id).await;
    stack.revoke("alice", &token.id).await;
    assert_eq!(heard(&stack).await, ["created", "rotated", "retired_secret_used", "changed", "revoked"]);
    let events = events(&stack).await;
    assert_eq!(events[0]["detail"]["name"], "ci \"x\"\\é");
    assert_eq!((&events[4]["detail"]["revoked_by"], &events[4]["detail"]["name"]), (&json!("owner"), &json!("new")));
    let all = json!(events).to_string();
    let new = rotated.json["token"].as_str().unwrap();
    for secret in [token.secret(), &new[new.len() - 49..new.len() - 6]] {
        assert!(!all.contains(secret));
    }
    assert!(!all.contains("hash") && !all.contains("scopes"));
}

#[tokio::test]
async fn a_use_that_was_noted_is_no_event() {
    let stack = Harness::start().await;
    put(&stack, Some("used"), &[]).await;
    put(&stack, Some("used"), &[("last_used_at", number(1))]).await;
    put(&stack, None, &[]).await;
    assert_eq!(heard(&stack).await, [""; 0]);
}

#[tokio::test]
async fn what_is_no_token_is_no_event() {
    let stack = Harness::start().await;
    let reminder = [("owner", text("due")), ("id", text("2027-01-05T12:00:00Z#x")), ("purge_at", past())];
    put_item(&stack, reminder.into_iter()).await;
    stack.stack.sweep().await.unwrap();
    assert_eq!(stack.table().await, (vec![], vec![]));
    assert_eq!(heard(&stack).await, [""; 0]);
}

#[tokio::test]
async fn a_purge_is_told_from_a_deletion_and_says_how_the_token_had_ended() {
    let stack = Harness::start().await;
    put(&stack, Some("created"), &[]).await;
    delete(&stack).await;
    assert_eq!(heard(&stack).await, ["created"], "somebody deleted it by hand");

    put(&stack, Some("created"), &[("purge_at", past()), ("expires_at", number(7))]).await;
    stack.stack.sweep().await.unwrap();
    put(&stack, Some("revoked"), &[("purge_at", past()), ("revoked_at", number(8)), ("revoked_by", text("owner"))])
        .await;
    stack.stack.sweep().await.unwrap();
    assert_eq!(heard(&stack).await, ["created", "created", "purged", "revoked", "purged"]);
    let events = events(&stack).await;
    let ends = |event: &Value| ["expires_at", "revoked_at", "revoked_by"].map(|field| event["detail"][field].clone());
    assert_eq!(
        (ends(&events[2]), ends(&events[4])),
        ([json!("7"), json!(""), json!("")], [json!(""), json!("8"), json!("owner")])
    );
    assert_eq!(events[4]["detail"]["token_id"], format!("{OWNER}{ULID}"));
    assert_eq!(events[4]["detail"].as_object().unwrap().len(), 12, "as of any other event");
}

#[tokio::test]
async fn what_people_chose_arrives_as_they_chose_it() {
    let stack = Harness::start().await;
    let odd = "a \"quoted\" \\ back\\u0041slash\", \"event\": \"x \u{1f511} <$.dynamodb.NewImage.hash.B> \u{202e}";
    let chosen = [("name", text(odd)), ("subject", text("auth0|\"al\\ice\""))];
    put(&stack, Some("created"), &chosen).await;
    put(&stack, Some("revoked"), &[chosen.as_slice(), &[("purge_at", past())]].concat()).await;
    stack.stack.sweep().await.unwrap();
    assert_eq!(heard(&stack).await, ["created", "revoked", "purged"]);
    for event in events(&stack).await {
        assert_eq!((&event["detail"]["name"], &event["detail"]["subject"]), (&json!(odd), &json!("auth0|\"al\\ice\"")));
    }
}

#[tokio::test]
async fn no_event_has_anything_of_a_secret() {
    let stack = Harness::start().await;
    put(&stack, Some("created"), &[]).await;
    put(&stack, Some("rotated"), &[("purge_at", past()), ("rotated_at", number(1))]).await;
    stack.stack.sweep().await.unwrap();
    let events = events(&stack).await;
    assert_eq!(events.len(), 3);
    for event in events {
        let detail = event["detail"].as_object().unwrap();
        assert!(!detail.contains_key("hash") && !detail.contains_key("retired"), "{event}");
        // The hash in base64, as it stands in the stream.
        assert!(!event.to_string().contains("q6urq6ur"), "{event}");
    }
}

#[tokio::test]
async fn the_readmes_pattern_means_what_it_says() {
    let readme = include_str!("../../../../README.md");
    let pattern = readme.split("```json\n").find(|block| block.contains("detail-type")).unwrap();
    let pattern = serde_json::from_str(pattern.split("```").next().unwrap()).unwrap();
    let pattern = EventPattern::new(&pattern).unwrap();
    let stack = Harness::start().await;
    for event in ["created", "leaked", "revoked", "retired_secret_used"] {
        put(&stack, Some(event), &[]).await;
    }
    let meant: Vec<_> = events(&stack).await.iter().map(|event| pattern.matches(event)).collect();
    assert_eq!(meant, [false, true, false, true]);
}

#[tokio::test]
async fn nobody_has_to_ask_for_events() {
    let stack = Harness::start().await;
    put(&stack, Some("created"), &[]).await;
    while stack.stack.events().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(heard(&stack).await, ["created"], "once");
}

fn options(folder: &Path) -> Options {
    Options { data: Data::Dir(folder.join("data")), ..Options::in_memory() }
}

#[tokio::test]
async fn a_stack_goes_on_where_the_one_before_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let begin = latchkey::clock::now().to_string();
    let first = Harness::start_from(&[], options(folder.path()), &begin).await;
    put(&first, Some("created"), &[("purge_at", past())]).await;
    first.stack.shutdown().await;

    let second = Harness::start_from(&[], options(folder.path()), &begin).await;
    assert_eq!(heard(&second).await, ["purged"], "at its start, and nothing for a second time");
    second.stack.shutdown().await;
}

#[tokio::test]
async fn a_table_that_was_made_without_a_stream_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let begin = latchkey::clock::now().to_string();
    let first = Harness::start_from(&[], options(folder.path()), &begin).await;
    let none = aws_sdk_dynamodb::types::StreamSpecification::builder().stream_enabled(false).build().unwrap();
    let update = first.dynamodb().update_table().table_name("latchkey").stream_specification(none);
    update.send().await.unwrap();
    first.stack.shutdown().await;

    let second = Harness::start_from(&[], options(folder.path()), &begin).await;
    put(&second, Some("created"), &[]).await;
    assert_eq!(heard(&second).await, ["created"]);
    second.stack.shutdown().await;
}

#[tokio::test]
async fn the_log_says_what_happened_to_which_token() {
    let stack = Harness::start().await;
    let id = format!("{OWNER}01JGXW7S0000000000000000ZZ");
    put(&stack, Some("created"), &[("id", text(&id[17..])), ("name", text("a\nline"))]).await;
    assert_eq!(heard(&stack).await, ["created"]);
    let log = crate::harness::log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&format!("event created {id}"))).collect();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains("alice") && !lines[0].contains("line"), "{}", lines[0]);
}
