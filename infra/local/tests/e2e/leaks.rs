//! Tokens that end since somebody presents them: themselves, whoever found them, GitHub's and GitLab's reports.

use crate::harness::{self, Harness, Reply, Token};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use local::{server, wire};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

const URL: &str = "https://github.com/octocat/hello/blob/12345600b9cbe38a219f39a9941c9319b600c002/ci.yml";
const GITLAB: &str = "a token that only GitLab and its operator know";
const TYPE: &str = "gitleaks_rule_id_latchkey_token";

/// One of GitHub's keys.
pub struct Signer {
    name: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new(name: &'static str) -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self { name, pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random).unwrap() }
    }

    pub fn sign(&self, body: &[u8]) -> String {
        BASE64_STANDARD.encode(self.pair.sign(&SystemRandom::new(), body).unwrap())
    }

    pub fn listed(&self, is_current: bool) -> Value {
        // Algorithm and curve, as every P-256 key begins with.
        let p256 = BASE64_STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        let key = BASE64_STANDARD.encode([&p256, self.pair.public_key().as_ref()].concat());
        let (first, second) = key.split_at(64);
        let key = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
        json!({"key_identifier": self.name, "key": key, "is_current": is_current})
    }
}

/// GitHub's API, as far as a partner sees it.
pub struct GitHub {
    pub url: String,
    keys: Arc<Mutex<Value>>,
    asked: Arc<Mutex<u32>>,
    _stop: watch::Sender<bool>,
}

impl GitHub {
    pub async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/meta/public_keys/secret_scanning", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let (keys, asked) = (Arc::new(Mutex::new(json!({"public_keys": keys}))), Arc::<Mutex<u32>>::default());
        let (kept, count) = (Arc::clone(&keys), Arc::clone(&asked));
        server::serve(listener, stopped, move |request: Request<Incoming>, _| {
            // It refuses whoever does not say who they are.
            assert!(request.headers().contains_key("user-agent"));
            *count.lock().unwrap() += 1;
            let keys = kept.lock().unwrap().clone();
            async move {
                match keys {
                    Value::Null => Response::builder().status(429).body(wire::full(Bytes::new())).unwrap(),
                    keys => wire::json(StatusCode::OK, &keys),
                }
            }
        });
        Self { url, keys, asked, _stop: stop }
    }

    fn list(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = json!({"public_keys": keys});
    }

    /// From now on it has no keys for anybody.
    fn fail(&self) {
        *self.keys.lock().unwrap() = Value::Null;
    }

    /// How often it was asked since the last look.
    fn asked(&self) -> u32 {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    async fn stack(&self) -> Harness {
        Harness::start_with(&[("GITHUB_KEYS_URL", &self.url), ("GITLAB_TOKEN_SHA256", &hash(GITLAB))]).await
    }
}

pub fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// GitHub with one key, and a stack that believes it.
async fn start() -> (Signer, GitHub, Harness) {
    let signer = Signer::new("now");
    let github = GitHub::start(&[signer.listed(true)]).await;
    let stack = github.stack().await;
    (signer, github, stack)
}

fn found(token: &str) -> Value {
    json!({"token": token, "type": "latchkey_token", "url": URL, "source": "content"})
}

/// A report with these headers.
async fn post(stack: &Harness, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut request = Request::post("/leaks/github").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    harness::send(stack.stack.ports().api, request.body(Full::from(body.to_vec())).unwrap()).await
}

/// A report as GitHub sends it.
async fn report_raw(stack: &Harness, signer: &Signer, body: &[u8]) -> Reply {
    let signature = signer.sign(body);
    let headers = [("Github-Public-Key-Identifier", signer.name), ("Github-Public-Key-Signature", &signature)];
    post(stack, &headers, body).await
}

async fn report(stack: &Harness, signer: &Signer, entries: &[Value]) -> Reply {
    report_raw(stack, signer, json!(entries).to_string().as_bytes()).await
}

