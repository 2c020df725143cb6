//! Paths that mean one thing to a gateway and could mean another to whoever is behind it.

use crate::gateway::{Registry, front};
use crate::harness::{Harness, raw_target, status};
use http::Method;
use serde_json::json;

/// Ways to go from `/npm/@acme` to somewhere else.
const TRAVERSALS: [&str; 46] = [
    "/npm/@acme/../other",
    "/npm/@acme/..",
    "/npm/@acme/.",
    "/npm/@acme/./x",
    "/npm/@acme//x",
    "//npm/@acme/x",
    "/./npm/@acme/x",
    "/../npm/@acme/x",
    "/npm/@acme/%2e%2e/other",
    "/npm/@acme/%2E%2E/other",
    "/npm/@acme/.%2e/other",
    "/npm/@acme/%2e./other",
    "/npm/@acme/%2e/x",
    "/npm/@acme/..%2fother",
    "/npm/@acme/..%2Fother",
    "/npm/@acme%2f..%2fother",
    "/npm/@acme%2F%2e%2e%2Fother",
    "/npm/@acme/%2f/x",
    "/npm/@acme%2f%2fx",
    "/npm/@acme/..\\other",
    "/npm/@acme/..%5cother",
    "/npm/@acme/..%5Cother",
    "/npm/@acme\\..\\other",
    "/npm/@acme/%5c..%5c/other",
    "/npm/@acme/..;/other",
    "/npm/@acme/..;x=1/other",
    "/npm/@acme/.;/x",
    "/npm/@acme/%2e%2e;/other",
    "/npm/@acme/x%00",
    "/npm/@acme/..%00/other",
    "/npm/@acme/%252e%252e/other",
    "/npm/@acme/%252e%252e%252fother",
    "/npm/@acme/..%252fother",
    "/npm/@acme/%25%32%65%25%32%65/other",
    // Two and more bytes for a dot or a slash, as lenient decoders of UTF-8 read them.
    "/npm/@acme/%c0%ae%c0%ae/other",
    "/npm/@acme/%C0%AE%C0%AE%C0%AFother",
    "/npm/@acme/..%c0%afother",
    "/npm/@acme/..%c1%9cother",
    "/npm/@acme/%e0%80%ae%e0%80%ae/other",
    "/npm/@acme/..%e0%80%afother",
    "/npm/@acme/%f0%80%80%ae%f0%80%80%ae/other",
    "/npm/@acme/%u002e%u002e/other",
    "/npm/@acme/..%u2215other",
    "/npm/@acme/%U002e%U002e%U002fother",
    // Half of an encoding.
    "/npm/@acme/..%/other",
    "/npm/@acme/..%2/other",
];

#[tokio::test]
async fn no_way_of_writing_another_path_leads_out_of_what_a_token_grants() {
    let registry = Registry::start().await;
    let stack = Harness::start_before(&registry.url()).await;
    let port = stack.stack.ports().registry;
    for scopes in [
        json!(["write:npm/@acme/*"]),
        json!(["write:npm/@acme*"]),
        json!(["write:*"]),
        json!(["read:npm/*", "write:pypi/*"]),
    ] {
        let token = stack.token("alice", json!({"name": "t", "scopes": scopes})).await.text;
        assert_eq!(status(&raw_target(port, "GET", b"/npm/@acme/x", &token).await), "200", "{scopes}");
        let before = registry.count();
        for target in TRAVERSALS {
            for method in ["GET", "PUT", "POST"] {
                let answer = raw_target(port, method, target.as_bytes(), &token).await;
                assert_eq!(status(&answer), "403", "{method} {target} with {scopes}");
            }
        }
        assert_eq!(registry.count(), before, "none reaches the registry");
    }
}

