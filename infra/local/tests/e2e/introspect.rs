//! What a token is worth, for servers that were sent one.

use crate::harness::{self, Harness, Reply, Token};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, Request};
use serde_json::json;

async fn ask_as(stack: &Harness, authorization: Option<&str>, content_type: &str, form: &str) -> Reply {
    let mut request = Request::post("/introspect").header("content-type", content_type);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    harness::send(stack.stack.ports().api, request.body(form.to_owned().into()).unwrap()).await
}

async fn ask(stack: &Harness, caller: &Token, form: &str) -> Reply {
    ask_as(stack, Some(&format!("Bearer {}", caller.text)), "application/x-www-form-urlencoded", form).await
}

async fn stack_and_caller() -> (Harness, Token) {
    let stack = Harness::start().await;
    let caller = stack.token("registry", json!({"name": "introspection", "scopes": ["read:nothing"]})).await;
    (stack, caller)
}

#[tokio::test]
async fn a_good_token_is_told_by_the_members_of_rfc_7662() {
    let (stack, caller) = stack_and_caller().await;
    let wish = json!({"name": "ci", "scopes": ["read:pypi/*", "write:npm/@acme/*"], "expires_at": "2027-01-31"});
    let token = stack.token("alice", wish).await;
    let reply = ask(&stack, &caller, &format!("token_type_hint=refresh_token&token={}&x=y", token.text)).await;
    let last_second = latchkey::clock::Timestamp::parse("2027-01-31T23:59:59Z").unwrap().as_secs();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.json,
        json!({
            "active": true, "scope": "read:pypi/* write:npm/@acme/*", "client_id": token.id, "username": "alice",
            "token_type": "Bearer", "exp": last_second + 1, "iat": stack.now().as_secs(), "sub": "alice",
            "jti": token.id, "name": "ci",
        })
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    stack.set_time("2027-01-31T23:59:59Z");
    let last = ask(&stack, &caller, &format!("token={}", token.text)).await;
    assert_eq!(last.json["active"], true, "the second before exp");
}

#[tokio::test]
async fn a_token_without_an_end_has_no_exp_and_a_secret_in_its_overlap_has_that_of_the_overlap() {
    let stack = Harness::start_with(&[("ALLOW_NO_EXPIRY", "true")]).await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"], "expires_at": null})).await;
    let form = format!("token={}", token.text);
    assert_eq!(ask(&stack, &token, &form).await.json.get("exp"), None);
    let session = stack.session("alice").await;
    let path = format!("/tokens/{}/rotate", token.id);
    let rotated = stack.api(Method::POST, &path, Some(&session), Some(&json!({"overlap_seconds": 60}))).await;
    assert_eq!(ask(&stack, &token, &form).await.json["exp"], stack.now().as_secs() + 60);
    let current = Token { id: token.id.clone(), text: rotated.json["token"].as_str().unwrap().into() };
    assert_eq!(ask(&stack, &current, &format!("token={}", current.text)).await.json.get("exp"), None);
    stack.advance(60);
    assert_eq!(ask(&stack, &current, &form).await.json, json!({"active": false}));
}

