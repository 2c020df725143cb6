//! Signing in.

use crate::harness::{Harness, send};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_wrong_with_a_sign_in_is_said_as_rfc_6749_has_it() {
    let stack = Harness::start().await;
    let port = stack.stack.ports().identity;
    let form = "application/x-www-form-urlencoded";
    let long = format!("grant_type=password&username={}", "a".repeat(256));
    for (content_type, body, error) in [
        ("application/json", "{}", "invalid_request"),
        (form, "", "invalid_request"),
        (form, "grant_type=password", "invalid_request"),
        (form, "grant_type=password&username=", "invalid_request"),
        (form, "grant_type=password&username=a&username=b", "invalid_request"),
        (form, long.as_str(), "invalid_request"),
        (form, "grant_type=client_credentials&username=a", "unsupported_grant_type"),
    ] {
        let request = Request::post("/oauth2/token").header("content-type", content_type);
        let reply = send(port, request.body(Full::from(body.to_owned())).unwrap()).await;
        assert_eq!((reply.status, &reply.json["error"]), (400, &json!(error)), "{body}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    for (method, path, status) in [
        (Method::GET, "/oauth2/token", 405),
        (Method::POST, "/.well-known/jwks.json", 405),
        (Method::GET, "/favicon.ico", 404),
        (Method::GET, "/", 404),
    ] {
        let request = Request::builder().method(&method).uri(path).body(Full::default()).unwrap();
        assert_eq!(send(port, request).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn groups_are_a_claim_of_the_session() {
    let stack = Harness::start().await;
    for groups in ["admins staff", "admins,staff", "admins%2C staff"] {
        let session = stack.session_in("alice", groups).await;
        let claims = URL_SAFE_NO_PAD.decode(session.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["groups"]), (&json!("alice"), &json!(["admins", "staff"])));
    }
}

#[tokio::test]
async fn a_session_lasts_an_hour_by_the_stacks_clock() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    stack.advance(3599);
    assert_eq!(stack.api(Method::GET, "/tokens", Some(&alice), None).await.status, 200);
    stack.advance(1);
    assert_eq!(stack.api(Method::GET, "/tokens", Some(&alice), None).await.status, 401);
}
