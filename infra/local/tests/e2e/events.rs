//! Every sample event in `events/`, fed to its function.

use crate::harness::Harness;
use latchkey::clock::Timestamp;
use latchkey::record::{Record, Retired, Times};
use latchkey::scope::Scopes;
use latchkey::source::SourceAddresses;
use latchkey::token::Token;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn folder(function: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events").join(function)
}

/// Every event of a function by the name of its file.
pub fn events(function: &str) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder(function)).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect()
}

/// The settings that the events were made for.
pub const SETTINGS: [(&str, &str); 1] =
    [("GITLAB_TOKEN_SHA256", "39ca0cce9d4d44cedfc90de9784f249f5adbb35b01dbc813e22dcafc59bf9901")];

/// What each management event is answered with. A report that GitHub signed is none of them: its key is GitHub's alone.
pub const STATUS: [(&str, &[(&str, u16)]); 10] = [
    (
        "burn",
        &[
            ("current", 204),
            ("current-no-token", 401),
            ("current-revoked", 204),
            ("current-unknown", 401),
            ("current-wrong-secret", 401),
            ("found", 204),
            ("found-foreign", 204),
            ("found-no-token", 400),
            ("found-not-json", 400),
            ("found-revoked", 204),
            ("found-unknown", 204),
            ("github-odd-signature", 401),
            ("github-unsigned", 401),
            ("gitlab", 204),
            ("gitlab-other-type", 400),
            ("gitlab-types", 200),
            ("gitlab-types-unknown-caller", 401),
            ("gitlab-unknown-caller", 401),
        ],
    ),
    (
        "change",
        &[
            ("expired", 409),
            ("foreign", 404),
            ("narrowed", 200),
            ("no-caller", 403),
            ("nothing", 400),
            ("prolonged", 409),
            ("renamed", 200),
            ("revoked", 409),
            ("sooner", 200),
            ("unknown", 404),
            ("unknown-field", 400),
            ("widened", 409),
            ("wrong-types", 400),
        ],
    ),
    ("console", &[("module", 200), ("page", 200), ("unchanged", 304), ("unknown-file", 404)]),
    (
        "current",
        &[
            ("described", 200),
            ("expired", 403),
            ("no-token", 401),
            ("query-string", 401),
            ("revoked", 403),
            ("unknown-token", 401),
            ("wrong-secret", 401),
        ],
    ),
    (
        "generate",
        &[
            ("bad-scope", 400),
            ("beyond-limit", 400),
            ("bound", 201),
            ("control-character", 400),
            ("created", 201),
            ("long-name", 400),
            ("no-caller", 403),
            ("no-expiry", 400),
            ("no-name", 400),
            ("no-scopes", 400),
            ("not-json", 400),
            ("past", 400),
            ("service", 400),
            ("token-as-name", 400),
            ("too-large", 413),
            ("too-many-scopes", 400),
            ("unknown-field", 400),
            ("wrong-address", 400),
            ("wrong-types", 400),
        ],
    ),
    (
        "introspect",
        &[
            ("active", 200),
            ("expired", 200),
            ("json", 400),
            ("no-caller", 401),
            ("no-token", 400),
            ("not-ours", 200),
            ("revoked", 200),
            ("revoked-caller", 401),
            ("twice", 400),
            ("unknown-token", 200),
            ("wrong-secret", 200),
        ],
    ),
    (
        "list",
        &[
            ("active", 200),
            ("all", 200),
            ("another-subject", 403),
            ("foreign-cursor", 400),
            ("no-caller", 403),
            // A query that no URI can have, which API Gateway is not known to refuse.
            ("not-a-uri", 400),
            ("one", 200),
            ("one-foreign", 404),
            ("one-no-id", 404),
            ("one-unknown", 404),
            ("unknown-parameter", 400),
            ("wrong-limit", 400),
            ("wrong-status", 400),
        ],
    ),
    (
        "revoke",
        &[
            ("all", 200),
            ("all-of-another", 403),
            ("all-of-nobody", 400),
            ("foreign", 404),
            ("no-caller", 403),
            ("no-id", 404),
            ("revoked", 204),
            ("revoked-before", 204),
            ("unknown", 404),
        ],
    ),
    (
        "rotate",
        &[
            ("expired", 409),
            ("foreign", 404),
            ("long-overlap", 400),
            ("new-end", 200),
            ("no-caller", 403),
            ("not-json", 400),
            ("overlap", 200),
            ("revoked", 409),
            ("rotated", 200),
            ("unknown", 404),
            ("unknown-field", 400),
        ],
    ),
    (
        "verify",
        &[
            ("contradiction", 400),
            ("envoy", 200),
            ("envoy-untold", 400),
            ("expired", 403),
            ("nginx", 200),
            ("no-credential", 401),
            ("nothing-told", 400),
            ("query-string", 403),
            ("revoked", 403),
            ("too-narrow", 403),
            ("traefik", 200),
            ("unknown-token", 401),
            ("wrong-secret", 401),
        ],
    ),
];

