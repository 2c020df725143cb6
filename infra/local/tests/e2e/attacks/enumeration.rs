//! What can be learnt of tokens by those whose they are not.

use crate::harness::{Harness, Reply};
use http::Method;
use serde_json::{Value, json};

/// All that a client can see but the time and the request's own id.
fn seen(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let own = ["date", "apigw-requestid", "x-amzn-requestid"];
    let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (reply.status, headers, reply.text())
}

#[tokio::test]
async fn a_token_of_another_is_answered_like_none_byte_for_byte() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let wish = json!({"name": "t", "scopes": ["read"]});
    let own = stack.token("alice", wish.clone()).await;
    let foreign = stack.token("bob", wish.clone()).await;
    let foreign_and_over = stack.token("bob", wish).await;
    stack.revoke("bob", &foreign_and_over.id).await;
    // Nobody's: in another's partition, in the caller's own, and no id at all.
    let other = |id: &str| format!("{}0", &id[..id.len() - 1]);
    let unknown =
        [other(&foreign.id), other(&own.id), stack.unknown_token()[3..46].to_owned(), "x".into(), "0".repeat(43)];
    for (method, behind, body) in [
        (Method::GET, "", None),
        (Method::DELETE, "", None),
        (Method::PATCH, "", Some(json!({"name": "mine"}))),
        (Method::POST, "/rotate", Some(json!({"overlap_seconds": 60}))),
        (Method::POST, "/rotate", None),
    ] {
        let ask = async |id: &str| {
            seen(&stack.api(method.clone(), &format!("/tokens/{id}{behind}"), Some(&alice), body.as_ref()).await)
        };
        let of_nobody = ask(&unknown[0]).await;
        assert_eq!(of_nobody.0, 404, "{method} {behind}");
        for id in unknown.iter().chain([&foreign.id, &foreign_and_over.id]) {
            assert_eq!(ask(id).await, of_nobody, "{method} {behind} {id}");
        }
    }
    assert_eq!(stack.registry(Method::GET, "/x", Some(&foreign.text)).await.status, 200, "nothing happened to it");
}

#[tokio::test]
async fn whether_a_body_is_wrong_does_not_tell_whose_a_token_is() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let foreign = stack.token("bob", json!({"name": "t", "scopes": ["read"]})).await.id;
    let unknown = format!("{}0", &foreign[..42]);
    for (method, behind) in [(Method::PATCH, ""), (Method::POST, "/rotate")] {
        for body in [json!({"wrong": 1}), json!({"scopes": ["write"]}), json!({"expires_at": "2020-01-01"}), json!({})]
        {
            let ask = async |id: &str| {
                seen(&stack.api(method.clone(), &format!("/tokens/{id}{behind}"), Some(&alice), Some(&body)).await)
            };
            assert_eq!(ask(&foreign).await, ask(&unknown).await, "{method} {behind} {body}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_opens_nothing_and_says_nothing() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let foreign = stack.token("bob", json!({"name": "t", "scopes": ["read"]})).await.id;
    let unknown = format!("{}0", &foreign[..42]);
    let ask =
        async |cursor: &str| stack.api(Method::GET, &format!("/tokens?cursor={cursor}"), Some(&alice), None).await;
    let (one, other) = (ask(&foreign).await, ask(&unknown).await);
    assert_eq!((one.status, other.status), (400, 400));
    let less_given = |reply: &Reply| {
        let mut json = reply.json.clone();
        json["errors"][0]["given"] = Value::Null;
        json
    };
    assert_eq!(less_given(&one), less_given(&other));
    for subject in ["bob", "nobody", "service:ci", ""] {
        let listed = stack.api(Method::GET, &format!("/tokens?subject={subject}"), Some(&alice), None).await;
        let ended = stack.api(Method::DELETE, &format!("/tokens?subject={subject}"), Some(&alice), None).await;
        let expected = if subject.is_empty() { 400 } else { 403 };
        assert_eq!((listed.status, ended.status), (403, expected), "{subject}");
    }
}

#[tokio::test]
async fn an_unknown_id_and_a_wrong_secret_are_answered_alike_byte_for_byte() {
    let stack = Harness::start().await;
    let wish = json!({"name": "t", "scopes": ["read"]});
    let good = stack.token("alice", wish.clone()).await;
    let over = stack.token("alice", wish).await;
    stack.revoke("alice", &over.id).await;
    let presented = [stack.unknown_token(), stack.with_another_secret(&good), stack.with_another_secret(&over)];
    let mut answers = vec![];
    for token in &presented {
        let registry = seen(&stack.registry(Method::GET, "/x", Some(token)).await);
        let current = seen(&stack.api(Method::GET, "/tokens/current", Some(token), None).await);
        assert_eq!((registry.0, current.0), (401, 401));
        answers.push((registry, current));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}
