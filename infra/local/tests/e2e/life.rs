//! The life of a token after it was made: rotated, changed, used, bound to addresses, ended with all of its owner's.

use crate::harness::{Harness, Reply, Token};
use http::Method;
use serde_json::{Value, json};

const ADMINS: [(&str, &str); 1] = [("ADMIN_GROUP", "admins")];

async fn rotate(stack: &Harness, session: &str, id: &str, wish: Value) -> Reply {
    stack.api(Method::POST, &format!("/tokens/{id}/rotate"), Some(session), Some(&wish)).await
}

async fn change(stack: &Harness, session: &str, id: &str, wish: Value) -> Reply {
    stack.api(Method::PATCH, &format!("/tokens/{id}"), Some(session), Some(&wish)).await
}

async fn one(stack: &Harness, session: &str, id: &str) -> Value {
    let reply = stack.api(Method::GET, &format!("/tokens/{id}"), Some(session), None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json
}

async fn opens(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

fn new_secret(reply: &Reply) -> Token {
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = |field: &str| reply.json[field].as_str().unwrap().to_owned();
    Token { id: text("id"), text: text("token") }
}

fn reader() -> Value {
    json!({"name": "ci", "scopes": ["read"]})
}

#[tokio::test]
async fn a_rotated_token_has_a_new_secret_and_all_else_stays() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let wish = json!({"name": "ci", "scopes": ["read:*", "write:npm/*"], "source_addresses": ["127.0.0.0/8"]});
    let old = stack.token("alice", wish).await;
    stack.advance_days(30);
    let alice_later = stack.session("alice").await;
    let reply = rotate(&stack, &alice_later, &old.id, json!({})).await;
    let new = new_secret(&reply);
    assert_eq!((reply.header("cache-control"), new.id.as_str()), (Some("no-store"), old.id.as_str()));
    assert_ne!(new.secret(), old.secret());
    let mut shown = reply.json.clone();
    for field in ["token", "usage"] {
        assert!(shown.as_object_mut().unwrap().remove(field).is_some_and(|value| value.to_string().len() > 90));
    }
    assert_eq!(
        shown,
        json!({
            "id": old.id, "name": "ci", "scopes": ["read:*", "write:npm/*"], "source_addresses": ["127.0.0.0/8"],
            "created_at": "2027-01-05T12:00:00Z", "rotated_at": "2027-02-04T12:00:00Z",
            "expires_at": "2027-05-05T12:00:00Z", "overlap_ends_at": "2027-02-04T12:00:00Z",
        })
    );
    assert_eq!((opens(&stack, &old.text).await, opens(&stack, &new.text).await), (403, 200));
    let listed = one(&stack, &alice_later, &old.id).await;
    assert_eq!((&listed["rotated_at"], &listed["status"]), (&json!("2027-02-04T12:00:00Z"), &json!("active")));
    assert_eq!(stack.items().await.len(), 1);
    assert_eq!(rotate(&stack, &alice, &old.id, json!({})).await.status, 401, "that session is over");
}

#[tokio::test]
async fn an_old_secret_goes_on_for_its_overlap_and_not_a_second_longer() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let first = stack.token("alice", reader()).await;
    let second = new_secret(&rotate(&stack, &alice, &first.id, json!({"overlap_seconds": 600})).await);
    stack.advance(599);
    assert_eq!((opens(&stack, &first.text).await, opens(&stack, &second.text).await), (200, 200));
    stack.advance(1);
    assert_eq!((opens(&stack, &first.text).await, opens(&stack, &second.text).await), (403, 200));
    let refused = stack.registry(Method::GET, "/x", Some(&first.text)).await;
    let message = refused.json["message"].as_str().unwrap();
    assert!(
        message.starts_with("Token ci was rotated on 2027-01-05T12:00:00Z, and this is an earlier secret"),
        "{message}"
    );

    // At most two secrets are ever good: another rotation ends an overlap.
    let third = new_secret(&rotate(&stack, &alice, &first.id, json!({"overlap_seconds": 600})).await);
    let fourth = new_secret(&rotate(&stack, &alice, &first.id, json!({"overlap_seconds": 600})).await);
    let mut statuses = vec![];
    for token in [&first, &second, &third, &fourth] {
        statuses.push(opens(&stack, &token.text).await);
    }
    assert_eq!(statuses, [403, 403, 200, 200]);
}

