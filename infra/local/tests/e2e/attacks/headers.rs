//! Headers by which a client speaks as the gateway, or has the gateway speak otherwise.

use crate::gateway::front;
use crate::harness::{Harness, raw, status};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

/// The headers that the gateway sets for the registry.
const TOLD: [&str; 5] = [
    "x-latchkey-token-id",
    "x-latchkey-token-name",
    "x-latchkey-subject",
    "x-latchkey-scopes",
    "x-latchkey-expires-at",
];

#[tokio::test]
async fn a_client_can_neither_set_nor_double_nor_take_away_what_the_registry_is_told() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    let forged: String = TOLD
        .iter()
        .flat_map(|name| [format!("{name}: root\r\n"), format!("{}: root\r\n", name.to_uppercase())])
        .collect();
    let all = format!("authorization, x-forwarded-for, x-forwarded-proto, x-forwarded-port, host, {}", TOLD.join(", "));
    for (case, headers) in [
        ("set twice", forged.clone()),
        ("named as the connection's", format!("Connection: {all}\r\n")),
        ("both", format!("{forged}Connection: keep-alive, {all}\r\n")),
        ("in two lines", format!("Connection: {all}\r\nConnection: X-Latchkey-Subject ,\r\n{forged}")),
        ("by a proxy's name", format!("Proxy-Connection: {all}\r\nKeep-Alive: {all}\r\nTE: {all}\r\n")),
    ] {
        let request = format!(
            "GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}Connection: close\r\n\r\n"
        );
        let answer = raw(port, request.as_bytes()).await;
        assert_eq!(status(&answer), "200", "{case}: {answer}");
        let (_, _, seen) = registry.last();
        for name in TOLD {
            let values: Vec<_> = seen.get_all(name).iter().collect();
            assert!(values.len() == 1 && values[0] != "root", "{case}, {name}: {values:?}");
        }
        assert_eq!(seen["x-latchkey-subject"], "alice", "{case}");
        assert_eq!(seen["x-forwarded-for"], "127.0.0.1", "{case}");
        assert_eq!(seen["x-forwarded-proto"], "http", "{case}");
        assert!(!seen.contains_key("authorization") && !seen.contains_key("connection"), "{case}");
    }
}

#[tokio::test]
async fn no_answer_that_is_kept_by_authorization_is_earned_by_another_header() {
    for answers in ["0", "300"] {
        let stack = Harness::start_caching("0", answers).await;
        let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await.text;
        let ask = async |authorization: &str, key: &str| {
            let request = Request::get("/x").header("authorization", authorization).header("x-nuget-apikey", key);
            stack.registry_raw(request.body(Full::default()).unwrap()).await.status
        };
        let bearer = format!("Bearer {token}");
        assert_eq!(ask("Basic dTpw", &token).await, 401, "the token stands elsewhere");
        assert_eq!(ask("Basic dTpw", "dummy").await, 401, "and nobody has it by saying the same");
        assert_eq!(ask(&bearer, "dummy").await, 200);
        assert_eq!(ask(&bearer, &token).await, 200);
    }
}

#[tokio::test]
async fn where_a_request_comes_from_is_what_the_gateway_sees() {
    let (registry, stack, _) = front().await;
    let wish = json!({"name": "t", "scopes": ["read"], "source_addresses": ["203.0.113.0/24"]});
    let token = stack.token("alice", wish).await.text;
    for name in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-client-ip",
        "x-cluster-client-ip",
    ] {
        for value in ["203.0.113.7", "for=203.0.113.7", "203.0.113.7, 203.0.113.8"] {
            let request = Request::get("/x").header("authorization", &token).header(name, value);
            let reply = stack.registry_raw(request.body(Full::default()).unwrap()).await;
            assert_eq!(reply.status, 403, "{name}: {value}");
        }
    }
    assert_eq!(registry.count(), 0);
    let unbound = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await.text;
    let request = Request::get("/x").header("authorization", &unbound).header("x-forwarded-for", "203.0.113.7");
    stack.registry_raw(request.header("x-forwarded-proto", "https").body(Full::default()).unwrap()).await;
    let (_, _, seen) = registry.last();
    assert_eq!(seen["x-forwarded-for"], "203.0.113.7, 127.0.0.1", "the last is the gateway's");
    assert_eq!(seen["x-forwarded-proto"], "http");
}

