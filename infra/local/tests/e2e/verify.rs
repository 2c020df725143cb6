//! What a proxy is told about the requests that it asks about.

use crate::harness::{self, Harness, Reply, Token};
use http::{Method, Request};
use serde_json::{Value, json};

/// Asks as nginx does, by `X-Original-Method` and `X-Original-URI`, with these headers beside them.
async fn ask(stack: &Harness, method: &str, uri: &str, headers: &[(&str, &str)]) -> Reply {
    let told = [("x-original-method", method), ("x-original-uri", uri)];
    ask_with(stack, "GET", "/verify", &[&told, headers].concat()).await
}

/// Asks with these headers and no others.
async fn ask_with(stack: &Harness, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    harness::send(stack.stack.ports().api, request.body(Default::default()).unwrap()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn stack_and_token() -> (Harness, Token) {
    let stack = Harness::start_with(&[("CONSOLE_URL", "https://tokens.example")]).await;
    let wish = json!({"name": "Bob's ci é", "scopes": ["write:npm/@acme/*", "read:pypi/*"]});
    let token = stack.token("alice", wish).await;
    (stack, token)
}

#[tokio::test]
async fn a_yes_is_empty_and_tells_the_registry_what_api_gateway_would() {
    let (stack, token) = stack_and_token().await;
    let reply = ask(&stack, "GET", "/pypi/simple/?x=y", &[("authorization", &bearer(&token.text))]).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let registry = stack.registry(Method::GET, "/pypi/simple/", Some(&token.text)).await;
    for name in ["token-id", "token-name", "subject", "scopes", "expires-at"] {
        let name = format!("x-latchkey-{name}");
        let told = reply.header(&name).unwrap();
        assert!(registry.text().contains(&json!(told).to_string()), "{name}: {told} is not in {}", registry.text());
    }
    assert_eq!(reply.header("x-latchkey-token-name"), Some("Bob%27s%20ci%20%C3%A9"));
}

#[tokio::test]
async fn a_no_reads_as_the_gateways_own() {
    let (stack, token) = stack_and_token().await;
    let lost = stack.token("alice", json!({"name": "lost", "scopes": ["read"]})).await;
    stack.revoke("alice", &lost.id).await;
    for (method, uri, presented) in [
        ("PUT", "/pypi/x", Some(token.text.clone())),
        ("GET", "/npm/@acme/../x", Some(token.text.clone())),
        ("GET", "/pypi/x", Some(lost.text.clone())),
    ] {
        let headers: Vec<_> = presented.iter().map(|token| ("authorization", bearer(token))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = ask(&stack, method, uri, &headers).await;
        let gateway = stack.registry(method.parse().unwrap(), uri, presented.as_deref()).await;
        assert_eq!((refused.status, &refused.json), (gateway.status, &gateway.json), "{method} {uri}");
        for name in ["npm-notice", "docker-distribution-api-version", "content-type"] {
            assert_eq!(refused.header(name), gateway.header(name), "{name}");
        }
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
    let nobody = ask(&stack, "GET", "/pypi/x", &[]).await;
    let message = "A token is needed, and none that is known was sent. Create one at https://tokens.example";
    let error = json!({"code": "UNAUTHORIZED", "message": message, "detail": message});
    let body = json!({"message": message, "error": message, "warning": message, "errors": [error]});
    assert_eq!((nobody.status, &nobody.json), (401, &body));
    assert_eq!(nobody.header("npm-notice"), Some(message));
    let challenge = "Basic realm=\"registry\", Cargo login_url=\"https://tokens.example\"";
    assert_eq!(nobody.header("www-authenticate"), Some(challenge));
}

#[tokio::test]
async fn it_agrees_with_the_authorizer_about_every_request() {
    let (stack, token) = stack_and_token().await;
    let old = json!({"name": "old", "scopes": ["write"], "expires_at": "2027-01-06"});
    let (old, lost) =
        (stack.token("alice", old).await, stack.token("alice", json!({"name": "lost", "scopes": ["write"]})).await);
    let session = stack.session("alice").await;
    let rotated = stack.token("alice", json!({"name": "rotated", "scopes": ["write"]})).await;
    let path = format!("/tokens/{}/rotate", rotated.id);
    assert_eq!(stack.api(Method::POST, &path, Some(&session), Some(&json!({}))).await.status, 200);
    let elsewhere = json!({"name": "bound", "scopes": ["write"], "source_addresses": ["203.0.113.0/24"]});
    let here = json!({"name": "here", "scopes": ["write"], "source_addresses": ["127.0.0.1"]});
    let oci = json!({"name": "oci", "scopes": ["write:v2/team/*"]});
    let mut tokens = vec![token.text.clone(), old.text, lost.text, rotated.text];
    for wish in [elsewhere, here, oci] {
        tokens.push(stack.token("alice", wish).await.text);
    }
    stack.revoke("alice", &lost.id).await;
    stack.set_time("2027-01-07T00:00:00Z");
    tokens.extend([
        stack.unknown_token(),
        stack.with_another_secret(&token),
        "ghp_0123".into(),
        format!("{}x", token.text),
    ]);
    let in_query = format!("/pypi/x?a=b&token={}", token.text);
    let mut seen = std::collections::BTreeSet::new();
    for (method, uri) in [
        ("GET", "/pypi/simple/"),
        ("HEAD", "/pypi/simple/"),
        ("OPTIONS", "/pypi/simple/"),
        ("PUT", "/pypi/simple/"),
        ("PATCH", "/npm/@acme/x"),
        ("PUT", "/npm/@acme%2fx"),
        ("POST", "/npm/@acme/-/npm/v1/security/audits"),
        ("POST", "/-/npm/v1/security/audits"),
        ("POST", "/npm/@acme/-/v1/login"),
        ("GET", "/"),
        ("GET", "//npm/@acme/x"),
        ("GET", "/npm/@acme/../other"),
        ("GET", "/npm/@acme/%2e%2e/other"),
        ("GET", "/npm/@acme%2f..%2fother"),
        ("GET", "/npm/@acme/x%3f/../y"),
        ("GET", "/npm/@acme/a,b?c=d,e"),
        ("POST", "/v2/team/app/blobs/uploads/?mount=sha256:0f&from=team/other"),
        ("POST", "/v2/team/app/blobs/uploads/?mount=sha256:0f&from=secret/app"),
        ("GET", in_query.as_str()),
    ] {
        for presented in &tokens {
            for (name, value) in [("authorization", bearer(presented)), ("x-api-key", presented.clone())] {
                let verified = ask(&stack, method, uri, &[(name, &value)]).await;
                let request = Request::builder().method(method).uri(uri).header(name, &value);
                let passed = stack.registry_raw(request.body(Default::default()).unwrap()).await;
                assert_eq!(verified.status, passed.status, "{method} {uri} {verified:?} {passed:?}");
                if verified.status == 403 && method != "HEAD" {
                    assert_eq!(verified.json["message"], passed.json["message"], "{method} {uri}");
                }
                seen.insert(verified.status);
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 401, 403]);
    let two = [("authorization", bearer(&token.text)), ("private-token", tokens[5].clone())];
    let two: Vec<_> = two.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ask(&stack, "GET", "/pypi/x", &two).await.status, 401, "two tokens");
}

#[tokio::test]
async fn what_is_asked_must_be_told_once_and_without_contradiction() {
    let (stack, token) = stack_and_token().await;
    let authorization = bearer(&token.text);
    let good = ("authorization", authorization.as_str());
    let (om, ou) = ("x-original-method", "x-original-uri");
    let (fm, fu) = ("x-forwarded-method", "x-forwarded-uri");
    let (open, closed) = ("/pypi/x", "/npm/secret");
    for told in [
        &[(om, "GET"), (ou, open)][..],
        &[(fm, "GET"), (fu, open)],
        &[(fm, "GET"), (fu, open), (om, "GET"), (ou, open)],
        // The other pair need not be whole.
        &[(fm, "GET"), (fu, open), (ou, open)],
        &[(fm, "GET"), (fu, "/pypi/a,b")],
    ] {
        assert_eq!(ask_with(&stack, "GET", "/verify", &[told, &[good]].concat()).await.status, 200, "{told:?}");
    }
    for (told, fields) in [
        (&[][..], &["X-Forwarded-Method", "X-Forwarded-Uri", "X-Original-Method", "X-Original-URI"][..]),
        (&[(om, "GET")], &["X-Forwarded-Method", "X-Forwarded-Uri", "X-Original-URI"]),
        (&[(om, "GET"), (fu, open)], &["X-Forwarded-Method", "X-Original-URI"]),
        // A client's own, passed on beside the proxy's.
        (&[(fm, "GET"), (fu, open), (om, "GET"), (ou, closed)], &["X-Original-URI"]),
        (&[(fm, "GET"), (fu, open), (om, "PUT"), (ou, open)], &["X-Original-Method"]),
        (&[(fm, "GET"), (fu, open), (ou, closed)], &["X-Original-URI"]),
        (&[(fm, "GET"), (fu, open), (om, "DELETE")], &["X-Original-Method"]),
        // Two of a name, which the gateway joins.
        (&[(om, "GET"), (ou, open), (ou, closed)], &["X-Original-URI"]),
        (&[(om, "GET"), (ou, open), (ou, open)], &["X-Original-URI"]),
        (&[(om, "GET"), (om, "PUT"), (ou, open)], &["X-Original-Method"]),
        (&[(om, "GET"), (ou, "/pypi/x?a=b"), (ou, closed)], &["X-Original-URI"]),
        // No path.
        (&[(om, "GET"), (ou, "http://registry/pypi/x")], &["X-Original-URI"]),
        (&[(om, "GET"), (ou, "pypi/x")], &["X-Original-URI"]),
        (&[(om, "OPTIONS"), (ou, "*")], &["X-Original-URI"]),
        (&[(om, "GET"), (ou, "")], &["X-Original-URI"]),
        (&[(om, "GET"), (ou, "/pypi/x y")], &["X-Original-URI"]),
        (&[(om, ""), (ou, open)], &["X-Original-Method"]),
        (&[(om, "GET /pypi/x"), (ou, open)], &["X-Original-Method"]),
    ] {
        let reply = ask_with(&stack, "GET", "/verify", &[told, &[good]].concat()).await;
        assert_eq!(reply.status, 400, "{told:?}: {reply:?}");
        let named: Vec<_> =
            reply.json["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
        assert_eq!(named, fields, "{told:?}");
    }
    let secret = format!("/{}", token.text);
    let told = [(om, "GET"), (ou, open), (fu, secret.as_str())];
    assert!(!ask_with(&stack, "GET", "/verify", &told).await.text().contains(token.secret()));
}

#[tokio::test]
async fn a_method_and_path_of_the_requests_own_must_agree_with_what_is_told() {
    let (stack, token) = stack_and_token().await;
    let authorization = bearer(&token.text);
    let ask = async |method: &'static str, path: &'static str, told: &'static str| {
        let headers =
            [("authorization", authorization.as_str()), ("x-original-method", method), ("x-original-uri", told)];
        ask_with(&stack, method, &format!("/verify{path}"), &headers).await.status
    };
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        assert_eq!(ask(method, "/npm/@acme/x", "/npm/@acme/x").await, 200, "{method}");
    }
    assert_eq!(ask("PUT", "/npm/@acme%2fx", "/npm/@acme%2fx").await, 200);
    assert_eq!(ask("PUT", "/npm/@acme/x", "/npm/@acme%2fx").await, 200, "as a gateway that decodes has it");
    assert_eq!(ask("PUT", "/npm/other", "/npm/other").await, 403);
    assert_eq!(ask("PUT", "/npm/@acme%2f..%2fx", "/npm/@acme%2f..%2fx").await, 403);
    assert_eq!(ask("GET", "/npm/secret", "/npm/@acme/x").await, 400, "a client's header, passed on");
    // One that ends the path at a decoded question mark.
    assert_eq!(ask("GET", "/npm/@acme/x", "/npm/@acme/x%3f/../y").await, 400);
    let headers =
        [("authorization", authorization.as_str()), ("x-original-method", "GET"), ("x-original-uri", "/pypi/x")];
    assert_eq!(ask_with(&stack, "PUT", "/verify/pypi/x", &headers).await.status, 400);
    assert_eq!(ask_with(&stack, "PUT", "/verify/npm/@acme/x", &headers[..1]).await.status, 400, "nothing is told");
    let in_query = format!("/verify/pypi/x?token={}", token.text);
    assert_eq!(ask_with(&stack, "GET", &in_query, &headers).await.status, 403, "what differs is judged as well");
}

#[tokio::test]
async fn the_clients_address_is_what_the_proxy_told_and_nothing_before_it() {
    let stack = Harness::start().await;
    let wish = json!({"name": "bound", "scopes": ["read"], "source_addresses": ["198.51.100.7", "2001:db8::/32"]});
    let bound = bearer(&stack.token("alice", wish).await.text);
    let wish = json!({"name": "local", "scopes": ["read"], "source_addresses": ["127.0.0.1"]});
    let local = bearer(&stack.token("alice", wish).await.text);
    for (token, told, status) in [
        (&bound, &["198.51.100.7"][..], 200),
        (&bound, &["2001:db8::1"], 200),
        (&bound, &["203.0.113.1, 198.51.100.7"], 200),
        (&bound, &["203.0.113.1", "198.51.100.7"], 200),
        (&bound, &["198.51.100.7, 203.0.113.1"], 403),
        (&bound, &["198.51.100.7", "203.0.113.1"], 403),
        (&bound, &["127.0.0.1"], 403),
        (&bound, &[], 403),
        (&bound, &["198.51.100.7:4711"], 403),
        (&bound, &["198.51.100.7,"], 403),
        (&bound, &["unknown"], 403),
        // A proxy that says nothing: the request is its own.
        (&local, &[], 200),
        (&local, &["203.0.113.1"], 403),
        (&local, &["127.0.0.1, 203.0.113.1"], 403),
        // The client's is no text, and the gateway makes one line of it and of what the proxy appends.
        (&local, &["\u{e9}"], 403),
        (&local, &["\u{e9}", "203.0.113.1"], 403),
        (&bound, &["\u{e9}", "198.51.100.7"], 403),
    ] {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(told.iter().map(|told| ("x-forwarded-for", *told)));
        let reply = ask(&stack, "GET", "/x", &headers).await;
        assert_eq!(reply.status, status, "{told:?} {reply:?}");
    }
    // Where the gateway did not put what it saw at the end, nobody can tell.
    let mut event = crate::events::events("verify")["nginx"].clone();
    event["headers"]["authorization"] = json!(bound);
    event["headers"]["x-original-uri"] = json!("/x");
    assert_eq!(stack.invoke("verify", event.clone()).await.unwrap()["statusCode"], 200);
    event["headers"]["x-forwarded-for"] = json!("198.51.100.7, 203.0.113.1");
    assert_eq!(stack.invoke("verify", event).await.unwrap()["statusCode"], 403);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_or_after_cache_seconds() {
    for (cache, passes) in [("0", false), ("5", true)] {
        let stack = Harness::start_with(&[("CACHE_SECONDS", cache)]).await;
        let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
        let authorization = bearer(&token.text);
        let status = async || ask(&stack, "GET", "/x", &[("authorization", &authorization)]).await.status;
        assert_eq!(status().await, 200);
        stack.revoke("alice", &token.id).await;
        assert_eq!(status().await == 200, passes, "{cache}");
        stack.advance(5);
        assert_eq!(status().await, 403);
    }
}

#[tokio::test]
async fn the_use_is_noted_with_the_clients_address_and_name() {
    let (stack, token) = stack_and_token().await;
    let headers = [
        ("authorization", bearer(&token.text)),
        ("x-forwarded-for", "198.51.100.7".into()),
        ("user-agent", "pip/26.3 {}".into()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ask(&stack, "GET", "/pypi/x", &headers).await.status, 200);
    stack.stack.settled().await;
    let session = stack.session("alice").await;
    let shown = stack.api(Method::GET, &format!("/tokens/{}", token.id), Some(&session), None).await.json;
    let last_used = json!({"at": "2027-01-05T12:00:00Z", "address": "198.51.100.7", "client": "pip/26.3"});
    assert_eq!(shown["last_used"], last_used);
}

#[tokio::test]
async fn a_fault_is_503_and_never_a_yes() {
    let (stack, token) = stack_and_token().await;
    stack.drop_table().await;
    let reply = ask(&stack, "GET", "/pypi/x", &[("authorization", &bearer(&token.text))]).await;
    assert_eq!((reply.status, &reply.json["status"]), (503, &Value::from(503)));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert!(!reply.text().contains("ResourceNotFound"), "the cause is for the log");
}