#[tokio::test]
async fn an_overlap_never_outlives_the_end_that_the_old_secret_had() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let wish = json!({"name": "ci", "scopes": ["read"], "expires_at": "2027-01-05T13:00:00Z"});
    let old = stack.token("alice", wish).await;
    let wish = json!({"overlap_seconds": 604_800, "expires_at": "2027-03-01"});
    let reply = rotate(&stack, &alice, &old.id, wish).await;
    assert_eq!(reply.json["expires_at"], "2027-03-01T23:59:59Z");
    assert_eq!(reply.json["overlap_ends_at"], "2027-01-05T13:00:01Z");
    let new = new_secret(&reply);
    stack.set_time("2027-01-05T13:00:00Z");
    assert_eq!((opens(&stack, &old.text).await, opens(&stack, &new.text).await), (200, 200));
    stack.advance(1);
    assert_eq!((opens(&stack, &old.text).await, opens(&stack, &new.text).await), (403, 200));
}

#[tokio::test]
async fn of_two_rotations_at_once_one_wins_and_the_other_is_told() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    for _ in 0..10 {
        let token = stack.token("alice", reader()).await;
        let (one, two) =
            tokio::join!(rotate(&stack, &alice, &token.id, json!({})), rotate(&stack, &alice, &token.id, json!({})));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        // One after the other is fine as well; then the second has rotated the first one's secret away.
        assert!(statuses == [200, 409] || statuses == [200, 200], "{statuses:?}");
        let mut good = 0;
        for reply in [&one, &two].into_iter().filter(|reply| reply.status == 200) {
            good += u16::from(opens(&stack, reply.json["token"].as_str().unwrap()).await == 200);
        }
        assert_eq!(good, 1, "one secret is good, whatever happened");
    }
    // The same, held for certain: what the record was is the condition.
    let token = stack.token("alice", reader()).await;
    let store = stack.store();
    let record = store.get(token.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(rotate(&stack, &alice, &token.id, json!({})).await.status, 200);
    let late = latchkey::store::Rotation {
        at: stack.now(),
        hash: record.hash,
        overlap_ends_at: stack.now(),
        expires_at: None,
        purge_at: None,
    };
    assert!(!store.rotate(&record, &late).await.unwrap());
}

#[tokio::test]
async fn an_ended_token_is_neither_rotated_nor_changed() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let (revoked, expired) = (stack.token("alice", reader()).await, stack.token("alice", reader()).await);
    stack.revoke("alice", &revoked.id).await;
    stack.set_number(&expired.id, "expires_at", stack.now().as_secs() - 1).await;
    let bobs = stack.token("bob", reader()).await;
    for (id, status) in [(&revoked.id, 409), (&expired.id, 409), (&bobs.id, 404), (&"latest".to_string(), 404)] {
        assert_eq!(rotate(&stack, &alice, id, json!({})).await.status, status);
        assert_eq!(change(&stack, &alice, id, json!({"name": "x"})).await.status, status);
    }
    let refused = rotate(&stack, &alice, &revoked.id, json!({})).await;
    assert_eq!(
        refused.json["detail"],
        "Token ci was revoked on 2027-01-05T12:00:00Z. Nothing was changed; make another token."
    );
}