#[tokio::test]
async fn targets_that_are_no_paths_are_refused_or_mean_what_was_judged() {
    let (registry, stack, _) = front().await;
    let port = stack.stack.ports().registry;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:npm/*"]})).await.text;
    // An address of another host is a path here like any other, and goes to the one registry that there is.
    for target in ["http://evil.example/npm/x", "https://evil.example:1/npm/x", "http://user@evil.example/npm/x"] {
        assert_eq!(status(&raw_target(port, "GET", target.as_bytes(), &token).await), "200", "{target}");
        assert_eq!(registry.last().1, "/base/npm/x", "{target}");
        assert_eq!(registry.last().2["host"], format!("127.0.0.1:{}", registry.port), "{target}");
    }
    // What stands behind `#` is judged by nobody and reaches nobody.
    for target in ["/npm/x#/../../pypi", "/npm/x#?y", "/npm/x#"] {
        assert_eq!(status(&raw_target(port, "GET", target.as_bytes(), &token).await), "200", "{target}");
        assert_eq!(registry.last().1, "/base/npm/x", "{target}");
    }
    let before = registry.count();
    for target in [
        "http://evil.example/pypi/x",
        "http:/npm/x",
        "npm/x",
        "evil.example:80",
        "*",
        "?x",
        "",
        "/npm/x y",
        "/npm/\u{1}x",
    ] {
        let answer = raw_target(port, "GET", target.as_bytes(), &token).await;
        assert!(["400", "403"].contains(&status(&answer)), "{target:?}: {answer}");
    }
    for target in [&b"/npm/\xc0\xae\xc0\xae/x"[..], b"/npm/x\0", b"/npm/x\x7f", b"/npm/\xff"] {
        let answer = raw_target(port, "GET", target, &token).await;
        assert!(["400", "403"].contains(&status(&answer)), "{target:?}: {answer}");
    }
    assert_eq!(registry.count(), before, "none reaches the registry");
}

#[tokio::test]
async fn a_write_is_not_made_a_read_by_what_stands_behind_its_path() {
    let (registry, stack, _) = front().await;
    let port = stack.stack.ports().registry;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:*"]})).await.text;
    assert_eq!(
        status(&raw_target(port, "POST", b"/npm/-/npm/v1/security/audits", &token).await),
        "200",
        "a read by POST"
    );
    let before = registry.count();
    // A registry that decodes before it takes the query away would publish `x`.
    for behind in ["?", "#", "%3f", "%3F", "%23"] {
        let target = format!("/npm/x{behind}/-/npm/v1/security/audits");
        let answer = raw_target(port, "POST", target.as_bytes(), &token).await;
        assert_eq!(status(&answer), "403", "{behind}");
    }
    // Where Gitea and GitLab take uploads, as PyPI took searches.
    for target in ["/pypi", "/api/packages/acme/pypi", "/api/v4/projects/1/packages/pypi"] {
        assert_eq!(status(&raw_target(port, "POST", target.as_bytes(), &token).await), "403", "{target}");
    }
    assert_eq!(registry.count(), before, "none reaches the registry");
}

#[tokio::test]
async fn what_a_gateway_leaves_of_a_fragment_is_no_path() {
    // The one-machine gateway takes it away.
    let stack = Harness::start_with(&[("AUTHORIZER_RESPONSE", "simple")]).await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:*"]})).await.text;
    for (path, passes) in [("/x", true), ("/x#", false), ("/x#/-/npm/v1/security/audits", false), ("/#", false)] {
        let event = json!({
            "version": "2.0", "type": "REQUEST", "headers": {"authorization": token},
            "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef/$default/GET/x",
            "requestContext": {"http": {"method": "GET", "path": path, "sourceIp": "192.0.2.1"}},
        });
        assert_eq!(stack.authorize(event).await.unwrap()["isAuthorized"], passes, "{path}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_hides_a_sign_in_or_a_mount() {
    let (registry, stack, _) = front().await;
    let port = stack.stack.ports().registry;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["write:npm/*", "write:v2/team/*"]})).await.text;
    for target in [
        "/npm/-/v1/login",
        "/npm/-/v1/login/",
        "/npm/-/v1/logi%6e",
        "/npm/%2d/v1/login",
        "/npm/-/v1/%6Cogin/",
        "/v2/team/app/%62lobs/uploads/?mount=sha256:0f&from=secret/x",
        "/v2/team/app/blobs%2Fuploads/?mount=sha256:0f&from=secret/x",
        "/v2/team/app/blobs/%75ploads?mount=sha256:0f&from=secret/x",
    ] {
        assert_eq!(status(&raw_target(port, "POST", target.as_bytes(), &token).await), "403", "{target}");
    }
    assert_eq!(registry.count(), 0, "none reaches the registry");
    let own = b"/v2/team/app/%62lobs/uploads/?mount=sha256:0f&from=team/base";
    assert_eq!(status(&raw_target(port, "POST", own, &token).await), "200");
}

#[tokio::test]
async fn no_way_of_writing_another_path_finds_a_route_of_the_management_api() {
    let stack = Harness::start().await;
    let (alice, port) = (stack.session("alice").await, stack.stack.ports().api);
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await;
    let before = stack.items().await;
    for target in [
        "/console/../tokens",
        "/console/%2e%2e/tokens",
        "/tokens/",
        "//tokens",
        "/./tokens",
        "/TOKENS",
        "/%74okens",
        "/tokens;",
        "/tokens;x=1",
        "/tokens%00",
        "/tokens%2f",
        "/tokens%3fsubject=alice",
        "/tokens\\",
        "/tokens/../tokens",
        "/tokens//rotate",
        "tokens",
        "*",
    ] {
        for method in ["GET", "POST", "DELETE", "PATCH"] {
            let answer = raw_target(port, method, target.as_bytes(), &alice).await;
            assert!(["400", "404"].contains(&status(&answer)), "{method} {target}: {answer}");
        }
    }
    // An id that is not one to the letter is nobody's.
    let id = &token.id;
    for odd in [
        format!("{id}%00"),
        format!("%00{id}"),
        format!("{id}%20"),
        format!("{id}%0a"),
        format!("{id};"),
        format!("{id}%2f.."),
        format!("..%2f{id}"),
        format!("{id}%2frotate"),
        format!("%252e{id}"),
        format!("{id}%c0%ae"),
        id.to_lowercase(),
        id.to_uppercase(),
        format!("{id}*"),
        "*".into(),
        "%".into(),
        "..".into(),
        "%2e%2e".into(),
        "a".repeat(5_000),
    ] {
        if odd == *id {
            continue;
        }
        for (method, behind) in [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/rotate")] {
            let answer = raw_target(port, method, format!("/tokens/{odd}{behind}").as_bytes(), &alice).await;
            assert!(["400", "404"].contains(&status(&answer)), "{method} {odd}{behind}: {answer}");
        }
    }
    assert_eq!(stack.items().await, before, "nothing has changed");
    // The host of an address is not looked at, its path is.
    assert_eq!(status(&raw_target(port, "GET", b"http://evil.example/tokens", &alice).await), "200");
    assert_eq!(status(&raw_target(port, "GET", b"http://evil.example/tokens", "x").await), "401");
    assert_eq!(status(&raw_target(port, "GET", b"/tokens#/../console", "x").await), "401");
}

#[tokio::test]
async fn the_console_hands_out_its_own_files_and_no_others() {
    let stack = Harness::start().await;
    let port = stack.stack.ports().api;
    assert_eq!(status(&raw_target(port, "GET", b"/console/style.css", "").await), "200");
    for file in [
        "..",
        "../Cargo.toml",
        "%2e%2e%2fCargo.toml",
        "..%5cCargo.toml",
        "style.css%00",
        "style.css/",
        "Style.css",
        "%2fetc%2fpasswd",
        ".",
    ] {
        let answer = raw_target(port, "GET", format!("/console/{file}").as_bytes(), "").await;
        // A dot segment alone leads to the page, which is everybody's.
        let page =
            status(&answer) == "200" && answer.contains("frame-ancestors 'none'") && answer.contains("<!doctype html>");
        assert!(page || ["400", "404"].contains(&status(&answer)), "{file}: {answer}");
    }
    assert_eq!(stack.api(Method::GET, "/console/..%2f..%2f..%2fetc%2fpasswd", None, None).await.status, 404);
}