#[tokio::test]
async fn a_method_is_the_one_of_the_request_line() {
    let (registry, stack, _) = front().await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await.text;
    for name in ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"] {
        let request = Request::put("/x").header("authorization", &token).header(name, "GET");
        assert_eq!(stack.registry_raw(request.body(Full::default()).unwrap()).await.status, 403, "{name}");
    }
    let request = Request::post("/x?_method=GET").header("authorization", &token);
    assert_eq!(stack.registry_raw(request.body(Full::from("_method=GET")).unwrap()).await.status, 403);
    for name in ["x-original-url", "x-rewrite-url", "x-forwarded-path", "x-forwarded-prefix", "x-forwarded-host"] {
        let narrow = stack.token("alice", json!({"name": "t", "scopes": ["read:npm/*"]})).await.text;
        let request = Request::get("/pypi/x").header("authorization", narrow).header(name, "/npm/x");
        assert_eq!(stack.registry_raw(request.body(Full::default()).unwrap()).await.status, 403, "{name}");
    }
    assert_eq!(registry.count(), 0);
    let alice = stack.session("alice").await;
    let headers = [("x-http-method-override", "DELETE"), ("x-method-override", "DELETE")];
    let listed = stack.api_with(Method::GET, "/tokens", Some(&alice), &headers, json!({})).await;
    assert_eq!((listed.status, listed.json["tokens"][0]["status"].as_str()), (200, Some("active")));
}

#[tokio::test]
async fn nobody_becomes_somebody_by_the_headers_that_a_gateway_would_set() {
    let stack = Harness::start_with(&[("ADMIN_GROUP", "admins")]).await;
    let bobs = stack.token("bob", json!({"name": "t", "scopes": ["read"]})).await;
    let alice = stack.session("alice").await;
    let claims = json!({"jwt": {"claims": {"sub": "bob", "groups": "[admins]"}}}).to_string();
    let headers = [
        ("x-amzn-oidc-identity", "bob"),
        ("x-amzn-request-context", claims.as_str()),
        ("x-apigateway-event", claims.as_str()),
        ("x-apigateway-context", claims.as_str()),
        ("requestcontext", claims.as_str()),
        ("x-latchkey-subject", "bob"),
        ("x-remote-user", "bob"),
        ("x-groups", "admins"),
        ("groups", "[admins]"),
        ("cognito:groups", "[admins]"),
    ];
    for (name, value) in headers {
        // Not every one can be sent as a header.
        let Ok(name) = http::HeaderName::try_from(name) else { continue };
        let headers = [(name.as_str(), value)];
        let listed = stack.api_with(Method::GET, "/tokens", Some(&alice), &headers, json!({})).await;
        assert_eq!((listed.status, &listed.json["tokens"]), (200, &json!([])), "{name}");
        let path = format!("/tokens/{}", bobs.id);
        assert_eq!(
            stack.api_with(Method::DELETE, &path, Some(&alice), &headers, json!({})).await.status,
            404,
            "{name}"
        );
        let nobody = stack.api_with(Method::GET, "/tokens", None, &headers, json!({})).await;
        assert_eq!(nobody.status, 401, "{name}");
    }
    assert_eq!(stack.registry(Method::GET, "/x", Some(&bobs.text)).await.status, 200);
}

#[tokio::test]
async fn of_two_hosts_or_authorizations_none_is_chosen() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    let other = stack.token("bob", json!({"name": "t", "scopes": ["write"]})).await.text;
    for (first, second) in [(&token, &other), (&other, &token)] {
        let request = format!(
            "GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {first}\r\nAuthorization: Bearer {second}\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(status(&raw(port, request.as_bytes()).await), "401");
    }
    assert_eq!(registry.count(), 0);
    let request =
        format!("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n");
    let answer = raw(port, request.as_bytes()).await;
    if status(&answer) == "200" {
        let hosts: Vec<_> = registry.last().2.get_all("host").iter().cloned().collect();
        assert_eq!(hosts, [format!("127.0.0.1:{}", registry.port)], "the registry's own alone");
    } else {
        assert_eq!(status(&answer), "400");
    }
}

#[tokio::test]
async fn what_a_client_expects_is_between_it_and_the_gateway() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    for expected in ["100-continue", "200-ok", "100-continue, x"] {
        let request = format!(
            "PUT /x HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nExpect: {expected}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        );
        let answer = raw(port, request.as_bytes()).await;
        assert!(answer.ends_with("hello"), "{expected}: {answer}");
        assert!(!registry.last().2.contains_key("expect"), "{expected}");
    }
    let upgrade = format!(
        "GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    );
    assert_eq!(status(&raw(port, upgrade.as_bytes()).await), "200", "and nothing is upgraded");
    assert!(!registry.last().2.contains_key("upgrade") && !registry.last().2.contains_key("http2-settings"));
}
