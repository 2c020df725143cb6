//! What is said ahead of a token's end: 30, 7 and 1 days before and at it, once each.

use crate::harness::{Harness, Token};
use http::Method;
use serde_json::{Value, json};

/// Lets the stack hear of all that was written, look at what is due, and hear of that.
async fn pass(stack: &Harness) {
    stack.stack.settle_events().await.unwrap();
    stack.stack.tick().await;
    stack.stack.settle_events().await.unwrap();
}

/// What was said of a token's end so far.
fn said(stack: &Harness, token: &Token) -> Vec<String> {
    let details = stack.stack.events().into_iter().map(|event| event["detail"].clone());
    let of_end = details.filter(|detail| detail["token_id"] == token.id.as_str());
    let words = of_end.filter_map(|detail| match detail["event"].as_str().unwrap() {
        "expiring" => Some(format!("{} days", detail["days_left"].as_str().unwrap())),
        "expired" => Some("expired".into()),
        _ => None,
    });
    words.collect()
}

async fn queue(stack: &Harness) -> usize {
    stack.table().await.1.len()
}

fn until(expires_at: &str) -> Value {
    json!({"name": "ci", "scopes": ["read"], "expires_at": expires_at})
}

async fn send(stack: &Harness, method: Method, path: &str, wish: Value) {
    let alice = stack.session("alice").await;
    let reply = stack.api(method, path, Some(&alice), Some(&wish)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn an_end_is_said_30_7_and_1_days_ahead_and_when_it_is_there_once_each() {
    let stack = Harness::start().await;
    let token = stack.token("alice", until("2027-03-31")).await;
    for (time, expected) in [
        ("2027-01-05T12:00:00Z", vec![]),
        ("2027-03-01T23:59:58Z", vec![]),
        ("2027-03-01T23:59:59Z", vec!["30 days"]),
        ("2027-03-02T00:14:00Z", vec!["30 days"]),
        ("2027-03-24T23:59:59Z", vec!["30 days", "7 days"]),
        ("2027-03-30T23:59:59Z", vec!["30 days", "7 days", "1 days"]),
        ("2027-03-31T23:59:59Z", vec!["30 days", "7 days", "1 days"]),
        ("2027-04-01T00:00:00Z", vec!["30 days", "7 days", "1 days", "expired"]),
        ("2027-04-02T00:00:00Z", vec!["30 days", "7 days", "1 days", "expired"]),
    ] {
        stack.set_time(time);
        pass(&stack).await;
        pass(&stack).await;
        assert_eq!(said(&stack, &token), expected, "{time}");
    }
    assert_eq!(queue(&stack).await, 0, "nothing is left to say");
}

#[tokio::test]
async fn a_short_life_is_told_of_what_is_still_ahead() {
    let stack = Harness::start().await;
    let token = stack.token("alice", until("2027-01-08")).await;
    for time in ["2027-01-06T00:00:00Z", "2027-01-07T23:59:59Z", "2027-01-09T00:00:00Z"] {
        pass(&stack).await;
        stack.set_time(time);
    }
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["1 days", "expired"]);
}

#[tokio::test]
async fn a_token_that_was_revoked_or_has_no_end_is_not_spoken_of() {
    let stack = Harness::start_with(&[("ALLOW_NO_EXPIRY", "true")]).await;
    let revoked = stack.token("alice", until("2027-02-10")).await;
    let forever = stack.token("alice", json!({"name": "t", "scopes": ["read"], "expires_at": null})).await;
    pass(&stack).await;
    assert_eq!(queue(&stack).await, 1);
    stack.revoke("alice", &revoked.id).await;
    for time in ["2027-01-20", "2027-02-05", "2027-02-10", "2027-02-11"] {
        stack.set_time(time);
        pass(&stack).await;
    }
    assert_eq!((said(&stack, &revoked), said(&stack, &forever)), (vec![], vec![]));
    assert_eq!(queue(&stack).await, 0);
}

#[tokio::test]
async fn a_rotation_or_a_change_begins_the_reminders_anew() {
    let stack = Harness::start().await;
    let token = stack.token("alice", until("2027-02-10")).await;
    pass(&stack).await;
    stack.set_time("2027-01-12T00:00:00Z");
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["30 days"]);
    send(&stack, Method::POST, &format!("/tokens/{}/rotate", token.id), json!({"expires_at": "2027-03-31"})).await;
    for time in ["2027-02-04", "2027-02-10", "2027-02-11"] {
        pass(&stack).await;
        stack.set_time(time);
    }
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["30 days"], "of the old end nothing more");
    stack.set_time("2027-03-02T00:00:00Z");
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["30 days", "30 days"]);
    // A new name is no new end.
    send(&stack, Method::PATCH, &format!("/tokens/{}", token.id), json!({"name": "release"})).await;
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["30 days", "30 days"]);
    send(&stack, Method::PATCH, &format!("/tokens/{}", token.id), json!({"expires_at": "2027-03-03"})).await;
    pass(&stack).await;
    stack.set_time("2027-03-04T00:00:00Z");
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["30 days", "30 days", "expired"]);
}

