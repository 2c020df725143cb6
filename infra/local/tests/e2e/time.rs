//! Time as the functions meet it: the very second of an end, dates of all kinds, and a clock that is set back.

use crate::harness::{Harness, Token};
use http::Method;
use local::options::Options;
use serde_json::{Value, json};

async fn opens(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

async fn create(stack: &Harness, session: &str, expires_at: Value) -> (u16, Value) {
    let wish = json!({"name": "ci", "scopes": ["read"], "expires_at": expires_at});
    let reply = stack.api(Method::POST, "/tokens", Some(session), Some(&wish)).await;
    (reply.status, reply.json)
}

async fn reader(stack: &Harness) -> Token {
    stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await
}

/// Rotates at once; the new secret.
async fn rotate(stack: &Harness, token: &Token) -> String {
    let session = stack.session("alice").await;
    let reply = stack.api(Method::POST, &format!("/tokens/{}/rotate", token.id), Some(&session), None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_good_in_the_very_second_of_its_end_and_not_a_millisecond_longer() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let (_, token) = create(&stack, &alice, json!("2027-01-05T12:30:00Z")).await;
    let (id, token) = (token["id"].as_str().unwrap(), token["token"].as_str().unwrap());
    let path = format!("/tokens/{id}");
    let seen = async || {
        let current = stack.api(Method::GET, "/tokens/current", Some(token), None).await.status;
        let listed = stack.api(Method::GET, &path, Some(&alice), None).await.json["status"].clone();
        (opens(&stack, token).await, current, listed)
    };
    stack.set_time("2027-01-05T12:30:00Z");
    stack.advance_millis(999);
    assert_eq!(seen().await, (200, 200, json!("active")));
    stack.advance_millis(1);
    assert_eq!(seen().await, (403, 403, json!("expired")));
    for (method, path, wish) in
        [(Method::POST, format!("{path}/rotate"), json!({})), (Method::PATCH, path.clone(), json!({"name": "x"}))]
    {
        assert_eq!(stack.api(method, &path, Some(&alice), Some(&wish)).await.status, 409, "{path}");
    }
}

#[tokio::test]
async fn an_end_is_the_moment_that_was_written_in_utc() {
    let stack = Harness::start_with(&[("MAX_TOKEN_DAYS", "36500")]).await;
    let alice = stack.session("alice").await;
    for (given, meant) in [
        ("2028-02-29", "2028-02-29T23:59:59Z"),
        ("2027-04-30", "2027-04-30T23:59:59Z"),
        ("2027-03-28T02:30:00+01:00", "2027-03-28T01:30:00Z"),
        ("2027-10-31T02:30:00+02:00", "2027-10-31T00:30:00Z"),
        ("2027-01-05T12:00:01Z", "2027-01-05T12:00:01Z"),
        ("2027-01-05T12:00:01.999Z", "2027-01-05T12:00:01Z"),
        ("2027-06-30T23:59:60Z", "2027-06-30T23:59:59Z"),
        ("2126-12-12", "2126-12-12T23:59:59Z"),
    ] {
        let (status, token) = create(&stack, &alice, json!(given)).await;
        assert_eq!((status, &token["expires_at"]), (201, &json!(meant)), "{given}");
    }
    for given in [
        json!("2027-02-29"),
        json!("2027-04-31"),
        json!("2027-06-29T23:59:60Z"),
        json!("2027-01-05T12:00:00Z"),
        json!("2027-01-05T12:00:00.999Z"),
        json!("2126-12-13T00:00:00Z"),
        json!("9999-12-31"),
        json!("10000-01-01"),
        json!("1799999999"),
        json!(1_799_999_999),
        json!(1_799_999_999_000_i64),
    ] {
        let (status, problem) = create(&stack, &alice, given.clone()).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("expires_at")), "{given}");
    }
}

