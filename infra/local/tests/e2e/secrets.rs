//! Where a token must not be: in the table, in an event, in a log line at any level, in a `Debug`, in any answer but the
//! one that shows it. Log and answers are watched in every test of this binary ([`crate::harness::watch`]); here they are
//! given all there is to give away.

use crate::harness::{self, Harness, watch};
use crate::templates;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use std::collections::BTreeMap;

/// The routes of the management API, from the template.
fn routes() -> Vec<(Method, String)> {
    let functions = templates::resources("AWS::Serverless::Function");
    let events = functions.values().flat_map(|function| function["Events"].as_object().into_iter().flatten());
    let routes = events.filter(|(_, event)| event["Type"] == "HttpApi").map(|(_, event)| {
        let text = |field: &str| event["Properties"][field].as_str().unwrap().to_owned();
        // Of `ANY`, a method that a body goes with.
        let method = if text("Method") == "ANY" { "PUT".into() } else { text("Method") };
        (method.parse().unwrap(), text("Path"))
    });
    let mut routes: Vec<_> = routes.collect();
    // What ends a token comes last.
    routes.sort_by_key(|(method, _)| *method == Method::DELETE);
    routes
}

/// Bodies with a token wherever a field is that some route has, and where none is.
fn bodies(token: &str) -> Vec<String> {
    let mut bodies = vec![
        String::new(),
        token.to_owned(),
        format!("token={token}"),
        json!(token).to_string(),
        json!([token]).to_string(),
        json!([{"token": token, "type": "latchkey", "url": format!("https://x.example/{token}")}]).to_string(),
        json!({"token": token, "url": token, "location": token}).to_string(),
        json!({token: token}).to_string(),
        json!({"name": format!("my {token}"), "scopes": ["read"]}).to_string(),
    ];
    let fields = ["name", "scopes", "expires_at", "source_addresses", "service", "overlap_seconds", "subject"];
    for value in [json!(token), json!([token]), json!({token: token})] {
        bodies.push(
            json!(fields.map(|field| (field, value.clone())).into_iter().collect::<BTreeMap<_, _>>()).to_string(),
        );
    }
    bodies.extend(fields.map(|field| json!({"name": "t", "scopes": ["read"], field: token}).to_string()));
    bodies
}

/// Puts a token into every place of every route, with a session, with the token for one, and with neither.
async fn everywhere(stack: &Harness, session: &str, token: &str) {
    let ports = stack.stack.ports();
    let basic = BASE64_STANDARD.encode(format!("u:{token}"));
    for (method, route) in routes() {
        let mut paths = vec![
            format!(
                "{}?token={token}&cursor={token}&limit={token}&status={token}&subject={token}",
                replaced(&route, token)
            ),
            replaced(&route, &token[3..46]),
        ];
        // As a registry would be asked for with a token in its path.
        paths.extend(route.contains('+').then(|| replaced(&route, &format!("t/{token}/x"))));
        for authorization in
            [None, Some(format!("Bearer {session}")), Some(format!("Bearer {token}")), Some(basic.clone())]
        {
            for path in &paths {
                for body in bodies(token) {
                    let mut request = Request::builder().method(method.clone()).uri(path);
                    for name in ["user-agent", "referer", "origin", "cookie", "x-api-key", "x-forwarded-for", "x-odd"] {
                        request = request.header(name, token);
                    }
                    if let Some(authorization) = &authorization {
                        request = request.header("authorization", authorization);
                    }
                    harness::send(ports.api, request.body(Full::from(body)).unwrap()).await;
                    if method == Method::GET {
                        break;
                    }
                }
            }
        }
    }
}

/// As [`everywhere`], before the registry.
async fn at_the_registry(stack: &Harness, token: &str) {
    let basic = BASE64_STANDARD.encode(format!("u:{token}"));
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Basic {basic}")),
        ("authorization", format!("Digest {token}")),
        ("x-api-key", token.to_owned()),
        ("x-odd", token.to_owned()),
        ("user-agent", token.to_owned()),
        ("user-agent", format!("curl/{token}")),
    ] {
        for path in ["/npm/x".into(), format!("/t/{token}/x"), format!("/npm/x?token={token}"), format!("/{token}")] {
            for method in [Method::GET, Method::PUT, Method::POST] {
                let mut request = Request::builder().method(method).uri(&path).header(name, &value);
                if name == "user-agent" {
                    request = request.header("authorization", token);
                }
                stack.registry_raw(request.body(Full::from(token.to_owned())).unwrap()).await;
            }
        }
    }
}

fn replaced(route: &str, by: &str) -> String {
    let (before, after) = route.split_once('{').unwrap_or((route, ""));
    let after = after.split_once('}').map_or("", |(_, after)| after);
    if route.contains('{') { format!("{before}{by}{after}") } else { route.into() }
}