#[tokio::test]
async fn a_wrong_rotation_or_change_names_each_field_and_does_nothing() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", reader()).await;
    let before = stack.items().await;
    for (wish, fields) in [
        (json!({"overlap_seconds": 604_801}), vec!["overlap_seconds"]),
        (json!({"overlap_seconds": -1, "expires_at": "2027-01-04"}), vec!["overlap_seconds", "expires_at"]),
        (json!({"overlap_seconds": "1", "name": "x"}), vec!["name", "overlap_seconds"]),
        (json!({"expires_at": null}), vec!["expires_at"]),
        (json!([]), vec!["body"]),
    ] {
        let reply = rotate(&stack, &alice, &token.id, wish.clone()).await;
        let errors = reply.json["errors"].as_array().unwrap_or_else(|| panic!("{wish}: {reply:?}"));
        let named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!((reply.status, named), (400, fields), "{wish}");
    }
    for (wish, fields) in [
        (json!({}), vec!["body"]),
        (json!({"name": " ", "scopes": []}), vec!["name", "scopes"]),
        (json!({"name": null}), vec!["name"]),
        (json!({"source_addresses": []}), vec!["source_addresses", "body"]),
        (json!({"expires_at": "2027-01-05T12:00:00Z"}), vec!["expires_at"]),
    ] {
        let reply = change(&stack, &alice, &token.id, wish.clone()).await;
        let errors = reply.json["errors"].as_array().unwrap_or_else(|| panic!("{wish}: {reply:?}"));
        let named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!((reply.status, named), (400, fields), "{wish}");
    }
    assert_eq!(stack.items().await, before);
    // Without a body at all a rotation is one at once, with the same life again.
    let reply = stack.api(Method::POST, &format!("/tokens/{}/rotate", token.id), Some(&alice), None).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_change_renames_narrows_and_brings_the_end_forward_and_holds_at_the_next_request() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["write:npm/*", "read:pypi/*"]})).await;
    let reply = change(&stack, &alice, &token.id, json!({"name": "release", "scopes": ["write:npm/@acme/*"]})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        (&reply.json["name"], &reply.json["scopes"], &reply.json["expires_at"]),
        (&json!("release"), &json!(["write:npm/@acme/*"]), &json!("2027-04-05T12:00:00Z"))
    );
    for (method, path, status) in
        [(Method::PUT, "/npm/@acme/x", 200), (Method::PUT, "/npm/x", 403), (Method::GET, "/pypi/simple/", 403)]
    {
        assert_eq!(stack.registry(method, path, Some(&token.text)).await.status, status, "{path}");
    }
    let reply = change(&stack, &alice, &token.id, json!({"expires_at": "2027-01-05T12:00:10Z"})).await;
    assert_eq!(reply.json["expires_at"], "2027-01-05T12:00:10Z");
    assert_eq!(one(&stack, &alice, &token.id).await, reply.json);
    stack.advance(11);
    assert_eq!(stack.registry(Method::GET, "/npm/@acme/x", Some(&token.text)).await.status, 403);
}

#[tokio::test]
async fn a_change_never_widens_and_never_prolongs() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["write:npm/@acme/*", "read:pypi/*"]})).await;
    let before = one(&stack, &alice, &token.id).await;
    for (wish, given) in [
        (json!({"scopes": ["write:npm/*"]}), vec!["write:npm/*"]),
        (json!({"scopes": ["read:npm/@acme/x", "write:pypi/x", "read"]}), vec!["write:pypi/x", "read:*"]),
        (json!({"expires_at": "2027-04-06"}), vec!["2027-04-06T23:59:59Z"]),
        (json!({"scopes": ["read"], "expires_at": "2027-12-31", "name": "x"}), vec!["read:*", "2027-12-31T23:59:59Z"]),
    ] {
        let reply = change(&stack, &alice, &token.id, wish.clone()).await;
        assert_eq!((reply.status, &reply.json["type"]), (409, &json!("urn:latchkey:problem:widens")), "{wish}");
        let errors = reply.json["errors"].as_array().unwrap();
        assert_eq!(errors.iter().map(|error| error["given"].as_str().unwrap()).collect::<Vec<_>>(), given, "{wish}");
    }
    assert_eq!(one(&stack, &alice, &token.id).await, before);
}

