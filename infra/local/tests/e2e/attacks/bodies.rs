//! Bodies that are meant to break whoever reads them.

use crate::harness::Harness;
use http::Method;
use serde_json::json;

/// The routes that read a body; `{id}` is a token of the caller's.
const ROUTES: [(Method, &str); 3] =
    [(Method::POST, "/tokens"), (Method::PATCH, "/tokens/{id}"), (Method::POST, "/tokens/{id}/rotate")];

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400_wherever_one_is_read_and_changes_nothing() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let id = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await.id;
    let before = stack.items().await;
    let good = r#"{"name":"u","scopes":["read"]}"#;
    let deep = |open: &str, close: &str, n: usize| format!("{{\"name\":{}1{}}}", open.repeat(n), close.repeat(n));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("a byte order mark", [b"\xef\xbb\xbf", good.as_bytes()].concat()),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("invalid UTF-8", b"{\"name\":\"\xff\xfe\",\"scopes\":[\"read\"]}".to_vec()),
        ("overlong UTF-8", b"{\"name\":\"\xc0\xaf\",\"scopes\":[\"read\"]}".to_vec()),
        ("half a surrogate", br#"{"name":"\ud800","scopes":["read"]}"#.to_vec()),
        ("a null byte", b"{\"name\":\"a\0b\",\"scopes\":[\"read\"]}".to_vec()),
        ("lists 16,000 deep", deep("[", "]", 16_000).into_bytes()),
        ("objects 5,000 deep", deep("{\"a\":", "}", 5_000).into_bytes()),
        ("a number beyond all", br#"{"name":1e400}"#.to_vec()),
        ("a number of 30,000 digits", format!("{{\"overlap_seconds\":{}}}", "9".repeat(30_000)).into_bytes()),
        ("a number below nothing", br#"{"overlap_seconds":-1}"#.to_vec()),
        ("a fraction", br#"{"overlap_seconds":1.5}"#.to_vec()),
        ("NaN", br#"{"overlap_seconds":NaN}"#.to_vec()),
        ("Infinity", br#"{"overlap_seconds":-Infinity}"#.to_vec()),
        ("two values", [good.as_bytes(), good.as_bytes()].concat()),
        ("a comma too many", br#"{"name":"u","scopes":["read"],}"#.to_vec()),
        ("a comment", br#"{"name":"u"/**/,"scopes":["read"]}"#.to_vec()),
        ("single quotes", br#"{'name':'u','scopes':['read']}"#.to_vec()),
        ("a list", format!("[{good}]").into_bytes()),
        ("a string", b"\"name\"".to_vec()),
        ("null", b"null".to_vec()),
        ("a form", b"name=u&scopes=read".to_vec()),
        ("XML", b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>".to_vec()),
        ("__proto__", br#"{"__proto__":{"name":"u"}}"#.to_vec()),
        (
            "10,000 fields",
            format!("{{{}}}", (0..2_000).map(|i| format!("\"f{i}\":1")).collect::<Vec<_>>().join(",")).into_bytes(),
        ),
    ];
    for (case, body) in bodies {
        for (method, route) in ROUTES {
            let path = route.replace("{id}", &id);
            let reply = stack.api_raw(method.clone(), &path, Some(&alice), body.clone().into()).await;
            assert_eq!(reply.status, 400, "{case}, {method} {route}: {reply:?}");
            assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{case}");
            assert!(reply.body.len() < 400_000 && reply.json["errors"][0]["field"].is_string(), "{case}: {reply:?}");
        }
    }
    for (method, route) in ROUTES {
        let path = route.replace("{id}", &id);
        let reply = stack.api_raw(method.clone(), &path, Some(&alice), vec![b'['; 32_769].into()).await;
        assert_eq!(reply.status, 413, "{method} {route}");
    }
    assert_eq!(stack.items().await, before);
}

#[tokio::test]
async fn of_a_field_that_is_given_twice_the_last_counts_for_everything() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let body = r#"{"name":"a","scopes":["read:a"],"n\u0061me":"b","scopes":["read:b"]}"#;
    let made = stack.api_raw(Method::POST, "/tokens", Some(&alice), body.into()).await;
    assert_eq!((made.status, &made.json["name"], &made.json["scopes"]), (201, &json!("b"), &json!(["read:b"])));
    let token = made.json["token"].as_str().unwrap();
    assert_eq!(stack.registry(Method::GET, "/b", Some(token)).await.status, 200);
    assert_eq!(stack.registry(Method::GET, "/a", Some(token)).await.status, 403);
}