#[tokio::test]
async fn no_place_of_any_route_makes_a_token_be_logged_stored_told_or_answered() {
    let stack = Harness::start_with(&[("ADMIN_GROUP", "admins")]).await;
    let (alice, admin) = (stack.session("alice").await, stack.session_in("root", "admins").await);
    let wish = json!({"name": "good", "scopes": ["write:npm/*"]});
    let good = stack.token("alice", wish.clone()).await;
    let mut presented = vec![good.text.clone(), stack.with_another_secret(&good), stack.unknown_token()];
    let rotated = stack.token("alice", wish.clone()).await;
    let reply = stack.api(Method::POST, &format!("/tokens/{}/rotate", rotated.id), Some(&alice), None).await;
    presented.push(rotated.text);
    presented.push(reply.json["token"].as_str().unwrap().into());
    let revoked = stack.token("alice", wish.clone()).await;
    stack.revoke("alice", &revoked.id).await;
    presented.push(revoked.text);

    for token in &presented {
        at_the_registry(&stack, token).await;
    }
    for token in [&presented[1], &presented[3], &good.text] {
        everywhere(&stack, &alice, token).await;
    }
    everywhere(&stack, &admin, &good.text).await;
    stack.stack.tick().await;
    stack.stack.settled().await;
    stack.stack.settle_events().await.unwrap();

    let (records, due) = stack.table().await;
    assert!(records.len() >= 3 && !due.is_empty(), "the table was written");
    let table = format!("{records:?} {due:?}");
    assert!(table.contains(&good.id[17..]), "the id is public");
    assert!(!watch::is_known_in(&table), "the table holds a secret");
    let events = stack.stack.events();
    assert!(events.len() > 5, "events were raised");
    assert!(!watch::is_known_in(&format!("{events:?}")), "an event holds a secret");

    // And where everything fails.
    stack.drop_table().await;
    everywhere(&stack, &alice, &good.text).await;
    at_the_registry(&stack, &good.text).await;
    let log = harness::log();
    assert!(
        log.contains("created") && log.contains("not_granted") && log.contains("the store failed"),
        "the log was on"
    );
    assert_eq!(watch::leaks(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_record_is_a_hash_and_what_is_public() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await;
    stack.registry(Method::GET, "/x", Some(&token.text)).await;
    stack.revoke("alice", &token.id).await;
    stack.registry(Method::GET, "/x", Some(&token.text)).await;
    stack.stack.settled().await;
    let listed = stack.api(Method::GET, "/tokens", Some(&alice), None).await;
    assert!(!listed.text().contains("hash") && !watch::is_known_in(&listed.text()));
    for item in stack.items().await {
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.retain(|name| !["revoked_at", "revoked_by"].contains(name) && !name.starts_with("last_used"));
        let expected =
            ["created_at", "expires_at", "hash", "id", "last_event", "name", "owner", "purge_at", "scopes", "subject"];
        assert_eq!(names, expected);
        assert_eq!(item["hash"].as_b().unwrap().as_ref().len(), 32);
    }
}

#[tokio::test]
async fn no_refusal_repeats_a_token_wherever_it_was_put() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read:npm/*"]})).await;
    let alice = stack.session("alice").await;
    let text = token.text.as_str();
    let scope = format!("read:npm/{text}");
    let fields =
        json!({text: text, "name": text, "scopes": [text, scope], "expires_at": text, "source_addresses": [text]});
    let answers = [
        stack.registry(Method::GET, &format!("/pypi/{text}"), Some(text)).await,
        stack.registry(Method::GET, &format!("/npm//{text}"), Some(text)).await,
        stack.registry(Method::GET, &format!("/npm/x?t={text}"), Some(text)).await,
        stack.api(Method::GET, &format!("/tokens?{text}=x"), Some(&alice), None).await,
        stack.api(Method::GET, &format!("/tokens?status={text}"), Some(&alice), None).await,
        stack.api(Method::GET, &format!("/tokens/{text}"), Some(&alice), None).await,
        stack.api(Method::POST, "/tokens", Some(&alice), Some(&fields)).await,
        stack.api(Method::POST, "/tokens", Some(&alice), Some(&json!({"name": "t", "scopes": [scope]}))).await,
        stack.api(Method::POST, &format!("/tokens/{}/rotate", token.id), Some(&alice), Some(&fields)).await,
        stack.api(Method::PATCH, &format!("/tokens/{}", token.id), Some(&alice), Some(&fields)).await,
    ];
    for (i, answer) in answers.iter().enumerate() {
        assert!(answer.status >= 400, "{i}: {}", answer.status);
        assert!(!answer.json.to_string().contains(token.secret()), "{i}: {}", answer.json);
    }
}