/// What each authorizer event is answered with: a part of the message, or of the error.
pub const DECISION: [(&str, Result<&str, &str>); 16] = [
    ("expired", Ok("Token expired expired on 2027-01-04T12:00:00Z.")),
    ("foreign-credential", Err("Unauthorized")),
    ("http-1.0", Ok("")),
    ("http-2.0", Ok("")),
    ("mistyped", Err("Unauthorized")),
    ("no-credential", Err("Unauthorized")),
    ("not-an-authorizer-event", Err("not an authorizer event of API Gateway")),
    ("odd-path", Ok("Token active is fine, but the path /npm/@acme/../other is not")),
    ("query-string", Ok("A token in the query string is refused")),
    ("rest-request", Ok("")),
    ("rest-token", Ok("")),
    ("revoked", Ok("Token revoked was revoked on 2027-01-04T12:00:00Z.")),
    ("too-narrow", Ok("This request needs write:pypi/simple/.")),
    ("two-tokens", Err("Unauthorized")),
    ("unknown-token", Err("Unauthorized")),
    ("wrong-secret", Err("Unauthorized")),
];

/// Keeps the records that the events speak of: those of the tokens in `rest-request`, `expired` and `revoked`.
pub async fn keep_records(stack: &Harness) {
    let now = stack.now();
    let hours = |hours: i64| Timestamp::from_secs(now.as_secs() + hours * 3600);
    let tokens = events("authorize");
    for (event, name, expires_at, revoked_at) in [
        ("rest-request", "active", hours(24), None),
        ("expired", "expired", hours(-24), None),
        ("revoked", "revoked", hours(24), Some(hours(-24))),
    ] {
        let authorization = tokens[event]["headers"]["Authorization"].as_str().unwrap();
        let token: Token = authorization.trim_start_matches("Bearer ").parse().unwrap();
        let record = Record {
            id: token.id(),
            subject: "alice".into(),
            hash: token.hash(),
            retired: Retired::default(),
            name: name.into(),
            scopes: Scopes::new(["read:pypi/*", "write:npm/@acme/*"].map(|scope| scope.parse().unwrap())).unwrap(),
            source_addresses: SourceAddresses::default(),
            times: Times { created_at: hours(-48), rotated_at: None, expires_at: Some(expires_at), revoked_at },
            revoked_by: None,
            leak_url: None,
            last_use: None,
        };
        stack.store().create(&record, None).await.unwrap();
    }
}

#[tokio::test]
async fn every_management_event_gets_its_answer() {
    for (function, expected) in STATUS {
        let mut answered = vec![];
        for (name, event) in events(function) {
            // Each its own table: what one event does is not for the next to find.
            let stack = Harness::start_with(&SETTINGS).await;
            keep_records(&stack).await;
            let answer = stack.invoke(function, event).await.unwrap();
            answered.push((name, answer["statusCode"].as_u64().unwrap() as u16));
        }
        let expected: Vec<_> = expected.iter().map(|(name, status)| (name.to_string(), *status)).collect();
        assert_eq!(answered, expected, "{function}");
    }
}

#[tokio::test]
async fn every_event_of_the_bus_is_taken() {
    // Without records, of which the stack itself would hear.
    let stack = Harness::start().await;
    let events = events("remind");
    assert_eq!(events.keys().map(String::as_str).collect::<Vec<_>>(), ["created", "due", "no-end"]);
    for (name, event) in events {
        assert_eq!(stack.invoke("remind", event).await, Ok(Value::Null), "{name}");
    }
    assert_eq!(stack.table().await.1.len(), 1, "of the token that has an end");
}

#[tokio::test]
async fn every_authorizer_event_gets_its_answer() {
    let stack = Harness::start().await;
    keep_records(&stack).await;
    let events = events("authorize");
    assert_eq!(events.keys().map(String::as_str).collect::<Vec<_>>(), DECISION.map(|(name, _)| name));
    for (name, expected) in DECISION {
        check(name, expected, stack.authorize(events[name].clone()).await);
    }
}

/// Whether an authorizer's answer is the expected one.
pub fn check(name: &str, expected: Result<&str, &str>, answer: Result<Value, String>) {
    match (expected, answer) {
        (Ok(message), Ok(answer)) => {
            let said = answer["context"]["message"].as_str().unwrap();
            assert!(said.contains(message), "{name}: {answer}");
            let effects: Vec<_> =
                answer["policyDocument"]["Statement"].as_array().unwrap().iter().map(|s| &s["Effect"]).collect();
            let ended = message.contains(" on 2027") || message.contains("query string");
            assert_eq!(effects.contains(&&Value::from("Allow")), !ended, "{name}: {answer}");
        }
        (Err(expected), Err(error)) => assert!(error.contains(expected), "{name}: {error}"),
        (_, answer) => panic!("{name}: {answer:?}"),
    }
}