async fn gitlab(stack: &Harness, authorization: Option<&str>, body: Value) -> Reply {
    let headers: Vec<_> = authorization.map(|token| ("authorization", token)).into_iter().collect();
    stack.api_with(Method::POST, "/leaks/gitlab/v1/revoke_tokens", None, &headers, body).await
}

async fn burn(stack: &Harness, token: &str) -> Reply {
    stack.api(Method::POST, "/tokens/burn", None, Some(&json!({"token": token}))).await
}

async fn end(stack: &Harness, token: &str) -> u16 {
    stack.api(Method::DELETE, "/tokens/current", Some(token), None).await.status
}

async fn opens(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

async fn reader(stack: &Harness) -> Token {
    stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await
}

/// Its status, and by whom and where it ended, as its owner lists it.
async fn ended(stack: &Harness, token: &Token) -> Value {
    let alice = stack.session("alice").await;
    let list = stack.api(Method::GET, "/tokens", Some(&alice), None).await;
    let token = list.json["tokens"].as_array().unwrap().iter().find(|listed| listed["id"] == token.id).unwrap();
    json!([token["status"], token["revoked_at"], token["revoked_by"], token["leak_url"]])
}

/// Gives a token another secret.
async fn rotate(stack: &Harness, token: &Token, overlap: u32) -> Token {
    let alice = stack.session("alice").await;
    let wish = json!({"overlap_seconds": overlap});
    let reply = stack.api(Method::POST, &format!("/tokens/{}/rotate", token.id), Some(&alice), Some(&wish)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    Token { id: token.id.clone(), text: reply.json["token"].as_str().unwrap().into() }
}

/// A problem of this status that repeats nothing of what was sent.
fn refused(reply: &Reply, status: u16, token: &Token, what: impl Debug) {
    assert_eq!(reply.status, status, "{what:?}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what:?}");
    assert!(!reply.text().contains(token.secret()), "{what:?}");
}

#[tokio::test]
async fn a_token_that_github_finds_is_refused_from_the_next_request_on_and_its_owner_sees_where_it_was() {
    let (signer, _github, stack) = start().await;
    let (token, other) = (reader(&stack).await, reader(&stack).await);
    assert_eq!(opens(&stack, &token.text).await, 200);
    let reply = report(&stack, &signer, &[found(&token.text)]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        reply.json,
        json!([{"token_hash": hash(&token.text), "token_type": "latchkey_token", "label": "true_positive"}])
    );
    assert_eq!((opens(&stack, &token.text).await, opens(&stack, &other.text).await), (403, 200));
    assert_eq!(ended(&stack, &token).await, json!(["revoked", "2027-01-05T12:00:00Z", "github", URL]));
    assert_eq!(ended(&stack, &other).await, json!(["active", null, null, null]));

    stack.stack.settle_events().await.unwrap();
    let last = stack.stack.events().pop().unwrap();
    assert_eq!(
        [
            &last["detail"]["event"],
            &last["detail"]["token_id"],
            &last["detail"]["revoked_by"],
            &last["detail"]["leak_url"]
        ],
        ["leaked", &token.id, "github", URL]
    );
}

#[tokio::test]
async fn a_report_that_comes_again_is_answered_alike_and_the_first_end_stays() {
    let (signer, github, stack) = start().await;
    let token = reader(&stack).await;
    let first = report(&stack, &signer, &[found(&token.text)]).await;
    let kept = ended(&stack, &token).await;
    stack.advance(60);
    let mut elsewhere = found(&token.text);
    elsewhere["url"] = json!("https://github.com/elsewhere");
    for entry in [found(&token.text), elsewhere] {
        let again = report(&stack, &signer, &[entry]).await;
        assert_eq!((again.status, &again.json), (200, &first.json));
        assert_eq!(ended(&stack, &token).await, kept);
    }
    assert_eq!(gitlab(&stack, Some(GITLAB), json!([{"type": TYPE, "token": token.text}])).await.status, 204);
    assert_eq!((burn(&stack, &token.text).await.status, end(&stack, &token.text).await), (204, 204));
    assert_eq!(ended(&stack, &token).await, kept);
    assert_eq!(github.asked(), 1);
}

#[tokio::test]
async fn a_report_says_of_each_match_whether_it_is_or_was_a_token() {
    let (signer, _github, stack) = start().await;
    let (good, revoked, old) = (reader(&stack).await, reader(&stack).await, reader(&stack).await);
    stack.revoke("alice", &revoked.id).await;
    let new = rotate(&stack, &old, 0).await;
    let mistyped = format!("{}x", &good.text[..95]);
    let foreign = good.text.replacen("lk_", "ab_", 1);
    let matches = [
        (&good.text, true),
        (&stack.unknown_token(), false),
        (&revoked.text, true),
        (&stack.with_another_secret(&new), false),
        (&old.text, true),
        (&mistyped, false),
        (&foreign, false),
        (&"ghp_0123456789".to_owned(), false),
        (&String::new(), false),
        (&good.text, true),
    ];
    let entries: Vec<_> = matches.iter().map(|(text, _)| found(text)).collect();
    let reply = report(&stack, &signer, &entries).await;
    let label = |is_token: bool| if is_token { "true_positive" } else { "false_positive" };
    let expected = matches.map(
        |(text, is_token)| json!({"token_hash": hash(text), "token_type": "latchkey_token", "label": label(is_token)}),
    );
    assert_eq!((reply.status, reply.json), (200, json!(expected)));
    assert_eq!((opens(&stack, &good.text).await, opens(&stack, &new.text).await), (403, 200));
    assert_eq!(ended(&stack, &revoked).await[2], "owner");
}

#[tokio::test]
async fn a_report_of_a_thousand_is_answered_whole_and_one_of_more_not_at_all() {
    let (signer, _github, stack) = start().await;
    let mut tokens = vec![];
    for _ in 0..30 {
        tokens.push(reader(&stack).await);
    }
    let mut entries: Vec<_> = tokens.iter().map(|token| found(&token.text)).collect();
    entries.resize_with(1001, || found(&stack.unknown_token()));
    refused(&report(&stack, &signer, &entries).await, 413, &tokens[0], "1001");
    assert_eq!(opens(&stack, &tokens[0].text).await, 200);
    entries.pop();
    let reply = report(&stack, &signer, &entries).await;
    let labels: Vec<_> = reply.json.as_array().unwrap().iter().map(|said| said["label"].as_str().unwrap()).collect();
    assert_eq!(labels.len(), 1000);
    let (ours, others) = labels.split_at(30);
    assert!(ours.iter().all(|label| *label == "true_positive"));
    assert!(others.iter().all(|label| *label == "false_positive"));
    for token in &tokens {
        assert_eq!(opens(&stack, &token.text).await, 403);
    }
}

#[tokio::test]
async fn a_forged_report_changes_nothing() {
    let (now, before, other) = (Signer::new("now"), Signer::new("before"), Signer::new("other"));
    let github = GitHub::start(&[before.listed(false), now.listed(true)]).await;
    let stack = github.stack().await;
    let token = reader(&stack).await;
    let body = json!([found(&token.text)]).to_string();
    let spaced = format!(" {body}");
    let (name, sign) = ("Github-Public-Key-Identifier", "Github-Public-Key-Signature");
    let good = now.sign(body.as_bytes());
    let cut = BASE64_STANDARD.encode(&BASE64_STANDARD.decode(&good).unwrap()[..60]);
    let (anothers, stale) = (other.sign(body.as_bytes()), before.sign(body.as_bytes()));
    let before_forgery = stack.items().await;
    for (what, headers, body) in [
        ("no headers", vec![], &body),
        ("no name", vec![(sign, good.as_str())], &body),
        ("no signature", vec![(name, "now")], &body),
        ("an empty signature", vec![(name, "now"), (sign, "")], &body),
        ("no base64", vec![(name, "now"), (sign, "!")], &body),
        ("a cut signature", vec![(name, "now"), (sign, &cut)], &body),
        ("another's key", vec![(name, "now"), (sign, &anothers)], &body),
        ("a key nobody has", vec![(name, "other"), (sign, &anothers)], &body),
        ("another's name", vec![(name, "other"), (sign, &good)], &body),
        ("a key that is not current", vec![(name, "before"), (sign, &stale)], &body),
        ("another body", vec![(name, "now"), (sign, &good)], &spaced),
        ("two signatures", vec![(name, "now"), (sign, &good), (sign, &good)], &body),
    ] {
        let reply = post(&stack, &headers, body.as_bytes()).await;
        refused(&reply, 401, &token, what);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
        assert_eq!(stack.items().await, before_forgery, "{what}");
    }
    assert_eq!(opens(&stack, &token.text).await, 200);
}

#[tokio::test]
async fn a_malformed_or_huge_report_changes_nothing() {
    let (signer, github, stack) = start().await;
    let token = reader(&stack).await;
    let good = found(&token.text).to_string();
    for body in [
        String::new(),
        good.clone(),
        format!("[{good}"),
        format!("[{good}, 1]"),
        format!("[{good}, null]"),
        format!("[{good}, {{}}]"),
        format!("[{good}, {{\"token\": 1, \"type\": \"x\", \"url\": \"\"}}]"),
        format!("[{good}, [\"{}\", \"x\", \"\"]]", token.text),
        format!("{{\"matches\": [{good}]}}"),
    ] {
        refused(&report_raw(&stack, &signer, body.as_bytes()).await, 400, &token, &body);
    }
    let huge = format!("[{good}{}]", " ".repeat(1_048_576));
    refused(&report_raw(&stack, &signer, huge.as_bytes()).await, 413, &token, "huge");
    assert_eq!(opens(&stack, &token.text).await, 200);
    assert_eq!(github.asked(), 1);
    assert_eq!(report(&stack, &signer, &[]).await.json, json!([]));
    let with_more = format!("[{}, \"more\": {{}}}}]", good.trim_end_matches('}'));
    assert_eq!(report_raw(&stack, &signer, with_more.as_bytes()).await.status, 200, "GitHub may add fields");
    assert_eq!(opens(&stack, &token.text).await, 403);
}

#[tokio::test]
async fn where_a_token_was_found_is_kept_only_if_it_can_be_shown() {
    let (signer, _github, stack) = start().await;
    for url in [
        json!(null),
        json!(""),
        json!("javascript:alert(1)"),
        json!("https://github.com/\"onload"),
        json!(format!("https://github.com/{}", "x".repeat(500))),
    ] {
        let token = reader(&stack).await;
        let entry = json!({"token": token.text, "type": "t", "url": url});
        assert_eq!(report(&stack, &signer, &[entry]).await.json[0]["label"], "true_positive", "{url}");
        assert_eq!(ended(&stack, &token).await, json!(["revoked", "2027-01-05T12:00:00Z", "github", null]), "{url}");
    }
    let token = reader(&stack).await;
    for query in [token.text.clone(), token.text.replace('_', "%5f")] {
        let mut entry = found(&token.text);
        entry["url"] = json!(format!("https://github.com/search?q={query}"));
        report(&stack, &signer, &[entry]).await;
        assert_eq!(ended(&stack, &token).await[3], Value::Null);
    }
}

#[tokio::test]
async fn githubs_keys_are_kept_for_a_day() {
    let (signer, github, stack) = start().await;
    for (after, expected) in [(0, 1), (1, 0), (86_398, 0), (1, 1), (86_399, 0)] {
        stack.advance(after);
        assert_eq!(report(&stack, &signer, &[]).await.status, 200);
        assert_eq!(github.asked(), expected, "{after} seconds later");
    }
}

#[tokio::test]
async fn a_new_key_of_githubs_is_known_at_once_and_made_up_ones_are_asked_for_once_a_minute() {
    let (old, github, stack) = start().await;
    assert_eq!((report(&stack, &old, &[]).await.status, github.asked()), (200, 1));
    let new = Signer::new("new");
    github.list(&[old.listed(false), new.listed(true)]);
    stack.advance(60);
    assert_eq!((report(&stack, &new, &[]).await.status, github.asked()), (200, 1));
    assert_eq!((report(&stack, &old, &[]).await.status, github.asked()), (401, 0), "no longer current");
    let nobody = Signer::new("nobody");
    for (after, expected) in [(59, 0), (1, 1), (0, 0), (59, 0), (1, 1)] {
        stack.advance(after);
        assert_eq!((report(&stack, &nobody, &[]).await.status, github.asked()), (401, expected), "{after} s later");
        assert_eq!((report(&stack, &new, &[]).await.status, github.asked()), (200, 0));
    }
    for _ in 0..3 {
        assert_eq!(post(&stack, &[("Github-Public-Key-Identifier", "now")], b"[]").await.status, 401);
    }
    assert_eq!(github.asked(), 0, "what has no signature is not worth a question");
}

#[tokio::test]
async fn without_githubs_keys_no_report_is_believed_and_none_is_called_forged() {
    let (signer, github, stack) = start().await;
    let token = reader(&stack).await;
    let entries = [found(&token.text)];
    github.fail();
    refused(&report(&stack, &signer, &entries).await, 503, &token, "no keys");
    assert_eq!(github.asked(), 1);
    refused(&report(&stack, &signer, &entries).await, 503, &token, "still no keys");
    assert_eq!((github.asked(), opens(&stack, &token.text).await), (0, 200));
    for nonsense in [json!("no keys"), json!({"public_keys": []}), json!("x".repeat(70_000))] {
        *github.keys.lock().unwrap() = nonsense;
        stack.advance(60);
        refused(&report(&stack, &signer, &entries).await, 503, &token, "nonsense");
    }
    github.list(&[signer.listed(true)]);
    stack.advance(60);
    assert_eq!(report(&stack, &signer, &[]).await.status, 200);
    github.fail();
    stack.advance(60);
    assert_eq!(report(&stack, &Signer::new("new"), &entries).await.status, 503, "it may be a new one");
    assert_eq!(report(&stack, &signer, &[]).await.status, 200, "what is known goes on");
    stack.advance_days(1);
    refused(&report(&stack, &signer, &entries).await, 503, &token, "after a day");
    let stack = Harness::start_with(&[("GITHUB_KEYS_URL", "http://127.0.0.1:1/")]).await;
    assert_eq!(report(&stack, &signer, &[]).await.status, 503, "nobody listens");
}

#[tokio::test]
async fn a_token_that_gitlab_finds_is_refused_from_the_next_request_on() {
    let (_, github, stack) = start().await;
    let token = reader(&stack).await;
    let path = "/leaks/gitlab/v1/revocable_token_types";
    let types = stack.api_with(Method::GET, path, None, &[("authorization", GITLAB)], json!("")).await;
    assert_eq!((types.status, types.json), (200, json!({"types": [TYPE]})));
    let location = "https://gitlab.example/acme/app/-/blob/0123abc/ci.yml#L3";
    let finds = json!([
        {"type": TYPE, "token": token.text, "location": location, "vulnerability": {"id": 1}},
        {"type": TYPE, "token": "not one of ours", "location": null},
        {"type": TYPE, "token": stack.unknown_token()},
    ]);
    for _ in 0..2 {
        let reply = gitlab(&stack, Some(GITLAB), finds.clone()).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert_eq!(opens(&stack, &token.text).await, 403);
        assert_eq!(ended(&stack, &token).await, json!(["revoked", "2027-01-05T12:00:00Z", "gitlab", location]));
        stack.advance(60);
    }
    assert_eq!(github.asked(), 0);
}

#[tokio::test]
async fn what_gitlab_did_not_send_or_not_right_changes_nothing() {
    let (_, _github, stack) = start().await;
    let token = reader(&stack).await;
    let find = json!({"type": TYPE, "token": token.text, "location": ""});
    let bearer = format!("Bearer {GITLAB}");
    let hashed = hash(GITLAB);
    for authorization in [None, Some(""), Some("x"), Some(bearer.as_str()), Some(hashed.as_str()), Some(&token.text)] {
        refused(&gitlab(&stack, authorization, json!([find])).await, 401, &token, authorization);
        let headers: Vec<_> = authorization.map(|given| ("authorization", given)).into_iter().collect();
        let path = "/leaks/gitlab/v1/revocable_token_types";
        assert_eq!(stack.api_with(Method::GET, path, None, &headers, json!("")).await.status, 401);
    }
    for (body, status) in [
        (json!(null), 400),
        (find.clone(), 400),
        (json!([find, 1]), 400),
        (json!([find, {"type": "gitleaks_rule_id_aws", "token": "x"}]), 400),
        (json!([find, {"type": TYPE}]), 400),
        (json!(vec![find.clone(); 1001]), 413),
        (json!([find, "x".repeat(1_048_576)]), 413),
    ] {
        refused(&gitlab(&stack, Some(GITLAB), body.clone()).await, status, &token, status);
    }
    assert_eq!(opens(&stack, &token.text).await, 200);

    let unset = Harness::start().await;
    for authorization in ["", "x", GITLAB] {
        assert_eq!(gitlab(&unset, Some(authorization), json!([])).await.status, 401, "nobody is GitLab");
    }
}

#[tokio::test]
async fn whoever_finds_a_token_can_end_it_and_learns_nothing() {
    let stack = Harness::start().await;
    let (good, revoked, old) = (reader(&stack).await, reader(&stack).await, reader(&stack).await);
    stack.revoke("alice", &revoked.id).await;
    let new = rotate(&stack, &old, 0).await;
    let mut answers = vec![];
    for text in [
        &good.text,
        &good.text,
        &format!(" {}\n", good.text),
        &revoked.text,
        &old.text,
        &stack.unknown_token(),
        &stack.with_another_secret(&new),
        &good.text.replacen("lk_", "ab_", 1),
        "ghp_0123456789",
        "",
        &"x".repeat(100_000),
    ] {
        let mut reply = burn(&stack, text).await;
        for name in ["apigw-requestid", "date"] {
            reply.headers.remove(name);
        }
        answers.push((reply.status, reply.headers, reply.body));
    }
    assert_eq!((answers[0].0, answers[0].2.len()), (204, 0));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!((opens(&stack, &good.text).await, opens(&stack, &new.text).await), (403, 200));
    assert_eq!(ended(&stack, &good).await, json!(["revoked", "2027-01-05T12:00:00Z", "finder", null]));
    assert_eq!(ended(&stack, &revoked).await[2], "owner");
}

#[tokio::test]
async fn a_body_that_names_no_token_is_400_and_repeats_nothing() {
    let stack = Harness::start().await;
    let token = reader(&stack).await;
    let text = &token.text;
    for body in [
        String::new(),
        text.clone(),
        format!("\"{text}\""),
        format!("[\"{text}\"]"),
        format!("{{\"token\": [\"{text}\"]}}"),
        format!("{{\"secret\": \"{text}\"}}"),
        format!("{{\"token\": \"{text}\", \"{text}\": 1}}"),
        format!("token={text}"),
        "{}".into(),
    ] {
        let reply = stack.api_raw(Method::POST, "/tokens/burn", None, body.clone().into()).await;
        refused(&reply, 400, &token, &body);
        assert!(!reply.text().contains(&token.id), "{body}");
    }
    let huge = json!({"token": "x".repeat(1_048_576)});
    refused(&stack.api(Method::POST, "/tokens/burn", None, Some(&huge)).await, 413, &token, "huge");
    assert_eq!(opens(&stack, text).await, 200);
}

#[tokio::test]
async fn a_token_can_end_itself_whatever_it_may_do() {
    let stack = Harness::start().await;
    let narrow = stack.token("alice", json!({"name": "narrow", "scopes": ["read:npm/one"]})).await;
    let bound = json!({"name": "bound", "scopes": ["read"], "source_addresses": ["203.0.113.0/24"]});
    let bound = stack.token("alice", bound).await;
    for token in [&narrow, &bound] {
        assert_eq!(end(&stack, &token.text).await, 204);
        assert_eq!(end(&stack, &token.text).await, 204, "again");
        assert_eq!(ended(&stack, token).await, json!(["revoked", "2027-01-05T12:00:00Z", "token", null]));
    }
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("alice:{}", narrow.text)));
    let reply = stack.api_with(Method::DELETE, "/tokens/current", None, &[("authorization", &basic)], json!("")).await;
    assert_eq!(reply.status, 204, "in any form that clients send");

    let revoked = reader(&stack).await;
    stack.revoke("alice", &revoked.id).await;
    assert_eq!((end(&stack, &revoked.text).await, &ended(&stack, &revoked).await[2]), (204, &json!("owner")));
}

