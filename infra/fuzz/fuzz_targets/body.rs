//! The body of a request that makes, rotates or changes a token, up to the answer. The first byte of input says which.

#![no_main]

use lambda_http::http::{Response, StatusCode};
use latchkey::clock::Timestamp;
use latchkey::scope::{Scope, Scopes};
use latchkey::source::Block;
use latchkey::token::{Token, is_in};
use latchkey_fuzz::sample::{ACTIVE, SCOPES, token};
use latchkey_fuzz::{assert_named, assert_no_token_within, environment, event, now, request, session, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

static GENERATE: LazyLock<generate::Function> =
    LazyLock::new(|| generate::Function::new(&environment(&[]), table::client()).expect("good settings"));
static ROTATE: LazyLock<rotate::Function> =
    LazyLock::new(|| rotate::Function::new(&environment(&[]), table::client()).expect("good settings"));
static CHANGE: LazyLock<change::Function> =
    LazyLock::new(|| change::Function::new(&environment(&[]), table::client()).expect("good settings"));

fuzz_target!(|data: &[u8]| {
    let Some((which, body)) = data.split_first() else { return };
    let Ok(body) = std::str::from_utf8(body) else { return };
    let body = body.replace("{1}", ACTIVE);
    let groups = if which % 2 == 0 { "[]" } else { "[admins]" };
    let mut event = event("POST", "/tokens");
    event["requestContext"]["authorizer"] = session(groups);
    event["pathParameters"] = json!({"id": token(ACTIVE).id()});
    event["body"] = body.into();
    let request = request(event).expect("an event of API Gateway");
    let response = match which % 6 / 2 {
        0 => wait(GENERATE.handle(request, now())),
        1 => wait(ROTATE.handle(request, now())),
        _ => wait(CHANGE.handle(request, now())),
    };
    check(&response, which % 6 / 2 == 2);
});

fn check(response: &Response<lambda_http::Body>, changes: bool) {
    let text = std::str::from_utf8(response.body()).expect("JSON is UTF-8");
    let answer: Value = serde_json::from_str(text).expect("JSON");
    let written = table::written();
    // What the table is told holds no token.
    written.iter().for_each(assert_no_token_within);
    if !response.status().is_success() {
        assert!([400, 409, 413].contains(&response.status().as_u16()), "{text}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(answer["status"], response.status().as_u16());
        assert!(written.is_empty(), "refused and written all the same");
        assert_no_token_within(&answer);
        assert_named(&answer);
        let no_errors = answer["errors"].as_array().is_none_or(Vec::is_empty);
        assert_eq!(response.status() == StatusCode::BAD_REQUEST, !no_errors && answer["type"] != WIDENS, "{text}");
        return;
    }
    assert_eq!(written.len(), 1, "one write");
    let name = answer["name"].as_str().expect("a name");
    assert!((1..=100).contains(&name.chars().count()) && name.trim() == name && !is_in(name));
    assert!(!name.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)));
    let scopes = answer["scopes"].as_array().expect("scopes").iter();
    let scopes: Vec<Scope> = scopes.map(|scope| scope.as_str().expect("text").parse().expect("a scope")).collect();
    assert!((1..=50).contains(&scopes.len()));
    let blocks = answer["source_addresses"].as_array().expect("blocks");
    assert!(blocks.len() <= 20);
    assert!(blocks.iter().all(|block| block.as_str().is_some_and(|block| block.parse::<Block>().is_ok())));
    let end = answer["expires_at"].as_str().and_then(Timestamp::parse).expect("an end");
    assert!(end > now() && end <= now().plus_days(366).end_of_day(), "{text}");
    if changes {
        // Never wider and never longer.
        let own = Scopes::new(SCOPES.map(|scope| scope.parse().expect("a scope"))).expect("scopes");
        assert!(scopes.iter().all(|scope| own.cover(scope)), "{text}");
        assert!(end <= now().plus_days(30), "{text}");
        assert_no_token_within(&answer);
    } else {
        let token: Token = answer["token"].as_str().expect("a token").parse().expect("a token");
        assert_eq!(answer["id"], token.id().as_str());
    }
}

const WIDENS: &str = "urn:latchkey:problem:widens";
