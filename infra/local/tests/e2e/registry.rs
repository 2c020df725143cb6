//! The registry's gateway with the authorizer behind it: what a token opens, and what a refusal says.

use crate::harness::Harness;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_token_opens_what_it_grants_and_nothing_else_until_it_is_revoked() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["write:npm/@acme/*", "read:pypi/*"]})).await;
    for (method, path, status) in [
        (Method::PUT, "/npm/@acme/x", 200),
        (Method::GET, "/npm/@acme/x", 200),
        (Method::PUT, "/npm/@acme%2fx", 200),
        (Method::GET, "/pypi/simple/", 200),
        (Method::GET, "/npm/other", 403),
        (Method::PUT, "/pypi/simple/", 403),
        (Method::GET, "/", 403),
        (Method::GET, "/npm/@acme/../other", 403),
        (Method::GET, "/npm/@acme/%2e%2e/other", 403),
        (Method::GET, "/npm/@acme//x", 403),
        (Method::GET, "/npm/@acme%2f..%2fother", 403),
        (Method::GET, "//npm/@acme/x", 403),
    ] {
        let reply = stack.registry(method.clone(), path, Some(&token.text)).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    }

    stack.revoke("alice", &token.id).await;
    let refused = stack.registry(Method::GET, "/pypi/simple/", Some(&token.text)).await;
    assert_eq!(refused.status, 403, "at the very next request");
    let message = refused.json["message"].as_str().unwrap();
    assert!(message.starts_with("Token ci was revoked on 2027-01-05T12:00:00Z."), "{message}");
    for place in ["/error", "/warning", "/errors/0/message", "/errors/0/detail"] {
        assert_eq!(refused.json.pointer(place).unwrap(), message, "{place}");
    }
    assert_eq!(refused.json["errors"][0]["code"], "DENIED");
}

#[tokio::test]
async fn without_a_known_token_there_is_a_challenge_and_no_hint() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    let wrong_secret = stack.with_another_secret(&token);
    let unknown = stack.unknown_token();
    let mut bodies = vec![];
    for presented in
        [None, Some(wrong_secret), Some(unknown), Some("ghp_0123456789".to_owned()), Some(format!("{}x", token.text))]
    {
        let reply = stack.registry(Method::GET, "/npm/x", presented.as_deref()).await;
        assert_eq!(reply.status, 401, "{reply:?}");
        let challenges = reply.headers.get_all("www-authenticate").iter().collect::<Vec<_>>();
        assert_eq!(challenges.len(), 1);
        assert!(challenges[0].to_str().unwrap().starts_with("Basic realm=\"registry\""), "{challenges:?}");
        assert_eq!(reply.json["errors"][0]["code"], "UNAUTHORIZED");
        bodies.push(reply.json);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "every 401 reads alike");
}

#[tokio::test]
async fn an_expired_token_is_refused_although_its_record_is_still_there() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"], "expires_at": "2027-01-31"})).await;
    stack.set_time("2027-01-31T23:59:59Z");
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200, "its last second");
    stack.set_time("2027-02-01T00:00:00Z");
    let refused = stack.registry(Method::GET, "/x", Some(&token.text)).await;
    assert_eq!(refused.status, 403);
    assert!(refused.json["message"].as_str().unwrap().contains("expired on 2027-01-31T23:59:59Z"), "{refused:?}");
    assert_eq!(stack.items().await.len(), 1, "TTL has not cleaned up yet");
}

#[tokio::test]
async fn the_longest_lifetime_holds_at_use_whatever_was_stored() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"], "expires_at": "2028-01-05"})).await;
    stack.set_number(&token.id, "expires_at", 4_000_000_000).await;
    stack.set_time("2028-01-05T23:59:59Z");
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
    stack.set_time("2028-01-06T00:00:00Z");
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 403);
}

#[tokio::test]
async fn a_refusal_names_the_token_what_it_grants_what_is_needed_and_where_to_mend_it() {
    let stack = Harness::start_with(&[("CONSOLE_URL", "https://tokens.example/console")]).await;
    let token = stack.token("alice", json!({"name": "Bob's \"ci\" 🦀", "scopes": ["read:pypi/*"]})).await;
    let refused = stack.registry(Method::PUT, "/npm/@acme%2fx", Some(&token.text)).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json["message"],
        "Token Bob?s ?ci? ? grants read:pypi/*. This request needs write:npm/@acme%2fx. \
         Create another at https://tokens.example/console"
    );
    assert_eq!(refused.header("npm-notice"), refused.json["message"].as_str());
}

#[tokio::test]
async fn a_token_in_the_query_string_is_refused_saying_why() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    for with in [None, Some(token.text.as_str())] {
        let refused = stack.registry(Method::GET, &format!("/x?token={}", token.text), with).await;
        assert_eq!(refused.status, 403);
        let message = refused.json["message"].as_str().unwrap();
        assert!(message.starts_with("A token in the query string is refused"), "{message}");
        assert!(!refused.text().contains(token.secret()));
    }
}

#[tokio::test]
async fn a_new_token_works_at_once_and_a_revoked_one_ends_within_the_stated_bound() {
    // The bound is CACHE_SECONDS and the gateway's own TTL, one after the other.
    let stack = Harness::start_caching("5", "7").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
    stack.advance(4);
    assert_eq!(stack.registry(Method::PUT, "/x", Some(&token.text)).await.status, 403, "the cached grant is no wider");
    stack.revoke("alice", &token.id).await;
    stack.advance(12);
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 403);
}