#[tokio::test]
async fn nothing_but_a_good_secret_ends_a_token_by_itself() {
    let stack = Harness::start().await;
    let old = reader(&stack).await;
    let new = rotate(&stack, &old, 0).await;
    for text in [
        &old.text,
        &stack.with_another_secret(&new),
        &stack.unknown_token(),
        "x",
        &stack.session("alice").await,
        &new.text[..95],
    ] {
        let reply = stack.api(Method::DELETE, "/tokens/current", Some(text), None).await;
        refused(&reply, 401, &old, text);
    }
    assert_eq!(stack.api(Method::DELETE, "/tokens/current", None, None).await.status, 401);
    let in_query = format!("/tokens/current?token={}", new.text);
    assert_eq!(stack.api(Method::DELETE, &in_query, None, None).await.status, 401);
    assert_eq!(opens(&stack, &new.text).await, 200);
}

#[tokio::test]
async fn a_retired_secret_ends_its_token_within_its_overlap_and_no_second_longer() {
    let (signer, _github, stack) = start().await;
    let first = reader(&stack).await;
    let second = rotate(&stack, &first, 600).await;
    let third = reader(&stack).await;
    let fourth = rotate(&stack, &third, 600).await;
    stack.advance(599);
    assert_eq!((burn(&stack, &first.text).await.status, opens(&stack, &second.text).await), (204, 403));
    stack.advance(1);
    assert_eq!(end(&stack, &third.text).await, 401);
    assert_eq!(burn(&stack, &third.text).await.status, 204);
    let said = report(&stack, &signer, &[found(&third.text)]).await;
    assert_eq!(said.json[0]["label"], "true_positive", "it was one");
    assert_eq!(gitlab(&stack, Some(GITLAB), json!([{"type": TYPE, "token": third.text}])).await.status, 204);
    assert_eq!((opens(&stack, &third.text).await, opens(&stack, &fourth.text).await), (403, 200));
}