#[tokio::test]
async fn a_run_that_comes_late_says_what_holds_then() {
    let stack = Harness::start().await;
    let token = stack.token("alice", until("2027-03-31")).await;
    stack.stack.settle_events().await.unwrap();
    stack.set_time("2027-03-28T00:00:00Z");
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["7 days"], "30 days would be wrong by now");
    stack.set_time("2027-05-01T00:00:00Z");
    pass(&stack).await;
    assert_eq!(said(&stack, &token), ["7 days", "expired"]);
}

#[tokio::test]
async fn what_is_heard_twice_is_said_once() {
    let stack = Harness::start().await;
    let token = stack.token("alice", until("2027-02-01")).await;
    stack.stack.settle_events().await.unwrap();
    let created = stack.stack.events().into_iter().find(|event| event["detail"]["event"] == "created").unwrap();
    stack.invoke("remind", created.clone()).await.unwrap();
    assert_eq!(queue(&stack).await, 1);
    stack.set_time("2027-01-26T00:00:00Z");
    let tick = json!({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}});
    let (one, two) = tokio::join!(stack.invoke("remind", tick.clone()), stack.invoke("remind", tick.clone()));
    assert!(one.is_ok() && two.is_ok());
    stack.invoke("remind", created).await.unwrap();
    stack.invoke("remind", tick).await.unwrap();
    stack.stack.settle_events().await.unwrap();
    assert_eq!(said(&stack, &token), ["7 days"]);
}

#[tokio::test]
async fn a_run_reads_what_is_due_and_nothing_else() {
    let stack = Harness::start_with(&[("MAX_ACTIVE_TOKENS", "1000")]).await;
    let alice = stack.session("alice").await;
    for i in 0..150 {
        let wish = until(if i < 120 { "2027-01-20" } else { "2027-12-31" });
        assert_eq!(stack.api(Method::POST, "/tokens", Some(&alice), Some(&wish)).await.status, 201);
    }
    stack.stack.settle_events().await.unwrap();
    assert_eq!(queue(&stack).await, 150);
    let store = stack.store();
    stack.set_time("2027-01-14T00:00:00Z");
    assert_eq!(store.due(stack.now(), 1000).await.unwrap().len(), 120);
    // More than a page of them.
    pass(&stack).await;
    let reminded = stack.stack.events().into_iter().filter(|event| event["detail"]["event"] == "expiring").count();
    assert_eq!(reminded, 120);
    assert!(store.due(stack.now(), 1000).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fault_of_the_table_is_an_error_so_that_it_is_tried_again() {
    let stack = Harness::start().await;
    stack.drop_table().await;
    let tick = json!({"detail-type": "Scheduled Event", "detail": {}});
    assert!(stack.invoke("remind", tick).await.unwrap_err().contains("ResourceNotFoundException"));
}