#[tokio::test]
async fn whatever_is_no_good_token_is_inactive_and_nothing_else_is_said() {
    let (stack, caller) = stack_and_caller().await;
    let wish = |name: &str| json!({"name": name, "scopes": ["read"], "expires_at": "2027-02-01"});
    let (good, lost) = (stack.token("alice", wish("good")).await, stack.token("alice", wish("lost")).await);
    let old = stack.token("alice", json!({"name": "old", "scopes": ["read"], "expires_at": "2027-01-06"})).await;
    stack.revoke("alice", &lost.id).await;
    let rotated = stack.token("alice", wish("rotated")).await;
    let session = stack.session("alice").await;
    let path = format!("/tokens/{}/rotate", rotated.id);
    stack.api(Method::POST, &path, Some(&session), Some(&json!({}))).await;
    stack.set_time("2027-01-07T00:00:00Z");
    for token in [
        lost.text,
        old.text,
        rotated.text,
        stack.unknown_token(),
        stack.with_another_secret(&good),
        good.text[1..].into(),
        format!("{}x", good.text),
        format!("Bearer+{}", good.text),
        "ghp_0123456789".into(),
        "%00%ff".into(),
        String::new(),
        session,
    ] {
        let reply = ask(&stack, &caller, &format!("token={token}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, r#"{"active":false}"#), "{token}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    stack.stack.settled().await;
    let items = stack.items().await;
    let of_rotated = items.iter().find(|item| item["name"].as_s().unwrap() == "rotated").unwrap();
    assert!(of_rotated.contains_key("retired_used_at"), "a retired secret was used");
}

#[tokio::test]
async fn a_token_that_is_bound_to_addresses_is_inactive_where_none_or_another_is_told() {
    let (stack, caller) = stack_and_caller().await;
    let wish = json!({"name": "bound", "scopes": ["read"], "source_addresses": ["198.51.100.0/24", "127.0.0.1"]});
    let token = stack.token("alice", wish).await;
    for (address, active) in [
        ("", false),
        ("&source_address=198.51.100.7", true),
        ("&source_address=%3A%3Affff%3A198.51.100.7", true),
        ("&source_address=203.0.113.1", false),
    ] {
        let reply = ask(&stack, &caller, &format!("token={}{address}", token.text)).await;
        assert_eq!((reply.status, &reply.json["active"]), (200, &json!(active)), "{address}");
    }
    stack.stack.settled().await;
    let shown =
        stack.api(Method::GET, &format!("/tokens/{}", token.id), Some(&stack.session("alice").await), None).await;
    assert!(shown.json["last_used"]["at"].is_string(), "{}", shown.json);
}

#[tokio::test]
async fn whoever_asks_has_a_good_token_themselves() {
    let (stack, caller) = stack_and_caller().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    let lost = stack.token("alice", json!({"name": "lost", "scopes": ["read"]})).await;
    stack.revoke("alice", &lost.id).await;
    let wish = json!({"name": "elsewhere", "scopes": ["read"], "source_addresses": ["203.0.113.0/24"]});
    let elsewhere = stack.token("alice", wish).await;
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let form = format!("token={}", token.text);
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    for authorization in [
        format!("Bearer {}", caller.text),
        basic(&format!("registry:{}", caller.text)),
        format!("Bearer {}", token.text),
    ] {
        let reply = ask_as(&stack, Some(&authorization), content_type, &form).await;
        assert_eq!((reply.status, &reply.json["active"]), (200, &json!(true)), "{authorization}");
    }
    for authorization in [
        None,
        Some("Bearer ghp_0123".to_owned()),
        Some(format!("Bearer {}", stack.unknown_token())),
        Some(format!("Bearer {}", stack.with_another_secret(&caller))),
        Some(format!("Bearer {}", lost.text)),
        Some(format!("Bearer {}", elsewhere.text)),
        Some(format!("Bearer {}", stack.session("alice").await)),
    ] {
        let reply = ask_as(&stack, authorization.as_deref(), content_type, &form).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{authorization:?}");
        assert_eq!(reply.json.get("active"), None);
    }
    stack.stack.settled().await;
    let shown =
        stack.api(Method::GET, &format!("/tokens/{}", caller.id), Some(&stack.session("registry").await), None).await;
    assert_eq!(shown.json["last_used"]["address"], "127.0.0.1", "{}", shown.json);
}

#[tokio::test]
async fn a_wrong_form_is_named_and_never_repeated() {
    let (stack, caller) = stack_and_caller().await;
    let form = "application/x-www-form-urlencoded";
    let t = &caller.text;
    for (content_type, body, field) in [
        (form, String::new(), "token"),
        (form, format!("toke={t}"), "token"),
        (form, format!("token={t}&token={t}"), "token"),
        (form, format!("token={t}&source_address={t}"), "source_address"),
        (form, format!("token={t}&source_address=192.0.2.1&source_address=192.0.2.1"), "source_address"),
        ("application/json", json!({"token": t}).to_string(), "Content-Type"),
        ("text/plain", format!("token={t}"), "Content-Type"),
    ] {
        let reply = ask_as(&stack, Some(&format!("Bearer {t}")), content_type, &body).await;
        assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!(field)), "{body}");
        assert!(!reply.text().contains(caller.secret()));
        assert_eq!(reply.json["errors"][0].get("given"), None);
    }
    let in_query = Request::post(format!("/introspect?token={t}")).header("content-type", form);
    let in_query = in_query.header("authorization", format!("Bearer {t}")).body(Default::default()).unwrap();
    assert_eq!(harness::send(stack.stack.ports().api, in_query).await.status, 400);
}

#[tokio::test]
async fn a_fault_is_503_and_no_answer() {
    let (stack, caller) = stack_and_caller().await;
    stack.drop_table().await;
    let reply = ask(&stack, &caller, &format!("token={}", caller.text)).await;
    assert_eq!((reply.status, reply.json.get("active")), (503, None));
}
