//! What the fuzz targets share: a table that is made up, the policies that a gateway would go by, and the oracles.

#![forbid(unsafe_code)]

pub mod iam;
pub mod sample;
pub mod table;

use lambda_http::Request;
use lambda_http::request::LambdaRequest;
use latchkey::clock::Timestamp;
use latchkey::config::Environment;
use latchkey::credential::Presented;
use latchkey::requests::mended;
use latchkey::scope::{ReadByPost, Scopes};
use latchkey::source::{Block, SourceAddresses};
use sample::{ACTIVE, BLOCKS, BOUND, BOUND_SCOPES, SCOPES};
use serde_json::{Value, json};
use std::future::Future;
use std::net::IpAddr;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// When everything happens: 2027-01-05, noon, as in the sample events.
pub fn now() -> Timestamp {
    Timestamp::from_secs(1_799_150_400)
}

/// Waits for an answer.
pub fn wait<T>(answer: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
    runtime.block_on(answer)
}

/// The functions' settings: those that let most happen.
pub fn environment(more: &[(&str, &str)]) -> Environment {
    let usual = [("TABLE_NAME", "tokens"), ("ADMIN_GROUP", "admins"), ("CONSOLE_URL", "https://tokens.example/")];
    usual.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// An event of an HTTP API, from 192.0.2.1, for a target to add its own to.
pub fn event(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdef1234",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "stage": "$default",
            "timeEpoch": 0,
        },
        "isBase64Encoded": false,
    })
}

/// The session of the samples' owner, with these groups.
pub fn session(groups: &str) -> Value {
    json!({"jwt": {"claims": {"iss": "https://issuer.example", "sub": "alice", "groups": groups}}})
}

/// The request that a function gets; `None` if the event is none.
pub fn request(event: Value) -> Option<Request> {
    serde_json::from_value::<LambdaRequest>(event).ok().map(|event| mended(event).into())
}

/// Whether the sample token that is presented grants a request from there.
pub fn granted(presented: &Presented, method: &str, path: &str, from: Option<IpAddr>) -> bool {
    let (scopes, blocks) = match presented {
        Presented::Token(token) if token.expose() == ACTIVE => (&SCOPES[..], &[][..]),
        Presented::Token(token) if token.expose() == BOUND => (&BOUND_SCOPES[..], &BLOCKS[..]),
        _ => return false,
    };
    let scopes = Scopes::new(scopes.iter().map(|scope| scope.parse().expect("a scope"))).expect("scopes");
    let blocks = blocks.iter().map(|block| block.parse::<Block>().expect("a block"));
    let blocks = SourceAddresses::new(blocks).expect("blocks");
    scopes.allow(method, path, &ReadByPost::default()) && from.map_or(blocks.is_anywhere(), |from| blocks.admit(from))
}

/// Whether a request may be refused although its path is granted: a push that names another's blob, or a sign-in.
pub fn may_be_refused(method: &str, path: &str) -> bool {
    method == "POST" && (path.contains("/blobs/uploads") || path.contains('%'))
}

/// That each wrong field is named, with what is allowed.
pub fn assert_named(problem: &Value) {
    for error in problem["errors"].as_array().into_iter().flatten() {
        assert!(error["field"].as_str().is_some_and(|field| !field.is_empty()), "{problem}");
        assert!(error["allowed"].as_str().is_some_and(|allowed| !allowed.is_empty()), "{problem}");
    }
}

/// That no name and no text in an answer or a request holds anything like a token.
pub fn assert_no_token_within(value: &Value) {
    match value {
        Value::String(text) => assert_no_token_in(text),
        Value::Array(list) => list.iter().for_each(assert_no_token_within),
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            assert_no_token_in(name);
            assert_no_token_within(value);
        }),
        _ => {}
    }
}

/// That a text repeats nothing like a token.
pub fn assert_no_token_in(text: &str) {
    assert!(!latchkey::token::is_in(text), "something like a token is repeated: {text}");
}