#[tokio::test]
async fn a_change_of_what_somebody_else_changed_at_the_same_moment_is_a_conflict() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:npm/*"]})).await;
    let store = stack.store();
    let record = store.get(token.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(change(&stack, &alice, &token.id, json!({"scopes": ["read:npm/x"]})).await.status, 200);
    let late = latchkey::store::Change {
        name: "late".into(),
        scopes: record.scopes.clone(),
        expires_at: record.times.expires_at,
        purge_at: None,
    };
    assert!(!store.change(&record, &late).await.unwrap(), "it would widen again");
    let record = store.get(token.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(change(&stack, &alice, &token.id, json!({"name": "renamed"})).await.status, 200);
    let late = latchkey::store::Change { name: record.name.clone(), scopes: record.scopes.clone(), ..late };
    assert!(!store.change(&record, &late).await.unwrap(), "it would undo the new name");
    assert_eq!(one(&stack, &alice, &token.id).await["name"], "renamed");
    assert_eq!(one(&stack, &alice, &token.id).await["scopes"], json!(["read:npm/x"]));
}

#[tokio::test]
async fn one_token_is_told_to_its_owner_and_nobody_else() {
    let stack = Harness::start().await;
    let (alice, bob) = (stack.session("alice").await, stack.session("bob").await);
    let token = stack.token("alice", reader()).await;
    assert_eq!(one(&stack, &alice, &token.id).await["name"], "ci");
    let path = format!("/tokens/{}", token.id);
    let foreign = stack.api(Method::GET, &path, Some(&bob), None).await;
    let unknown = stack.api(Method::GET, "/tokens/nothing", Some(&alice), None).await;
    assert_eq!((foreign.status, unknown.status), (404, 404));
    assert_eq!(foreign.json, unknown.json);
    assert_eq!(stack.api(Method::GET, &path, None, None).await.status, 401);
}

#[tokio::test]
async fn a_token_can_neither_make_nor_list_nor_change_nor_rotate_tokens() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "all", "scopes": ["write"]})).await;
    let id = &token.id;
    for (method, path) in [
        (Method::POST, "/tokens".to_string()),
        (Method::GET, "/tokens".into()),
        (Method::GET, format!("/tokens/{id}")),
        (Method::PATCH, format!("/tokens/{id}")),
        (Method::DELETE, format!("/tokens/{id}")),
        (Method::DELETE, "/tokens?subject=alice".into()),
        (Method::POST, format!("/tokens/{id}/rotate")),
    ] {
        assert_eq!(stack.api(method, &path, Some(&token.text), Some(&reader())).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_last_use_is_told_with_its_address_and_client_ten_minutes_behind_at_most() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", reader()).await;
    assert_eq!(one(&stack, &alice, &token.id).await["last_used"], Value::Null);
    let use_from = async |last: u8, client: &str| {
        assert_eq!(stack.registry_from([127, 0, 0, last], client, &token.text).await.status, 200);
        stack.stack.settled().await;
        one(&stack, &alice, &token.id).await["last_used"].clone()
    };
    let first = json!({"at": "2027-01-05T12:00:00Z", "address": "127.0.0.7", "client": "cargo/1.95.0"});
    assert_eq!(use_from(7, "cargo/1.95.0 (x)").await, first);
    stack.advance(599);
    assert_eq!(use_from(8, "npm/11").await, first, "one write in ten minutes");
    stack.advance(1);
    assert_eq!(
        use_from(9, "<script>").await,
        json!({"at": "2027-01-05T12:10:00Z", "address": "127.0.0.9", "client": null})
    );
}

#[tokio::test]
async fn a_use_that_cannot_be_noted_stands_in_nobodys_way() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let token = stack.token("alice", reader()).await;
    // What DynamoDB refuses to compare: the write fails, the answer does not.
    stack.set_attribute(&token.id, "retired_used_at", "soon").await;
    let new = new_secret(&rotate(&stack, &alice, &token.id, json!({})).await);
    assert_eq!(opens(&stack, &token.text).await, 403);
    assert_eq!(opens(&stack, &new.text).await, 200);
    stack.stack.settled().await;
    // A record that goes between the answer and the note does not come back as a stump.
    let store = stack.store();
    let id = new.id.parse().unwrap();
    let (owner, ulid) = new.id.split_at(17);
    let key = [("owner", owner), ("id", ulid)];
    let mut delete = stack.dynamodb().delete_item().table_name("latchkey");
    for (name, value) in key {
        delete = delete.key(name, aws_sdk_dynamodb::types::AttributeValue::S(value.into()));
    }
    delete.send().await.unwrap();
    let last_use = latchkey::last_use::LastUse { at: stack.now(), address: None, client: None };
    store.note_use(id, &last_use).await.unwrap();
    assert!(stack.items().await.is_empty());
}

#[tokio::test]
async fn the_use_of_a_retired_secret_is_noted_once_in_ten_minutes() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let old = stack.token("alice", reader()).await;
    rotate(&stack, &alice, &old.id, json!({})).await;
    let noted = async || {
        assert_eq!(opens(&stack, &old.text).await, 403);
        stack.stack.settled().await;
        let item = stack.items().await.remove(0);
        let text = |name: &str| item[name].as_n().or(item[name].as_s()).unwrap().clone();
        (text("retired_used_at"), text("last_event"))
    };
    let now = stack.now().as_secs();
    assert_eq!(noted().await, (now.to_string(), "retired_secret_used".into()));
    stack.advance(599);
    assert_eq!(noted().await.0, now.to_string());
    stack.advance(1);
    assert_eq!(noted().await.0, (now + 600).to_string());
}

#[tokio::test]
async fn where_uses_are_not_noted_deciding_writes_nothing() {
    let stack = Harness::start_with(&[("NOTE_LAST_USE", "false")]).await;
    let alice = stack.session("alice").await;
    let old = stack.token("alice", reader()).await;
    let new = new_secret(&rotate(&stack, &alice, &old.id, json!({})).await);
    let before = stack.items().await;
    assert_eq!((opens(&stack, &new.text).await, opens(&stack, &old.text).await), (200, 403));
    stack.stack.settled().await;
    assert_eq!(stack.items().await, before);
}

#[tokio::test]
async fn a_token_bound_to_addresses_opens_nothing_from_elsewhere_whatever_is_cached() {
    for (records, answers) in [("0", "0"), ("60", "0"), ("0", "60"), ("60", "60")] {
        let stack = Harness::start_caching(records, answers).await;
        let wish = json!({"name": "ci", "scopes": ["read"], "source_addresses": ["127.0.0.8/29", "2001:db8::/32"]});
        let token = stack.token("alice", wish).await;
        let from = async |last: u8| stack.registry_from([127, 0, 0, last], "x", &token.text).await;
        for (last, status) in [(8, 200), (7, 403), (15, 200), (16, 403), (8, 200)] {
            let reply = from(last).await;
            assert_eq!(reply.status, status, "127.0.0.{last} under {records} and {answers}: {reply:?}");
        }
        if answers == "0" {
            let message = from(7).await.json["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("Token ci may not be used from 127.0.0.7."), "{message}");
        }
        let forwarded = http::Request::get("/x").header("x-forwarded-for", "127.0.0.8");
        let forwarded = forwarded.header("authorization", format!("Bearer {}", token.text));
        let reply = stack.registry_raw(forwarded.body(Default::default()).unwrap()).await;
        assert_eq!(reply.status, 403, "what a client says of its address counts for nothing");
    }
}

#[tokio::test]
async fn a_yes_that_other_addresses_would_share_is_no_yes_for_a_bound_token() {
    let stack = Harness::start_with(&[("AUTHORIZER_RESPONSE", "simple")]).await;
    let wish = json!({"name": "ci", "scopes": ["read"], "source_addresses": ["192.0.2.0/24"]});
    let token = stack.token("alice", wish).await;
    let bearer = format!("Bearer {}", token.text);
    let ask = async |source_ip: &str, identity_source: Value| {
        let event = json!({
            "version": "2.0", "type": "REQUEST", "identitySource": identity_source,
            "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef/$default/GET/x",
            "headers": {"authorization": bearer},
            "requestContext": {"http": {"method": "GET", "path": "/x", "sourceIp": source_ip}},
        });
        stack.authorize(event).await.unwrap()["isAuthorized"].clone()
    };
    assert_eq!(ask("192.0.2.1", Value::Null).await, true, "without identity sources nothing is kept");
    assert_eq!(ask("192.0.2.1", json!([bearer, "192.0.2.1"])).await, true, "the address is one of them");
    assert_eq!(ask("192.0.2.1", json!([bearer])).await, false);
    assert_eq!(ask("198.51.100.1", Value::Null).await, false);
}

#[tokio::test]
async fn a_wrong_address_is_named_by_its_place() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let many: Vec<_> = (0..21).map(|i| format!("10.0.0.{i}")).collect();
    for (addresses, field) in [
        (json!(["10.0.0.0/8", "10.0.0.1/8"]), "source_addresses[1]"),
        (json!(["example.com"]), "source_addresses[0]"),
        (json!("10.0.0.0/8"), "source_addresses"),
        (json!([7]), "source_addresses[0]"),
        (json!(many), "source_addresses"),
    ] {
        let wish = json!({"name": "t", "scopes": ["read"], "source_addresses": addresses});
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await;
        assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!(field)), "{addresses}");
    }
}

#[tokio::test]
async fn a_new_secret_works_at_once_whatever_record_is_cached() {
    let stack = Harness::start_caching("60", "0").await;
    let alice = stack.session("alice").await;
    let old = stack.token("alice", reader()).await;
    assert_eq!(opens(&stack, &old.text).await, 200);
    let new = new_secret(&rotate(&stack, &alice, &old.id, json!({})).await);
    assert_eq!(opens(&stack, &new.text).await, 200);
    assert_eq!(opens(&stack, &old.text).await, 403, "and by the record that was read for it the old one is over");
}

#[tokio::test]
async fn an_administrator_sees_and_ends_the_tokens_of_others() {
    let stack = Harness::start_with(&ADMINS).await;
    let root = stack.session_in("root", "staff admins").await;
    let (bobs, alices) = (stack.token("bob", reader()).await, stack.token("alice", reader()).await);
    let list = stack.api(Method::GET, "/tokens?subject=bob", Some(&root), None).await;
    assert_eq!((list.status, &list.json["tokens"][0]["id"]), (200, &json!(bobs.id)));
    assert_eq!(list.json["tokens"][0]["subject"], "bob");
    assert_eq!(one(&stack, &root, &alices.id).await["subject"], "alice");
    let cursor = format!("/tokens?subject=bob&cursor={}", alices.id);
    assert_eq!(stack.api(Method::GET, &cursor, Some(&root), None).await.status, 400, "of another list");

    let reply = stack.api(Method::DELETE, &format!("/tokens/{}", bobs.id), Some(&root), None).await;
    assert_eq!(reply.status, 204);
    assert_eq!((opens(&stack, &bobs.text).await, opens(&stack, &alices.text).await), (403, 200));
    let bob = stack.session("bob").await;
    assert_eq!(one(&stack, &bob, &bobs.id).await["revoked_by"], "administrator");
    let unknown = format!("/tokens/{}{}", &bobs.id[..17], "0".repeat(26));
    assert_eq!(stack.api(Method::DELETE, &unknown, Some(&root), None).await.status, 404);
    // Their secrets are not an administrator's to have.
    assert_eq!(rotate(&stack, &root, &alices.id, json!({})).await.status, 404);
    assert_eq!(change(&stack, &root, &alices.id, json!({"name": "x"})).await.status, 404);
}

#[tokio::test]
async fn all_tokens_of_a_person_who_leaves_end_at_once() {
    let stack = Harness::start_with(&[("ADMIN_GROUP", "admins"), ("MAX_ACTIVE_TOKENS", "1000")]).await;
    let bob = stack.session("bob").await;
    let mut tokens = vec![];
    for i in 0..250 {
        let reply = stack.api(Method::POST, "/tokens", Some(&bob), Some(&reader())).await;
        if i % 50 == 0 {
            tokens.push(reply.json["token"].as_str().unwrap().to_owned());
        }
    }
    let alices = stack.token("alice", reader()).await;
    let root = stack.session_in("root", "admins").await;
    let end = async || stack.api(Method::DELETE, "/tokens?subject=bob", Some(&root), None).await.json;
    let mut revoked = vec![];
    loop {
        let told = end().await;
        revoked.push(told["revoked"].as_u64().unwrap());
        if told["complete"] == true {
            break;
        }
    }
    // Fewer at a time where the machine is busy.
    assert!(revoked.iter().all(|some| *some <= 200) && revoked.iter().sum::<u64>() == 250, "{revoked:?}");
    assert_eq!(end().await, json!({"revoked": 0, "complete": true}));
    for token in &tokens {
        assert_eq!(opens(&stack, token).await, 403);
    }
    assert_eq!(opens(&stack, &alices.text).await, 200);
}

#[tokio::test]
async fn what_ends_with_all_of_a_persons_tokens_is_not_good_again_under_wider_bounds() {
    let stack = Harness::start().await;
    let token = stack.token("bob", json!({"name": "ci", "scopes": ["read"], "expires_at": "2028-01-05"})).await;
    // As if it had been made under a longer MAX_TOKEN_DAYS.
    stack.set_number(&token.id, "expires_at", 4_000_000_000).await;
    stack.set_time("2028-01-06T00:00:00Z");
    let bob = stack.session("bob").await;
    assert_eq!(one(&stack, &bob, &token.id).await["status"], "expired");
    let ended = stack.api(Method::DELETE, "/tokens?subject=bob", Some(&bob), None).await;
    assert_eq!(ended.json, json!({"revoked": 1, "complete": true}));
    assert_eq!(one(&stack, &bob, &token.id).await["status"], "revoked");
}

#[tokio::test]
async fn nobody_but_an_administrator_reaches_the_tokens_of_others() {
    let stack = Harness::start_with(&ADMINS).await;
    let bobs = stack.token("bob", reader()).await;
    for groups in ["", "staff", "Admins", "admins2 noadmins"] {
        let alice = stack.session_in("alice", groups).await;
        for (method, path) in [(Method::GET, "/tokens?subject=bob"), (Method::DELETE, "/tokens?subject=bob")] {
            let reply = stack.api(method, path, Some(&alice), None).await;
            assert_eq!((reply.status, &reply.json["type"]), (403, &json!("urn:latchkey:problem:not-an-administrator")));
        }
        let path = format!("/tokens/{}", bobs.id);
        assert_eq!(stack.api(Method::GET, &path, Some(&alice), None).await.status, 404);
        assert_eq!(stack.api(Method::DELETE, &path, Some(&alice), None).await.status, 404);
        let service = json!({"name": "t", "scopes": ["read"], "service": "nightly"});
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&service)).await;
        assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!("service")));
    }
    assert_eq!(opens(&stack, &bobs.text).await, 200);
    // Of one's own, as often as one likes; of nobody by mistake.
    let bob = stack.session("bob").await;
    let reply = stack.api(Method::DELETE, "/tokens", Some(&bob), None).await;
    assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!("subject")));
    let reply = stack.api(Method::DELETE, "/tokens?subject=bob", Some(&bob), None).await;
    assert_eq!(reply.json, json!({"revoked": 1, "complete": true}));
}

#[tokio::test]
async fn without_an_admin_group_nobody_is_an_administrator() {
    let stack = Harness::start().await;
    let root = stack.session_in("root", "admins").await;
    assert_eq!(stack.api(Method::GET, "/tokens?subject=bob", Some(&root), None).await.status, 403);
}

#[tokio::test]
async fn a_services_token_is_nobodys_own_and_every_administrators() {
    let stack = Harness::start_with(&ADMINS).await;
    let root = stack.session_in("root", "admins").await;
    let wish = json!({"name": "nightly", "scopes": ["read"], "service": "ci"});
    let made = stack.api(Method::POST, "/tokens", Some(&root), Some(&wish)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, token) = (made.json["id"].as_str().unwrap(), made.json["token"].as_str().unwrap());
    let echo = stack.registry(Method::GET, "/x", Some(token)).await;
    assert_eq!(echo.json["context"]["X-Latchkey-Subject"], "service%3Aci");
    let mine = stack.api(Method::GET, "/tokens", Some(&root), None).await;
    assert_eq!(mine.json["tokens"], json!([]));
    // The one who made it may leave: another administrator goes on.
    let other = stack.session_in("other", "admins").await;
    let list = stack.api(Method::GET, "/tokens?subject=service:ci", Some(&other), None).await;
    assert_eq!(list.json["tokens"][0]["id"], id);
    let new = new_secret(&rotate(&stack, &other, id, json!({})).await);
    assert_eq!(change(&stack, &other, id, json!({"name": "n"})).await.status, 200);
    assert_eq!((opens(&stack, token).await, opens(&stack, &new.text).await), (403, 200));
    assert_eq!(stack.api(Method::DELETE, &format!("/tokens/{id}"), Some(&other), None).await.status, 204);
    for service in ["", "a b", "a/b", "é"] {
        let wish = json!({"name": "t", "scopes": ["read"], "service": service});
        let reply = stack.api(Method::POST, "/tokens", Some(&root), Some(&wish)).await;
        assert_eq!((reply.status, &reply.json["errors"][0]["field"]), (400, &json!("service")), "{service}");
    }
    let impostor = stack.session("service:ci").await;
    assert_eq!(stack.api(Method::GET, "/tokens", Some(&impostor), None).await.status, 403);
}

#[tokio::test]
async fn creation_stops_with_a_message_and_what_exists_goes_on() {
    let stack = Harness::start_with(&[("CREATION_PAUSED", "We are moving; try again on Monday.")]).await;
    let alice = stack.session("alice").await;
    let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&reader())).await;
    assert_eq!((reply.status, &reply.json["type"]), (503, &json!("urn:latchkey:problem:creation-paused")));
    assert_eq!(reply.json["detail"], "We are moving; try again on Monday.");
    assert!(stack.items().await.is_empty());
    assert_eq!(stack.api(Method::GET, "/tokens", Some(&alice), None).await.status, 200);
}
