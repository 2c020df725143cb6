//! The management API: making, listing and revoking tokens, and every way to be refused.

use crate::harness::Harness;
use http::Method;
use serde_json::{Value, json};
use std::collections::HashSet;

fn wish(name: &str) -> Value {
    json!({"name": name, "scopes": ["read:*"]})
}

#[tokio::test]
async fn a_token_is_shown_once_and_then_only_its_id_and_its_times() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let body =
        json!({"name": "  ci é 🦀 ", "scopes": ["read", "write:npm/@acme/*", "read:*"], "expires_at": "2027-02-01"});
    let made = stack.api(Method::POST, "/tokens", Some(&alice), Some(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.json["token"].as_str().unwrap().to_owned();
    let id = made.json["id"].as_str().unwrap();
    let registry = format!("http://127.0.0.1:{}", stack.stack.ports().registry);
    assert_eq!(made.header("location"), Some(format!("/tokens/{id}").as_str()));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert!(token.starts_with(&format!("lk_{id}_")) && token.len() == 96);
    let usage = &made.json["usage"];
    let curl = json!({
        "client": "curl",
        "title": "curl",
        "instructions": "Send the token as a bearer token. With --fail-with-body a refusal fails, and says why.",
        "snippet": format!(
            "export MY_REGISTRY_TOKEN={token}\n\
             curl --fail-with-body -H \"Authorization: Bearer $MY_REGISTRY_TOKEN\" {registry}/PATH\n\
             curl --fail-with-body -H \"Authorization: Bearer $MY_REGISTRY_TOKEN\" -T FILE {registry}/PATH",
        ),
    });
    assert_eq!((&usage[0], usage.as_array().unwrap().len()), (&curl, 20));
    assert_eq!(
        made.json,
        json!({
            "usage": usage, "id": id, "token": token, "name": "ci é 🦀", "scopes": ["read:*", "write:npm/@acme/*"],
            "source_addresses": [], "created_at": "2027-01-05T12:00:00Z", "rotated_at": null,
            "expires_at": "2027-02-01T23:59:59Z",
        })
    );

    let list = stack.api(Method::GET, "/tokens", Some(&alice), None).await;
    assert_eq!(list.status, 200);
    assert_eq!(
        list.json,
        json!({
            "tokens": [{
                "id": id, "name": "ci é 🦀", "subject": "alice", "scopes": ["read:*", "write:npm/@acme/*"],
                "source_addresses": [], "status": "active", "created_at": "2027-01-05T12:00:00Z", "rotated_at": null,
                "expires_at": "2027-02-01T23:59:59Z", "revoked_at": null, "revoked_by": null, "leak_url": null,
                "last_used": null,
            }],
            "next_cursor": null,
        })
    );
    assert!(!list.text().contains(&token));
}

#[tokio::test]
async fn a_token_says_what_it_is_and_nothing_to_anybody_else() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:npm/*"]})).await;
    let ask = async |presented: &str| stack.api(Method::GET, "/tokens/current", Some(presented), None).await;
    let said = ask(&token.text).await;
    assert_eq!((said.status, said.header("cache-control")), (200, Some("no-store")));
    assert_eq!(
        said.json,
        json!({
            "id": token.id, "name": "ci", "subject": "alice", "scopes": ["read:npm/*"], "source_addresses": [],
            "status": "active", "created_at": "2027-01-05T12:00:00Z", "rotated_at": null,
            "expires_at": "2027-04-05T12:00:00Z", "revoked_at": null, "revoked_by": null, "leak_url": null,
            "last_used": null,
        })
    );
    for other in [stack.with_another_secret(&token), stack.unknown_token(), stack.session("alice").await] {
        let refused = ask(&other).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    }
    stack.revoke("alice", &token.id).await;
    let ended = ask(&token.text).await;
    assert_eq!((ended.status, &ended.json["detail"]), (403, &json!("Token ci was revoked on 2027-01-05T12:00:00Z.")));
    stack.drop_table().await;
    assert_eq!(ask(&token.text).await.status, 503);
}

#[tokio::test]
async fn an_expiry_date_is_the_end_of_that_day_and_90_days_where_none_is_named() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    for (expires_at, expected) in [
        (None, "2027-04-05T12:00:00Z"),
        (Some("2027-01-05"), "2027-01-05T23:59:59Z"),
        (Some("2027-01-05T13:30:00.5+01:00"), "2027-01-05T12:30:00Z"),
        (Some("2028-01-05"), "2028-01-05T23:59:59Z"),
    ] {
        let mut body = wish("t");
        if let Some(expires_at) = expires_at {
            body["expires_at"] = json!(expires_at);
        }
        let made = stack.api(Method::POST, "/tokens", Some(&alice), Some(&body)).await;
        assert_eq!((made.status, made.json["expires_at"].as_str()), (201, Some(expected)), "{expires_at:?}");
    }
}

#[tokio::test]
async fn a_token_without_expiry_is_made_where_the_deployment_allows_it() {
    let stack = Harness::start_with(&[("ALLOW_NO_EXPIRY", "true")]).await;
    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"], "expires_at": null})).await;
    stack.advance_days(3000);
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
}

#[tokio::test]
async fn a_wrong_request_names_each_field_what_was_given_and_what_is_allowed_and_stores_nothing() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let scopes = json!(["read:*"]);
    let many: Vec<_> = (0..51).map(|i| format!("read:p{i}")).collect();
    let of = |field: &str, value: Value| {
        let mut body = json!({"name": "ci", "scopes": scopes});
        body[field] = value;
        body.to_string()
    };
    let wrong = [
        ("not JSON", "name=ci".to_owned(), vec!["body"]),
        ("cut off", r#"{"name": "ci", "#.to_owned(), vec!["body"]),
        ("empty", String::new(), vec!["body"]),
        ("a list", "[]".to_owned(), vec!["body"]),
        ("too deep", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), vec!["body"]),
        (
            "wrong types",
            json!({"name": 7, "scopes": "read", "expires_at": true}).to_string(),
            vec!["name", "scopes", "expires_at"],
        ),
        ("nothing", "{}".to_owned(), vec!["name", "scopes"]),
        ("an unknown field", of("subject", json!("bob")), vec!["subject"]),
        ("an unknown owner", of("owner", json!({"sub": "bob"})), vec!["owner"]),
        ("no name", of("name", json!("")), vec!["name"]),
        ("a blank name", of("name", json!(" \u{a0} ")), vec!["name"]),
        ("101 characters", of("name", json!("é".repeat(101))), vec!["name"]),
        ("a control character", of("name", json!("a\u{7}b")), vec!["name"]),
        ("a line break", of("name", json!("a\nb")), vec!["name"]),
        ("a change of direction", of("name", json!("a\u{202e}b")), vec!["name"]),
        ("a date in the past", of("expires_at", json!("2027-01-04")), vec!["expires_at"]),
        ("this very moment", of("expires_at", json!("2027-01-05T12:00:00Z")), vec!["expires_at"]),
        ("a day too far", of("expires_at", json!("2028-01-06")), vec!["expires_at"]),
        ("never", of("expires_at", Value::Null), vec!["expires_at"]),
        ("no date", of("expires_at", json!("2027-02-30")), vec!["expires_at"]),
        ("no scopes", of("scopes", json!([])), vec!["scopes"]),
        ("51 scopes", of("scopes", json!(many)), vec!["scopes"]),
        (
            "bad scopes",
            of("scopes", json!(["read:ok", "admin", "read:/x", 3])),
            vec!["scopes[1]", "scopes[2]", "scopes[3]"],
        ),
    ];
    for (case, body, fields) in wrong {
        let reply = stack.api_raw(Method::POST, "/tokens", Some(&alice), body.into()).await;
        assert_eq!(reply.status, 400, "{case}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{case}");
        let errors = reply.json["errors"].as_array().unwrap();
        assert_eq!(errors.iter().map(|error| error["field"].as_str().unwrap()).collect::<Vec<_>>(), fields, "{case}");
        assert!(errors.iter().all(|error| !error["allowed"].as_str().unwrap().is_empty()), "{case}");
        let given = |field: &str| errors.iter().any(|error| error["field"] == field && error["given"].is_string());
        assert!(case == "nothing" || fields.iter().all(|field| given(field)), "{case}: {reply:?}");
        for key in ["type", "title", "status", "detail"] {
            assert!(!reply.json[key].is_null(), "{case}: no {key}");
        }
    }
    let reply = stack.api_raw(Method::POST, "/tokens", Some(&alice), vec![b' '; 1 << 20].into()).await;
    assert_eq!((reply.status, reply.json["status"].as_u64()), (413, Some(413)));

    for (query, field) in [
        ("status=dead", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("cursor=latest", "cursor"),
        ("owner=bob", "owner"),
        ("limit=1&status=", "status"),
    ] {
        let reply = stack.api(Method::GET, &format!("/tokens?{query}"), Some(&alice), None).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.json["errors"][0]["field"], field, "{query}");
    }
    assert_eq!(stack.items().await.len(), 0, "nothing is stored");
}

#[tokio::test]
async fn a_token_pasted_into_a_field_is_neither_stored_nor_repeated() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", wish("t")).await;
    for body in [
        json!({"name": token.text, "scopes": ["read"]}),
        json!({"name": "t", "scopes": [token.text]}),
        json!({"name": "t", "scopes": ["read"], "expires_at": token.text}),
        json!({"name": "t", "scopes": ["read"], token.text.clone(): 1}),
    ] {
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&body)).await;
        assert_eq!(reply.status, 400);
        assert!(!reply.text().contains(token.secret()), "{}", reply.text());
    }
}

#[tokio::test]
async fn alice_can_neither_see_nor_revoke_nor_make_a_token_of_bobs() {
    let stack = Harness::start().await;
    let bobs = stack.token("bob", wish("bob's")).await;
    let alice = stack.session("alice").await;

    let list = stack.api(Method::GET, "/tokens", Some(&alice), None).await;
    assert_eq!(list.json["tokens"], json!([]));
    let cursor = stack.api(Method::GET, &format!("/tokens?cursor={}", bobs.id), Some(&alice), None).await;
    assert_eq!((cursor.status, cursor.json["errors"][0]["field"].as_str()), (400, Some("cursor")));

    let foreign = stack.api(Method::DELETE, &format!("/tokens/{}", bobs.id), Some(&alice), None).await;
    let unknown = stack.api(Method::DELETE, "/tokens/latest", Some(&alice), None).await;
    assert_eq!((foreign.status, unknown.status), (404, 404));
    assert_eq!(foreign.json, unknown.json, "someone else's and unknown are answered alike");
    assert_eq!(stack.registry(Method::GET, "/x", Some(&bobs.text)).await.status, 200);

    // Nothing in the request but the session's claims says who asks.
    let headers = [("x-subject", "bob"), ("x-latchkey-subject", "bob"), ("x-amzn-oidc-identity", "bob")];
    let made = stack.api_with(Method::POST, "/tokens?sub=bob&owner=bob", Some(&alice), &headers, wish("mine")).await;
    assert_eq!(made.status, 201);
    let owner = &stack.token("alice", wish("other")).await.id[..17];
    assert_eq!(&made.json["id"].as_str().unwrap()[..17], owner);
}

#[tokio::test]
async fn the_record_of_another_subject_in_the_same_partition_is_not_the_callers() {
    let stack = Harness::start().await;
    let token = stack.token("alice", wish("t")).await;
    stack.set_attribute(&token.id, "subject", "mallory").await;
    let alice = stack.session("alice").await;
    assert_eq!(stack.api(Method::GET, "/tokens", Some(&alice), None).await.json["tokens"], json!([]));
    assert_eq!(stack.api(Method::DELETE, &format!("/tokens/{}", token.id), Some(&alice), None).await.status, 404);
}

#[tokio::test]
async fn revoking_twice_is_answered_alike_and_the_first_time_stays() {
    let stack = Harness::start().await;
    let token = stack.token("alice", wish("t")).await;
    let alice = stack.session("alice").await;
    let path = format!("/tokens/{}", token.id);
    assert_eq!(stack.api(Method::DELETE, &path, Some(&alice), None).await.status, 204);
    stack.advance(60);
    let again = stack.api(Method::DELETE, &path, Some(&alice), None).await;
    assert_eq!((again.status, again.text()), (204, String::new()));
    let list = stack.api(Method::GET, "/tokens", Some(&alice), None).await;
    assert_eq!(list.json["tokens"][0]["revoked_at"], "2027-01-05T12:00:00Z");
    assert_eq!(list.json["tokens"][0]["status"], "revoked");
    let item = &stack.items().await[0];
    let purge = item["purge_at"].as_n().unwrap().parse::<i64>().unwrap();
    assert_eq!(purge, stack.now().as_secs() - 60 + 30 * 86_400, "kept for 30 days");
}

#[tokio::test]
async fn the_101st_active_token_is_refused_and_ended_ones_do_not_count() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let mut ids = vec![];
    for i in 0..100 {
        let mut body = wish(&format!("t{i}"));
        if i < 10 {
            body["expires_at"] = json!("2027-01-05T12:10:00Z");
        }
        let made = stack.api(Method::POST, "/tokens", Some(&alice), Some(&body)).await;
        assert_eq!(made.status, 201, "{i}");
        ids.push(made.json["id"].as_str().unwrap().to_owned());
    }
    let refused = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish("one more"))).await;
    assert_eq!(refused.status, 409);
    assert!(refused.json["detail"].as_str().unwrap().contains("100 active tokens"), "{refused:?}");
    assert_eq!(stack.items().await.len(), 100);
    let bob = stack.session("bob").await;
    assert_eq!(stack.api(Method::POST, "/tokens", Some(&bob), Some(&wish("bob's"))).await.status, 201);

    stack.api(Method::DELETE, &format!("/tokens/{}", ids[50]), Some(&alice), None).await;
    assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish("revoked one"))).await.status, 201);
    assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish("too many"))).await.status, 409);
    stack.advance(601);
    for i in 0..10 {
        assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish("expired"))).await.status, 201, "{i}");
    }
    assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish("too many"))).await.status, 409);
}

#[tokio::test]
async fn a_thousand_tokens_list_completely_newest_first_without_duplicates() {
    let stack = Harness::start_with(&[("MAX_ACTIVE_TOKENS", "2000")]).await;
    let alice = stack.session("alice").await;
    let mut made = vec![];
    for i in 0..1000 {
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish(&format!("t{i}")))).await;
        made.push(reply.json["id"].as_str().unwrap().to_owned());
        stack.advance_millis(1);
        if i % 7 == 0 {
            stack.api(Method::DELETE, &format!("/tokens/{}", made[i]), Some(&alice), None).await;
        }
    }
    made.reverse();
    for (query, expected) in
        [("limit=100", 1000), ("limit=37", 1000), ("limit=100&status=active", 857), ("status=revoked", 143)]
    {
        let mut seen: Vec<String> = vec![];
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let page = stack.api(Method::GET, &format!("/tokens?{query}{cursor}"), Some(&alice), None).await;
            assert_eq!(page.status, 200, "{page:?}");
            seen.extend(
                page.json["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().into()),
            );
            pages += 1;
            let Some(next) = page.json["next_cursor"].as_str() else { break };
            assert!(pages < 100, "{query} does not end");
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), expected, "{query}");
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), expected, "{query}: duplicates");
        let kept: HashSet<_> = seen.iter().collect();
        let order: Vec<_> = made.iter().filter(|id| kept.contains(id)).collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), order, "{query}: newest first");
    }
}
