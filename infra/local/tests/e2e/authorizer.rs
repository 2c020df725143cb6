//! The authorizer's four event shapes, as AWS's own runtime has them in its fixtures.

use crate::harness::{Harness, Token};
use serde_json::{Value, json};

/// An event of aws-lambda-rust-runtime's fixtures (Apache-2.0, crate aws_lambda_events 1.2.1, `src/fixtures`).
fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/e2e/fixtures/example-apigw-{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

const FIXTURES: [&str; 7] = [
    "custom-auth-request",
    "custom-auth-request-type-request",
    "v2-custom-authorizer-v1-request",
    "v2-custom-authorizer-v2-request",
    "v2-custom-authorizer-v2-request-null-maps",
    "v2-custom-authorizer-v2-request-without-cookies",
    "v2-custom-authorizer-v2-request-without-identity-source",
];

/// The fixture with a token where its shape has one.
fn with(name: &str, token: &Token) -> Value {
    let mut event = fixture(name);
    if event["type"] == "TOKEN" {
        event["authorizationToken"] = json!(token.text);
    }
    for headers in ["headers", "multiValueHeaders"] {
        if event[headers].is_object() {
            let value = json!(format!("Bearer {}", token.text));
            // An HTTP API tells by what it keeps answers.
            if event["identitySource"].is_array() {
                event["identitySource"] = json!([value]);
            } else if event["identitySource"].is_string() {
                event["identitySource"] = json!(format!("{},123", value.as_str().unwrap()));
            }
            event[headers]["Authorization"] = if headers == "headers" { value } else { json!([value]) };
        }
    }
    event
}

async fn stack_and_token() -> (Harness, Token) {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:pypi/*"]})).await;
    (stack, token)
}

#[tokio::test]
async fn an_event_of_any_shape_without_our_token_is_unauthorized() {
    let (stack, _) = stack_and_token().await;
    for name in FIXTURES {
        // The TOKEN fixture has the stage `*`, which no gateway sends: see below.
        let expected = if name == "custom-auth-request" { "names no stage" } else { "Unauthorized" };
        let error = stack.authorize(fixture(name)).await.unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_event_of_any_shape_gets_the_whole_grant_and_nothing_else() {
    let (stack, token) = stack_and_token().await;
    for name in FIXTURES {
        let mut event = with(name, &token);
        if name == "custom-auth-request" {
            let arn = event["methodArn"].as_str().unwrap().replace("/*/", "/prod/");
            event["methodArn"] = json!(arn);
        }
        let arn = event["methodArn"].as_str().or(event["routeArn"].as_str()).unwrap().to_owned();
        let stage = arn.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let answer = stack.authorize(event).await.unwrap();
        assert_eq!(answer["principalId"], token.id, "{name}");
        assert_eq!(answer["policyDocument"]["Version"], "2012-10-17");
        let [allow, deny] = answer["policyDocument"]["Statement"].as_array().unwrap().as_slice() else {
            panic!("{name}: {answer}")
        };
        assert_eq!((&allow["Effect"], &deny["Effect"]), (&json!("Allow"), &json!("Deny")), "{name}");
        assert_eq!(allow["Action"], "execute-api:Invoke");
        assert_eq!(
            allow["Resource"],
            json!([
                format!("{stage}/GET/pypi/*"),
                format!("{stage}/HEAD/pypi/*"),
                format!("{stage}/OPTIONS/pypi/*"),
                format!("{stage}/POST/pypi/-/npm/v1/security/advisories/bulk"),
                format!("{stage}/POST/pypi/*/-/npm/v1/security/advisories/bulk"),
                format!("{stage}/POST/pypi/-/npm/v1/security/audits"),
                format!("{stage}/POST/pypi/*/-/npm/v1/security/audits"),
                format!("{stage}/POST/pypi/-/npm/v1/security/audits/quick"),
                format!("{stage}/POST/pypi/*/-/npm/v1/security/audits/quick"),
                format!("{stage}/POST/pypi/git-upload-pack"),
                format!("{stage}/POST/pypi/*/git-upload-pack"),
            ]),
            "{name}"
        );
        let context = answer["context"].as_object().unwrap();
        assert!(context.values().all(Value::is_string), "{name}: REST APIs take scalars alone");
        assert_eq!(context["tokenId"], token.id);
        assert_eq!(context["scopes"], "read:pypi/*");
        assert_eq!(context["subject"], "alice");
    }
}

