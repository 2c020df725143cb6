//! Where a token must not be: in the table, in a log line at any level, in a `Debug`.

use crate::harness::{self, Harness};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn neither_the_table_nor_any_log_line_holds_a_token_or_a_secret() {
    let stack = Harness::start().await;
    let mut tokens = vec![];
    for i in 0..5 {
        tokens.push(stack.token("alice", json!({"name": format!("t{i}"), "scopes": ["read:npm/*"]})).await);
    }
    let alice = stack.session("alice").await;
    for token in &tokens {
        stack.registry(Method::GET, "/npm/x", Some(&token.text)).await;
        stack.registry(Method::PUT, "/npm/x", Some(&token.text)).await;
        stack.registry(Method::GET, "/npm/x", Some(&stack.with_another_secret(token))).await;
        stack.registry(Method::GET, &format!("/npm/x?t={}", token.text), None).await;
        for uri in [format!("/npm/x?t={}", token.text), format!("/{}", token.text), token.text.clone()] {
            let authorization = format!("Bearer {}", token.text);
            let told = [
                ("x-original-method", "GET"),
                ("x-original-uri", uri.as_str()),
                ("authorization", authorization.as_str()),
            ];
            stack.api_with(Method::GET, "/verify", None, &told, json!(null)).await;
            let prefixed = format!("/verify/{}", token.text);
            stack.api_with(Method::GET, &prefixed, None, &told, json!(null)).await;
        }
        let pasted = json!({"name": token.text, "scopes": [token.text]});
        stack.api(Method::POST, "/tokens", Some(&alice), Some(&pasted)).await;
        stack.api(Method::DELETE, &format!("/tokens/{}", token.text), Some(&alice), None).await;
        stack.api(Method::GET, &format!("/tokens?cursor={}", token.text), Some(&alice), None).await;
        let found = json!({"token": stack.with_another_secret(token), "where": token.text});
        stack.api(Method::POST, "/tokens/burn", None, Some(&found)).await;
        stack.api(Method::POST, "/leaks/github", None, Some(&json!([{"token": token.text}]))).await;
        stack.api(Method::POST, "/leaks/gitlab/v1/revoke_tokens", Some(&token.text), Some(&found)).await;
    }
    stack.api(Method::POST, "/tokens/burn", None, Some(&json!({"token": tokens[1].text}))).await;
    stack.api(Method::DELETE, "/tokens/current", Some(&tokens[2].text), None).await;
    stack.revoke("alice", &tokens[0].id).await;
    stack.registry(Method::GET, "/npm/x", Some(&tokens[0].text)).await;

    let items = stack.items().await;
    assert_eq!(items.len(), 5);
    let table = format!("{items:?}");
    stack.drop_table().await;
    stack.registry(Method::GET, "/npm/x", Some(&tokens[1].text)).await;
    stack.api(Method::POST, "/tokens/burn", None, Some(&json!({"token": tokens[1].text}))).await;
    stack.api(Method::POST, "/tokens", Some(&alice), Some(&json!({"name": "t", "scopes": ["read"]}))).await;

    let log = harness::log();
    assert!(log.contains("created") && log.contains("not_granted"), "the log was on");
    for token in &tokens {
        assert!(table.contains(&token.id[17..]), "the id is public");
        assert!(!table.contains(token.secret()), "the table holds a secret");
        assert!(!log.contains(token.secret()), "the log holds a secret");
        assert!(!log.contains(&alice), "the log holds a session");
    }
    for item in items {
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.retain(|name| !["revoked_at", "revoked_by"].contains(name) && !name.starts_with("last_used"));
        let expected =
            ["created_at", "expires_at", "hash", "id", "last_event", "name", "owner", "purge_at", "scopes", "subject"];
        assert_eq!(names, expected);
        assert_eq!(item["hash"].as_b().unwrap().as_ref().len(), 32);
    }
}

#[tokio::test]
async fn no_refusal_repeats_a_token_wherever_it_was_put() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:npm/*"]})).await;
    let alice = stack.session("alice").await;
    let text = token.text.as_str();
    let scope = format!("read:npm/{text}");
    let fields =
        json!({text: text, "name": text, "scopes": [text, scope], "expires_at": text, "source_addresses": [text]});
    let answers = [
        stack.registry(Method::GET, &format!("/pypi/{text}"), Some(text)).await,
        stack.registry(Method::GET, &format!("/npm//{text}"), Some(text)).await,
        stack.registry(Method::GET, &format!("/npm/x?t={text}"), Some(text)).await,
        stack.api(Method::GET, &format!("/tokens?{text}=x"), Some(&alice), None).await,
        stack.api(Method::GET, &format!("/tokens?status={text}"), Some(&alice), None).await,
        stack.api(Method::GET, &format!("/tokens/{text}"), Some(&alice), None).await,
        stack.api(Method::POST, "/tokens", Some(&alice), Some(&fields)).await,
        stack.api(Method::POST, "/tokens", Some(&alice), Some(&json!({"name": "t", "scopes": [scope]}))).await,
        stack.api(Method::POST, &format!("/tokens/{}/rotate", token.id), Some(&alice), Some(&fields)).await,
        stack.api(Method::PATCH, &format!("/tokens/{}", token.id), Some(&alice), Some(&fields)).await,
    ];
    for (i, answer) in answers.iter().enumerate() {
        assert!(answer.status >= 400, "{i}: {}", answer.status);
        assert!(!answer.json.to_string().contains(token.secret()), "{i}: {}", answer.json);
    }
}
