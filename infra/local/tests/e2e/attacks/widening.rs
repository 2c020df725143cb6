//! Requests for more than the interface offers: scopes that mean more than they say, fields that are not for callers.

use crate::harness::Harness;
use http::Method;
use serde_json::{Value, json};

/// Scopes that would become something else in a policy, in a path or for a reader.
const INJECTED: [&str; 52] = [
    "*",
    "*:*",
    "read:**",
    "read:*x",
    "read:a*b",
    "read:*/*",
    "read:?",
    "read:npm/?",
    "read:npm/@acme/x?write=true",
    "write:npm/${aws:username}/*",
    "read:${*}",
    "read:$context.path",
    "read:{proxy+}",
    "arn:aws:execute-api:*:*:*/*/*/*",
    "read:arn:aws:execute-api:us-east-1:123456789012:registry/live/*",
    "read:npm/*\",\"arn:aws:execute-api:*",
    "read:npm/x\"]},{\"Effect\":\"Allow\"",
    "read:npm/x'",
    "read:npm/x\\",
    "read:npm/x\\u002a",
    "read:npm,write:*",
    "read:npm write:*",
    "read:npm/x\nwrite:*",
    "read:npm/x\r\nX-Latchkey-Subject: root",
    "read:npm/x\0",
    " read:npm/x",
    "read:npm/x ",
    "read: npm/x",
    "read :npm/x",
    "READ:npm/x",
    "Write:npm/x",
    "admin:*",
    "delete:npm/x",
    "write",
    "r\u{435}ad:npm/x",
    "read:npm/@\u{430}cme/x",
    "read\u{ff1a}npm/x",
    "read:npm\u{2215}x",
    "read:npm\u{ff0f}x",
    "read:npm/\u{ff0a}",
    "read:npm/x\u{200b}",
    "read:\u{202e}mpn",
    "read:npm/%2e%2e/x",
    "read:npm/%2a",
    "read:npm/@acme%2fx",
    "read:npm/../x",
    "read:npm/./x",
    "read:npm//x",
    "read:/npm/x",
    "read:npm/..",
    "read:npm/..;/x",
    "read:",
];

#[tokio::test]
async fn no_scope_means_more_than_it_says_at_creation_or_change() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:*"]})).await;
    let path = format!("/tokens/{}", token.id);
    let before = stack.items().await;
    for scope in INJECTED {
        for scopes in [json!([scope]), json!(["read:npm/ok", scope])] {
            // `write` is a scope, and more than the token has.
            let (created, changed) = if scope == "write" { (201, 409) } else { (400, 400) };
            let reply = stack.api(Method::PATCH, &path, Some(&alice), Some(&json!({"scopes": scopes}))).await;
            assert_eq!(reply.status, changed, "{scope:?}: {reply:?}");
            if created == 400 {
                let wish = json!({"name": "t", "scopes": scopes});
                let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await;
                assert_eq!(reply.status, created, "{scope:?}: {reply:?}");
                assert!(reply.json["errors"][0]["field"].as_str().unwrap().starts_with("scopes["), "{reply:?}");
            }
        }
    }
    for scopes in [
        json!("read:*"),
        json!({"0": "read:*"}),
        json!([["read:*"]]),
        json!([null]),
        json!([]),
        Value::Null,
        json!(true),
    ] {
        let wish = json!({"name": "t", "scopes": scopes});
        assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await.status, 400, "{scopes}");
        assert_eq!(
            stack.api(Method::PATCH, &path, Some(&alice), Some(&json!({"scopes": scopes}))).await.status,
            400,
            "{scopes}"
        );
    }
    assert_eq!(stack.items().await, before);
}

#[tokio::test]
async fn no_attribute_of_a_record_is_a_field_of_a_request_unless_it_is_said_to_be() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await;
    let before = stack.items().await;
    // Those of the table, those that answers have, and those that programmers are fond of.
    let attributes = [
        "owner",
        "id",
        "subject",
        "hash",
        "created_at",
        "revoked_at",
        "purge_at",
        "rotated_at",
        "retired",
        "overlap_ends_at",
        "last_used_at",
        "last_used_ip",
        "last_used_client",
        "retired_used_at",
        "revoked_by",
        "leak_url",
        "reminded",
        "last_event",
        "status",
        "token",
        "secret",
        "last_used",
        "usage",
        "service",
        "is_administrator",
        "admin",
        "role",
        "groups",
        "sub",
        "iss",
        "prefix",
        "Name",
        "NAME",
        "scope",
        "Scopes",
        "expiresAt",
        "expires_in",
        "ttl",
        "$set",
        "__proto__",
        "constructor",
    ];
    let one = format!("/tokens/{}", token.id);
    for attribute in attributes {
        for value in [json!("bob"), json!(4_000_000_000_u64), Value::Null, json!(["read:*"])] {
            for (method, path, mut body) in [
                (Method::POST, "/tokens".to_owned(), json!({"name": "u", "scopes": ["read"]})),
                (Method::PATCH, one.clone(), json!({"name": "u"})),
                (Method::POST, format!("{one}/rotate"), json!({"overlap_seconds": 60})),
            ] {
                body[attribute] = value.clone();
                let reply = stack.api(method.clone(), &path, Some(&alice), Some(&body)).await;
                assert_eq!(reply.status, 400, "{method} {path} {body}: {reply:?}");
                assert_eq!(reply.json["errors"][0]["field"], attribute, "{reply:?}");
            }
        }
    }
    // Those that one route has are not another's.
    for (method, path, body) in [
        (Method::POST, "/tokens".to_owned(), json!({"name": "u", "scopes": ["read"], "overlap_seconds": 1})),
        (Method::PATCH, one.clone(), json!({"source_addresses": []})),
        (Method::PATCH, one.clone(), json!({"overlap_seconds": 1})),
        (Method::POST, format!("{one}/rotate"), json!({"scopes": ["write"]})),
        (Method::POST, format!("{one}/rotate"), json!({"name": "u"})),
    ] {
        assert_eq!(stack.api(method.clone(), &path, Some(&alice), Some(&body)).await.status, 400, "{method} {body}");
    }
    assert_eq!(stack.items().await, before);
    for query in ["owner=bob", "sub=bob", "all=true", "limit=1e9", "limit=-1", "limit=101", "status=any", "fields=hash"]
    {
        let reply = stack.api(Method::GET, &format!("/tokens?{query}"), Some(&alice), None).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}