#[tokio::test]
async fn a_stage_that_is_a_wildcard_is_a_fault_since_a_policy_over_it_would_be_wider() {
    let (stack, token) = stack_and_token().await;
    let error = stack.authorize(with("custom-auth-request", &token)).await.unwrap_err();
    assert!(error.contains("names no stage"), "{error}");
}

#[tokio::test]
async fn a_simple_answer_judges_the_request_itself() {
    let stack = Harness::start_with(&[("AUTHORIZER_RESPONSE", "simple")]).await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:my/*"]})).await;
    let mut event = with("v2-custom-authorizer-v2-request", &token);
    let refused = stack.authorize(event.clone()).await.unwrap();
    assert_eq!(refused["isAuthorized"], false, "POST /my/path: {refused}");
    assert!(refused["context"]["message"].as_str().unwrap().contains("needs write:my/path"), "{refused}");
    event["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(stack.authorize(event).await.unwrap()["isAuthorized"], true);
    // Only payload 2.0 can be answered so.
    let policy = stack.authorize(with("v2-custom-authorizer-v1-request", &token)).await.unwrap();
    assert!(policy["policyDocument"].is_object());
}

#[tokio::test]
async fn what_an_http_api_keeps_answers_by_is_where_the_token_stands_or_there_is_none() {
    let (stack, token) = stack_and_token().await;
    for name in ["v2-custom-authorizer-v1-request", "v2-custom-authorizer-v2-request"] {
        let mut event = with(name, &token);
        assert!(stack.authorize(event.clone()).await.is_ok(), "{name}");
        let joined = event["identitySource"].is_string();
        event["identitySource"] = if joined { json!("dummy,192.0.2.1") } else { json!(["dummy", "192.0.2.1"]) };
        assert_eq!(stack.authorize(event.clone()).await.unwrap_err(), "Unauthorized", "{name}");
        event["headers"]["Authorization"] = json!("dummy");
        event["headers"]["X-API-Key"] = json!(token.text);
        assert_eq!(stack.authorize(event).await.unwrap_err(), "Unauthorized", "{name}");
    }
}

#[tokio::test]
async fn a_fault_of_dynamodb_is_an_error_and_never_an_answer() {
    let (stack, token) = stack_and_token().await;
    stack.drop_table().await;
    for name in FIXTURES.iter().skip(1) {
        let error = stack.authorize(with(name, &token)).await.unwrap_err();
        assert!(error.contains("ResourceNotFoundException"), "{name}: {error}");
    }
    let reply = stack.registry(http::Method::GET, "/pypi/x", Some(&token.text)).await;
    assert_eq!(reply.status, 500);
    let alice = stack.session("alice").await;
    for (method, path) in [("POST", "/tokens"), ("GET", "/tokens"), ("DELETE", &format!("/tokens/{}", token.id))] {
        let body = json!({"name": "t", "scopes": ["read"]});
        let reply = stack.api(method.parse().unwrap(), path, Some(&alice), (method == "POST").then_some(&body)).await;
        assert_eq!((reply.status, reply.json["status"].as_u64()), (503, Some(503)), "{method} {path}");
        assert!(!reply.text().contains("ResourceNotFound"), "the cause is for the log");
    }
}

#[tokio::test]
async fn a_record_that_we_did_not_write_is_a_fault() {
    let (stack, token) = stack_and_token().await;
    stack.set_attribute(&token.id, "created_at", "yesterday").await;
    let error = stack.authorize(with("v2-custom-authorizer-v2-request", &token)).await.unwrap_err();
    assert!(error.contains("created_at"), "{error}");
}
