//! Two things at the same moment: what each is told, and what holds afterwards.

use crate::faults::say;
use crate::harness::{Harness, Token};
use http::Method;
use latchkey::clock::Timestamp;
use latchkey::id::OwnerKey;
use latchkey::last_use::LastUse;
use latchkey::token::Prefix;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// How often each pair meets. Which comes first changes from one to the next.
const ROUNDS: usize = 30;

fn reader() -> Value {
    json!({"name": "ci", "scopes": ["read:*", "write:npm/*"]})
}

async fn opens(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

async fn told(stack: &Harness, session: &str, id: &str) -> Value {
    stack.api(Method::GET, &format!("/tokens/{id}"), Some(session), None).await.json
}

/// A rotation's or change's status, and the new token if there is one.
async fn send(stack: &Harness, session: &str, method: Method, path: String, wish: Value) -> (u16, Option<String>) {
    let reply = stack.api(method, &path, Some(session), Some(&wish)).await;
    (reply.status, reply.json["token"].as_str().map(str::to_owned))
}

async fn rotate(stack: &Harness, session: &str, id: &str) -> (u16, Option<String>) {
    send(stack, session, Method::POST, format!("/tokens/{id}/rotate"), json!({})).await
}

async fn change(stack: &Harness, session: &str, id: &str, wish: Value) -> u16 {
    send(stack, session, Method::PATCH, format!("/tokens/{id}"), wish).await.0
}

async fn revoke(stack: &Harness, session: &str, id: &str) -> u16 {
    stack.api(Method::DELETE, &format!("/tokens/{id}"), Some(session), None).await.status
}

/// Tokens for all rounds, and their owner's session.
async fn start() -> (Arc<Harness>, String, Vec<Token>) {
    let stack = Harness::start().await;
    let mut tokens = vec![];
    for _ in 0..ROUNDS {
        tokens.push(stack.token("alice", reader()).await);
    }
    let alice = stack.session("alice").await;
    (Arc::new(stack), alice, tokens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn once_a_revocation_is_answered_no_request_that_comes_then_passes() {
    let (stack, alice, tokens) = start().await;
    let mut in_flight = BTreeMap::new();
    for token in tokens.into_iter().take(10) {
        let (token, answered) = (Arc::new(token.text), Arc::new(AtomicBool::new(false)));
        let mut requests = JoinSet::new();
        for _ in 0..4 {
            let (stack, token, answered) = (Arc::clone(&stack), Arc::clone(&token), Arc::clone(&answered));
            requests.spawn(async move {
                let mut before = vec![];
                loop {
                    let after = answered.load(Ordering::SeqCst);
                    let status = opens(&stack, &token).await;
                    if after {
                        assert_eq!(status, 403, "it came after the 204");
                        return before;
                    }
                    before.push(status);
                }
            });
        }
        tokio::task::yield_now().await;
        assert_eq!(revoke(&stack, &alice, &token[3..46]).await, 204);
        answered.store(true, Ordering::SeqCst);
        for status in requests.join_all().await.concat() {
            *in_flight.entry(status).or_insert(0) += 1;
        }
    }
    assert!(in_flight.keys().all(|status| [200, 403].contains(status)), "{in_flight:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_revocations_each_is_answered_and_one_time_stays() {
    let (stack, alice, tokens) = start().await;
    let event = |id: &str| {
        let mut event = crate::events::events("revoke")["revoked"].clone();
        event["pathParameters"]["id"] = id.into();
        let claims = &mut event["requestContext"]["authorizer"]["jwt"]["claims"];
        claims["iss"] = format!("http://127.0.0.1:{}", stack.stack.ports().identity).into();
        claims["sub"] = "alice".into();
        event
    };
    for token in tokens.iter().take(10) {
        let mut revocations = JoinSet::new();
        for second in 0..8 {
            let (function, event) = (stack.function("revoke", stack.dynamodb()), event(&token.id));
            let now = Timestamp::from_secs(stack.now().as_secs() + second);
            revocations.spawn(async move { function.invoke(&event, now).await.unwrap()["statusCode"].clone() });
        }
        assert_eq!(revocations.join_all().await, vec![json!(204); 8]);
        let at = told(&stack, &alice, &token.id).await["revoked_at"].clone();
        assert!(at.as_str().unwrap().starts_with("2027-01-05T12:00:0"), "{at}");
        stack.advance(60);
        assert_eq!(revoke(&stack, &alice, &token.id).await, 204);
        assert_eq!(told(&stack, &alice, &token.id).await["revoked_at"], at);
        stack.advance(-60);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_or_a_change_never_outlives_a_revocation() {
    let (stack, alice, tokens) = start().await;
    for (round, token) in tokens.iter().enumerate() {
        let (revoked, (rotated, new), changed) = tokio::join!(
            revoke(&stack, &alice, &token.id),
            rotate(&stack, &alice, &token.id),
            change(&stack, &alice, &token.id, json!({"name": "release"})),
        );
        assert_eq!(revoked, 204, "{round}");
        assert!([200, 409].contains(&rotated) && [200, 409].contains(&changed), "{rotated} {changed}");
        assert_eq!(told(&stack, &alice, &token.id).await["status"], "revoked");
        assert_eq!(new.is_some(), rotated == 200);
        for secret in new.iter().chain([&token.text]) {
            assert_eq!(opens(&stack, secret).await, 403, "whichever was first");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_rotation_and_a_change_each_holds_that_was_answered_with_200() {
    let (stack, alice, tokens) = start().await;
    for token in &tokens {
        let narrower = json!({"name": "release", "scopes": ["read:*"]});
        let ((rotated, new), changed) =
            tokio::join!(rotate(&stack, &alice, &token.id), change(&stack, &alice, &token.id, narrower),);
        assert!(rotated == 200 || changed == 200, "one of them at least: {rotated} {changed}");
        assert!([200, 409].contains(&rotated) && [200, 409].contains(&changed), "{rotated} {changed}");
        let good = new.as_ref().unwrap_or(&token.text);
        assert_eq!(opens(&stack, good).await, 200);
        assert_eq!(opens(&stack, &token.text).await, if rotated == 200 { 403 } else { 200 });
        let wrote = stack.registry(Method::PUT, "/npm/x", Some(good)).await.status;
        assert_eq!(wrote, if changed == 200 { 403 } else { 200 }, "a narrowing is not lost");
        let now = told(&stack, &alice, &token.id).await;
        assert_eq!(now["name"], if changed == 200 { "release" } else { "ci" });
        assert_eq!(now["rotated_at"].is_null(), rotated != 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_rotations_one_secret_is_good() {
    let (stack, alice, tokens) = start().await;
    for token in tokens.iter().take(10) {
        let (one, two, three) = tokio::join!(
            rotate(&stack, &alice, &token.id),
            rotate(&stack, &alice, &token.id),
            rotate(&stack, &alice, &token.id),
        );
        let mut good = 0;
        for (status, new) in [one, two, three] {
            assert!((status == 200 && new.is_some()) || (status == 409 && new.is_none()), "{status}");
            if let Some(new) = new {
                good += usize::from(opens(&stack, &new).await == 200);
            }
        }
        assert_eq!((good, opens(&stack, &token.text).await), (1, 403));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creations_at_the_same_moment_pass_the_limit_by_those_under_way_and_no_further() {
    let stack = Arc::new(Harness::start_with(&[("MAX_ACTIVE_TOKENS", "10")]).await);
    for _ in 0..9 {
        stack.token("alice", reader()).await;
    }
    let alice = stack.session("alice").await;
    let mut creations = JoinSet::new();
    for _ in 0..200 {
        let (stack, alice) = (Arc::clone(&stack), alice.clone());
        creations.spawn(async move {
            let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&reader())).await;
            (reply.status, reply.json["token"].as_str().map(str::to_owned))
        });
    }
    let answers = creations.join_all().await;
    let made: Vec<_> = answers.iter().filter_map(|(_, token)| token.as_ref()).collect();
    say(&format!("200 creations at once, one below the limit of 10: {} made", made.len()));
    // A machine that is too busy for 200 at once says so.
    let unanswered = answers.iter().filter(|(status, _)| [500, 503].contains(status)).count();
    for (status, token) in &answers {
        assert!([409, 500, 503].contains(status) || (*status == 201 && token.is_some()), "{status}");
    }
    let kept = stack.items().await.iter().filter(|item| item.contains_key("subject")).count();
    assert!((9 + made.len()..=9 + made.len() + unanswered).contains(&kept) && kept >= 10, "{kept}");
    for token in made {
        assert_eq!(opens(&stack, token).await, 200, "what was shown is kept");
    }
    let reply = stack.api(Method::POST, "/tokens", Some(&alice), Some(&reader())).await;
    assert_eq!(reply.status, 409, "and no further");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_records_with_one_id_one_is_kept_and_the_other_told() {
    let stack = Harness::start().await;
    let owner = OwnerKey::of("https://issuer.example", "alice");
    for _ in 0..ROUNDS {
        let one = latchkey::token::Token::mint(&Prefix::default(), owner, stack.now()).unwrap();
        let two = latchkey::token::Token::renew(&Prefix::default(), one.id()).unwrap();
        let (first, second) = (record(&one, stack.now()), record(&two, stack.now()));
        let (store, other) = (stack.store(), stack.store());
        let (first, second) = tokio::join!(store.create(&first, None), other.create(&second, None));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first, second);
        let kept = store.get(one.id()).await.unwrap().unwrap().hash;
        assert!(kept.matches(&if first { one } else { two }.hash()));
    }
}

fn record(token: &latchkey::token::Token, now: Timestamp) -> latchkey::record::Record {
    latchkey::record::Record {
        id: token.id(),
        subject: "alice".into(),
        hash: token.hash(),
        retired: Default::default(),
        name: "ci".into(),
        scopes: latchkey::scope::Scopes::new(vec!["read".parse().unwrap()]).unwrap(),
        source_addresses: Default::default(),
        times: latchkey::record::Times { created_at: now, rotated_at: None, expires_at: None, revoked_at: None },
        revoked_by: None,
        leak_url: None,
        last_use: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn noting_a_use_never_undoes_a_revocation_or_a_rotation() {
    let (stack, alice, tokens) = start().await;
    for (round, token) in tokens.iter().enumerate() {
        let id = token.id.parse().unwrap();
        let last_use = LastUse { at: stack.now(), address: None, client: Some("cargo/1.95.0".into()) };
        let store = stack.store();
        let note = async {
            store.note_use(id, &last_use).await.unwrap();
            store.note_retired_use(id, stack.now()).await.unwrap();
        };
        if round % 2 == 0 {
            let (status, ()) = tokio::join!(revoke(&stack, &alice, &token.id), note);
            assert_eq!((status, opens(&stack, &token.text).await), (204, 403));
            assert_eq!(told(&stack, &alice, &token.id).await["status"], "revoked");
        } else {
            let ((status, new), ()) = tokio::join!(rotate(&stack, &alice, &token.id), note);
            assert_eq!((status, opens(&stack, &token.text).await), (200, 403));
            assert_eq!(opens(&stack, &new.unwrap()).await, 200);
        }
        assert_eq!(told(&stack, &alice, &token.id).await["last_used"]["client"], "cargo/1.95.0", "nor is it lost");
    }
}