#[tokio::test]
async fn the_longest_life_goes_no_further_than_the_calendar() {
    let settings = [("MAX_TOKEN_DAYS", "36500"), ("DEFAULT_TOKEN_DAYS", "36500"), ("RETENTION_DAYS", "3650")];
    let stack = Harness::start_from(&settings, Options::in_memory(), "9990-02-28T12:00:00Z").await;
    let alice = stack.session("alice").await;
    for given in [None, Some("9999-12-31")] {
        let mut wish = json!({"name": "ci", "scopes": ["read"]});
        if let Some(given) = given {
            wish["expires_at"] = json!(given);
        }
        let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await;
        assert_eq!((reply.status, &reply.json["expires_at"]), (201, &json!("9999-12-31T23:59:59Z")));
        assert_eq!(opens(&stack, reply.json["token"].as_str().unwrap()).await, 200);
    }
    let purged = stack.items().await.iter().map(|item| item["purge_at"].as_n().unwrap().clone()).collect::<Vec<_>>();
    assert_eq!(purged, ["253402300799", "253402300799"]);
}

#[tokio::test]
async fn what_was_ended_stays_ended_wherever_the_clock_is_set() {
    for (records, answers) in [("0", "0"), ("60", "0"), ("0", "60"), ("60", "60")] {
        let stack = Harness::start_caching(records, answers).await;
        let (revoked, rotated, other) = (reader(&stack).await, reader(&stack).await, reader(&stack).await);
        assert_eq!((opens(&stack, &revoked.text).await, opens(&stack, &rotated.text).await), (200, 200));
        stack.revoke("alice", &revoked.id).await;
        let new = rotate(&stack, &rotated).await;
        // Past what any cache may keep, as one request has shown.
        stack.advance(70);
        assert_eq!(opens(&stack, &other.text).await, 200);
        for back in [30, 60, 86_400, 86_400 * 365] {
            stack.advance(-back);
            let seen = (opens(&stack, &revoked.text).await, opens(&stack, &rotated.text).await);
            assert_eq!(seen, (403, 403), "{back} s back under {records} and {answers}");
            assert_eq!(opens(&stack, &new).await, 200);
        }
    }
}

#[tokio::test]
async fn a_token_made_by_a_clock_that_was_ahead_is_good_at_once_and_ends_when_it_says() {
    let stack = Harness::start().await;
    stack.advance_days(2);
    let (token, end) = (reader(&stack).await, "2027-04-07T12:00:00Z");
    stack.advance_days(-2);
    assert_eq!(opens(&stack, &token.text).await, 200);
    let alice = stack.session("alice").await;
    let list = stack.api(Method::GET, "/tokens", Some(&alice), None).await.json;
    assert_eq!((&list["tokens"][0]["status"], &list["tokens"][0]["expires_at"]), (&json!("active"), &json!(end)));
    stack.set_time(end);
    assert_eq!(opens(&stack, &token.text).await, 200);
    stack.advance(1);
    assert_eq!(opens(&stack, &token.text).await, 403);
}

#[tokio::test]
async fn a_revocation_by_a_clock_that_is_far_behind_counts_although_its_record_may_go_at_once() {
    let stack = Harness::start().await;
    let token = reader(&stack).await;
    stack.set_time("1970-01-01T00:00:00Z");
    stack.revoke("alice", &token.id).await;
    assert_eq!(stack.items().await[0]["purge_at"].as_n().unwrap(), "2592000");
    stack.set_time("2027-01-05T12:00:00Z");
    assert_eq!(opens(&stack, &token.text).await, 403);
    stack.stack.sweep().await.unwrap();
    let gone = stack.items().await.is_empty();
    assert_eq!(opens(&stack, &token.text).await, if gone { 401 } else { 403 });
}

#[tokio::test]
async fn a_time_in_the_table_that_is_no_second_of_our_calendar_is_a_fault_and_never_a_longer_life() {
    for (attribute, value) in [
        ("expires_at", 1_799_999_999_000),
        ("created_at", 1_799_999_999_000),
        ("rotated_at", i64::MAX),
        ("revoked_at", i64::MIN),
        ("overlap_ends_at", -1),
        ("last_used_at", 253_402_300_800),
    ] {
        let stack = Harness::start().await;
        let (alice, token) = (stack.session("alice").await, reader(&stack).await);
        if attribute == "overlap_ends_at" {
            rotate(&stack, &token).await;
        }
        stack.set_number(&token.id, attribute, value).await;
        assert_eq!(opens(&stack, &token.text).await, 500, "{attribute}");
        let path = format!("/tokens/{}", token.id);
        assert_eq!(stack.api(Method::GET, &path, Some(&alice), None).await.status, 503, "{attribute}");
        assert_eq!(stack.api(Method::DELETE, &path, Some(&alice), None).await.status, 204, "it can be ended");
    }
}