#[tokio::test]
async fn while_the_store_is_down_nothing_is_said_to_be_done() {
    let (signer, _github, stack) = start().await;
    let token = reader(&stack).await;
    stack.drop_table().await;
    let text = &token.text;
    refused(&report(&stack, &signer, &[found("x"), found(text)]).await, 503, &token, "GitHub");
    let finds = json!([{"type": TYPE, "token": text}]);
    refused(&gitlab(&stack, Some(GITLAB), finds).await, 503, &token, "GitLab");
    refused(&burn(&stack, text).await, 503, &token, "finder");
    let reply = stack.api(Method::DELETE, "/tokens/current", Some(text), None).await;
    refused(&reply, 503, &token, "itself");
    assert_eq!(report(&stack, &signer, &[found("x")]).await.status, 200, "of what is none of ours it is not asked");
}

#[tokio::test]
async fn each_revocation_is_one_line_of_log_that_names_its_cause() {
    let (signer, _github, stack) = start().await;
    let mut tokens = vec![];
    for _ in 0..4 {
        tokens.push(reader(&stack).await);
    }
    for _ in 0..2 {
        report(&stack, &signer, &[found(&tokens[0].text)]).await;
        gitlab(&stack, Some(GITLAB), json!([{"type": TYPE, "token": tokens[1].text}])).await;
        burn(&stack, &tokens[2].text).await;
        end(&stack, &tokens[3].text).await;
    }
    let log = harness::log();
    for (token, by) in tokens.iter().zip(["github", "gitlab", "finder", "token"]) {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&token.id) && line.contains(" burn::")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("by=\"{by}\"")), "{lines:?}");
        assert!(!log.contains(token.secret()));
    }
    assert!(!log.contains(GITLAB));
}
