//! DynamoDB fails in every way that we know of, before every request that a function makes: nobody is let in, nothing is
//! lost, and whoever asked can find out what holds.
//!
//! `LATCHKEY_SEED` repeats a run.

use crate::faulty::{self, FAST, Fault, Faulty};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use lambda_http::tracing::subscriber::filter::LevelFilter;
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::tracing::subscriber::{fmt, registry};
use latchkey::clock::Timestamp;
use latchkey::id::OwnerKey;
use latchkey::store::{Due, Presented, Revocation, Store};
use latchkey::token::{Prefix, Token};
use local::deployment::Latchkey;
use local::dynamodb;
use local::function::{Function, Handler};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

const ISSUER: &str = "https://issuer.example";

/// What a function has, by the template; held against the client's timeouts below.
const FUNCTION: Duration = Duration::from_secs(5);

/// A fifth of the client's own, where a run waits for them.
fn short() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(100))
        .operation_attempt_timeout(Duration::from_millis(200))
        .operation_timeout(Duration::from_millis(440))
        .build()
}

/// Those that an attempt waits for.
const SLOW: [Fault; 4] = [Fault::HangsBefore, Fault::HangsAfter, Fault::Stalls, Fault::Slow(Duration::from_millis(20))];

/// What comes a quarter later than an attempt ends: by the client's timeouts, and by the short ones.
const LATE: Fault = Fault::Late(Duration::from_millis(1250));
const SHORTLY_LATE: Fault = Fault::Late(Duration::from_millis(250));

/// What is asked of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    AuthorizeGood,
    AuthorizeRevoked,
    AuthorizeWrongSecret,
    AuthorizeNobody,
    Current,
    Generate,
    List,
    One,
    Revoke,
    RevokeAll,
    Rotate,
    Change,
    Burn,
    Verify,
    Introspect,
    HearOfAnEnd,
    SayWhatIsDue,
}

/// Each, and what it asks of DynamoDB.
const ACTS: [(Act, &[&str]); 17] = [
    (Act::AuthorizeGood, &["GetItem", "UpdateItem"]),
    (Act::AuthorizeRevoked, &["GetItem"]),
    (Act::AuthorizeWrongSecret, &["GetItem"]),
    (Act::AuthorizeNobody, &["GetItem"]),
    (Act::Current, &["GetItem"]),
    (Act::Generate, &["Query", "PutItem"]),
    (Act::List, &["Query"]),
    (Act::One, &["Query"]),
    (Act::Revoke, &["UpdateItem"]),
    (Act::RevokeAll, &["Query", "UpdateItem", "UpdateItem", "UpdateItem"]),
    (Act::Rotate, &["GetItem", "UpdateItem"]),
    (Act::Change, &["GetItem", "UpdateItem"]),
    (Act::Burn, &["UpdateItem"]),
    (Act::Verify, &["GetItem", "UpdateItem"]),
    (Act::Introspect, &["GetItem", "GetItem", "UpdateItem"]),
    (Act::HearOfAnEnd, &["PutItem"]),
    (Act::SayWhatIsDue, &["Query", "PutItem", "UpdateItem", "DeleteItem"]),
];

/// How an act must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Well,
    InAFault,
    Either,
}

/// One run: an act, and what its requests meet.
#[derive(Clone, Debug)]
struct Run {
    act: Act,
    first: Vec<Fault>,
    then: Fault,
    timeouts: Option<TimeoutConfig>,
    end: End,
}

/// A table of its own for the runs of one thread, functions that reach it undisturbed, and their log.
struct World {
    port: u16,
    dynamodb: Client,
    log: Log,
    _running: watch::Sender<bool>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A token that was made undisturbed.
struct Made {
    id: String,
    text: String,
}

/// What the template deploys.
fn deployed() -> Latchkey {
    let given = ["Issuer", "Audience", "RegistryUrl", "ConsoleUrl"].map(|name| (name.into(), ISSUER.into()));
    Latchkey::new(&given.into(), &BTreeMap::new()).unwrap()
}

fn function(name: &str, client: Client) -> Function {
    Function::new(Handler::of(name, &Default::default(), client).unwrap(), FUNCTION)
}

fn http(method: &str, id: Option<&str>, subject: &str, query: Value, body: Value) -> Value {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/tokens", "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "api.example"},
        "requestContext": {
            "authorizer": {"jwt": {"claims": {"iss": ISSUER, "sub": subject}, "scopes": null}},
            "http": {"method": method, "path": "/tokens", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x"},
            "accountId": "1", "apiId": "a", "domainName": "api.example", "domainPrefix": "api", "requestId": "r",
            "routeKey": "$default", "stage": "$default", "time": "05/Jan/2027:12:00:00 +0000", "timeEpoch": 1799150400000_i64,
        },
        "isBase64Encoded": false,
    });
    if let Some(id) = id {
        event["pathParameters"] = json!({"id": id});
    }
    if let Some(subject) = query["subject"].as_str() {
        event["rawQueryString"] = format!("subject={subject}").into();
        event["queryStringParameters"] = query;
    }
    if !body.is_null() {
        event["body"] = body.to_string().into();
    }
    event
}

fn registry_request(token: &str) -> Value {
    let arn = "arn:aws:execute-api:us-east-1:123456789012:abcdef/prod/GET/x";
    json!({
        "type": "REQUEST", "methodArn": arn, "resource": "/{proxy+}", "path": "/x", "httpMethod": "GET",
        "headers": {"Authorization": format!("Bearer {token}")},
        "multiValueHeaders": {"Authorization": [format!("Bearer {token}")]},
        "requestContext": {
            "path": "/prod/x", "stage": "prod", "httpMethod": "GET", "resourcePath": "/{proxy+}",
            "identity": {"sourceIp": "192.0.2.1"},
        },
    })
}

fn current(token: &str) -> Value {
    with_token("GET", "/tokens/current", token)
}

fn with_token(method: &str, path: &str, token: &str) -> Value {
    let mut event = http(method, None, "nobody", Value::Null, Value::Null);
    event["headers"]["authorization"] = format!("Bearer {token}").into();
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    event
}

/// What a proxy asks about a request that it got.
fn forwarded(token: &str) -> Value {
    let mut event = with_token("GET", "/verify", token);
    event["headers"]["x-forwarded-method"] = "GET".into();
    event["headers"]["x-forwarded-uri"] = "/x".into();
    event
}

fn introspection(token: &str) -> Value {
    let mut event = with_token("POST", "/introspect", token);
    event["headers"]["content-type"] = "application/x-www-form-urlencoded".into();
    event["body"] = format!("token={token}").into();
    event
}

fn rotation(made: &Made, subject: &str) -> Value {
    http("POST", Some(&made.id), subject, Value::Null, json!({}))
}

fn revocation(made: &Made, subject: &str) -> Value {
    http("DELETE", Some(&made.id), subject, Value::Null, Value::Null)
}

/// What a gateway makes of an authorizer's answer.
fn decision(answer: &Result<Value, String>) -> &'static str {
    match answer {
        Err(error) if error == "Unauthorized" => "unauthorized",
        Err(_) => "fault",
        Ok(answer) if answer["policyDocument"].to_string().contains("\"Allow\"") => "allow",
        Ok(_) => "deny",
    }
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default()
}

/// Whether an answer has this status; if not, it must be the problem that says that the store does not answer.
fn is(answer: &Result<Value, String>, status: u64) -> bool {
    let answer = answer.as_ref().unwrap_or_else(|error| panic!("no answer: {error}"));
    if answer["statusCode"] == status {
        return true;
    }
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert_eq!(body(answer)["type"], "urn:latchkey:problem:unavailable", "{answer}");
    assert!(!answer.to_string().contains("lk_"), "{answer}");
    false
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (running, stopped) = watch::channel(false);
        dynamodb::serve(listener, dynamodb::open(None).unwrap(), stopped);
        let client = dynamodb::client(port).unwrap();
        dynamodb::ensure_table(&client, &deployed().table).await.unwrap();
        Self { port, dynamodb: client, log: Log::default(), _running: running }
    }

    fn now(&self) -> Timestamp {
        Timestamp::parse("2027-01-05T12:00:00Z").unwrap()
    }

    fn store(&self) -> Store {
        Store::new(self.dynamodb.clone(), "latchkey".into())
    }

    /// A well-formed token of this person's that nobody has made.
    fn token_of(&self, subject: &str) -> Token {
        Token::mint(&Prefix::default(), OwnerKey::of(ISSUER, subject), self.now()).unwrap()
    }

    async fn call(&self, name: &str, client: &Client, event: Value) -> Result<Value, String> {
        let function = function(name, client.clone());
        let answer = function.invoke(&event, self.now()).await.map_err(|failure| failure.to_string());
        function.settled().await;
        answer
    }

    /// Without a fault in between.
    async fn calmly(&self, name: &str, event: Value) -> Result<Value, String> {
        self.call(name, &self.dynamodb, event).await
    }

    async fn make(&self, subject: &str) -> Made {
        let wish = json!({"name": "ci", "scopes": ["read"]});
        let answer = self.calmly("generate", http("POST", None, subject, Value::Null, wish)).await.unwrap();
        assert_eq!(answer["statusCode"], 201, "{answer}");
        self.shown(&answer)
    }

    fn shown(&self, answer: &Value) -> Made {
        let text = |field: &str| body(answer)[field].as_str().unwrap().to_owned();
        Made { id: text("id"), text: text("token") }
    }

    async fn decides(&self, token: &str) -> &'static str {
        decision(&self.calmly("authorize", registry_request(token)).await)
    }

    async fn list(&self, subject: &str) -> Vec<Value> {
        let answer = self.calmly("list", http("GET", None, subject, Value::Null, Value::Null)).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        body(&answer)["tokens"].as_array().unwrap().clone()
    }

    async fn revoke(&self, made: &Made, subject: &str) {
        assert!(is(&self.calmly("revoke", revocation(made, subject)).await, 204));
    }

    /// An item of the table.
    async fn item(&self, owner: &str, id: &str) -> Option<HashMap<String, AttributeValue>> {
        let key = [("owner", owner), ("id", id)].map(|(name, value)| (name.into(), AttributeValue::S(value.into())));
        let item = self.dynamodb.get_item().table_name("latchkey").set_key(Some(key.into())).consistent_read(true);
        item.send().await.unwrap().item
    }

    fn logged(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.log.0.lock().unwrap())).unwrap()
    }

    /// One run, and all that must hold after it.
    async fn run(&self, run: &Run, subject: &str) {
        let faulty = Faulty::before(self.port, &run.first, run.then).await;
        let client = faulty.client(&self.dynamodb, run.timeouts.clone());
        let well = self.act(run.act, &client, &faulty, subject).await;
        match run.end {
            End::Well => assert!(well, "{:?}", faulty.seen()),
            End::InAFault => assert!(!well, "{:?}", faulty.seen()),
            End::Either => {}
        }
    }

    /// Calls through the faults; whether it went well. Panics if something does not hold that must.
    async fn act(&self, act: Act, client: &Client, faulty: &Faulty, subject: &str) -> bool {
        let call = async |name: &str, event: Value| {
            self.logged();
            let answer = self.call(name, client, event).await;
            let log = self.logged();
            faulty.settled().await;
            let failed = match &answer {
                Ok(answer) => answer["statusCode"] == 503,
                Err(error) => error != "Unauthorized",
            };
            assert_eq!(log.contains("ERROR"), failed, "a line of log tells of each fault: {answer:?} {log}");
            assert!(!failed || log.contains("DynamoDB: "), "and of its cause: {log}");
            assert!(faulty.seen().len() <= 3 * 4, "three attempts each: {:?}", faulty.seen());
            (answer, log)
        };
        match act {
            Act::AuthorizeGood => {
                let made = self.make(subject).await;
                let (answer, log) = call("authorize", registry_request(&made.text)).await;
                assert!(!log.contains(&made.text[48..]), "a secret in the log");
                let noted = self.list(subject).await[0]["last_used"].is_object();
                let well = decision(&answer) == "allow";
                assert!(well || decision(&answer) == "fault", "{answer:?}");
                // A note that failed may still have been made; one that did not fail was.
                assert!(!well || noted || log.contains("a use was not noted"), "{log}");
                assert_eq!(self.decides(&made.text).await, "allow");
                well
            }
            Act::AuthorizeRevoked => {
                let made = self.make(subject).await;
                self.revoke(&made, subject).await;
                let (answer, _) = call("authorize", registry_request(&made.text)).await;
                assert!(["deny", "fault"].contains(&decision(&answer)), "{answer:?}");
                answer.is_ok()
            }
            Act::AuthorizeWrongSecret | Act::AuthorizeNobody => {
                let made = self.make(subject).await;
                let token = match act {
                    Act::AuthorizeNobody => self.token_of(subject),
                    _ => Token::renew(&Prefix::default(), made.id.parse().unwrap()).unwrap(),
                };
                let (answer, _) = call("authorize", registry_request(token.expose())).await;
                assert!(["unauthorized", "fault"].contains(&decision(&answer)), "{answer:?}");
                decision(&answer) == "unauthorized"
            }
            Act::Current => {
                let made = self.make(subject).await;
                let (answer, _) = call("current", current(&made.text)).await;
                is(&answer, 200)
            }
            Act::Generate => {
                let wish = json!({"name": "ci", "scopes": ["read", "write:npm/*"]});
                let (answer, log) = call("generate", http("POST", None, subject, Value::Null, wish)).await;
                let well = is(&answer, 201);
                let list = self.list(subject).await;
                if well {
                    let made = self.shown(&answer.unwrap());
                    assert!(!log.contains(&made.text[48..]), "a secret in the log");
                    assert_eq!((list.len(), &list[0]["id"]), (1, &json!(made.id)), "what is shown is kept, once");
                    assert_eq!(self.decides(&made.text).await, "allow");
                } else if let [left] = &list[..] {
                    assert_eq!(left["scopes"], json!(["read:*", "write:npm/*"]), "whole or not at all");
                    let made = Made { id: left["id"].as_str().unwrap().into(), text: String::new() };
                    self.revoke(&made, subject).await;
                    assert_eq!(self.list(subject).await[0]["status"], "revoked");
                } else {
                    assert!(list.is_empty(), "{list:?}");
                }
                well
            }
            Act::List | Act::One => {
                let made = self.make(subject).await;
                let id = (act == Act::One).then_some(made.id.as_str());
                let (answer, _) = call("list", http("GET", id, subject, Value::Null, Value::Null)).await;
                let well = is(&answer, 200);
                if well {
                    let told = body(&answer.unwrap());
                    let one = if act == Act::One { &told } else { &told["tokens"][0] };
                    assert_eq!(one["id"], made.id.as_str(), "{told}");
                }
                well
            }
            Act::Revoke => {
                let made = self.make(subject).await;
                let (answer, _) = call("revoke", revocation(&made, subject)).await;
                let well = is(&answer, 204);
                let held = self.list(subject).await[0]["status"] == "revoked";
                assert!(held || !well, "204 only if it holds");
                assert_eq!(self.decides(&made.text).await, if held { "deny" } else { "allow" });
                self.revoke(&made, subject).await;
                assert_eq!(self.decides(&made.text).await, "deny");
                well
            }
            Act::RevokeAll => {
                let made = [self.make(subject).await, self.make(subject).await, self.make(subject).await];
                let all = || http("DELETE", None, subject, json!({"subject": subject}), Value::Null);
                let (answer, _) = call("revoke", all()).await;
                let well = is(&answer, 200);
                let told = body(&answer.unwrap());
                let complete = told["complete"] == true;
                assert!(!complete || told["revoked"] == 3, "{told}");
                for made in &made {
                    assert!(!complete || self.decides(&made.text).await == "deny");
                }
                // Again, and it goes on.
                assert_eq!(body(&self.calmly("revoke", all()).await.unwrap())["complete"], true);
                for made in &made {
                    assert_eq!(self.decides(&made.text).await, "deny");
                }
                well
            }
            Act::Rotate => {
                let made = self.make(subject).await;
                let (answer, log) = call("rotate", rotation(&made, subject)).await;
                let well = is(&answer, 200);
                let rotated = !self.list(subject).await[0]["rotated_at"].is_null();
                assert_eq!(self.decides(&made.text).await, if rotated { "deny" } else { "allow" });
                if well {
                    let new = self.shown(&answer.unwrap());
                    assert!(!log.contains(&new.text[48..]), "a secret in the log");
                    assert!(rotated && self.decides(&new.text).await == "allow");
                } else {
                    let again = self.calmly("rotate", rotation(&made, subject)).await;
                    assert!(is(&again, 200));
                    assert_eq!(self.decides(&self.shown(&again.unwrap()).text).await, "allow");
                    assert_eq!(self.decides(&made.text).await, "deny");
                }
                well
            }
            Act::Change => {
                let made = self.make(subject).await;
                let wish = || http("PATCH", Some(&made.id), subject, Value::Null, json!({"name": "release"}));
                let (answer, _) = call("change", wish()).await;
                let well = is(&answer, 200);
                let name = self.list(subject).await[0]["name"].clone();
                assert!(name == "release" || (!well && name == "ci"), "{name}");
                assert!(is(&self.calmly("change", wish()).await, 200));
                assert_eq!(self.list(subject).await[0]["name"], "release");
                assert_eq!(self.decides(&made.text).await, "allow");
                well
            }
            Act::Burn => {
                let made = self.make(subject).await;
                let burn = || with_token("DELETE", "/tokens/current", &made.text);
                let (answer, _) = call("burn", burn()).await;
                let well = is(&answer, 204);
                let held = self.list(subject).await[0]["status"] == "revoked";
                assert!(held || !well, "204 only if it holds");
                assert!(is(&self.calmly("burn", burn()).await, 204));
                assert_eq!(self.decides(&made.text).await, "deny");
                well
            }
            Act::Verify => {
                let made = self.make(subject).await;
                let (answer, _) = call("verify", forwarded(&made.text)).await;
                is(&answer, 200)
            }
            Act::Introspect => {
                let made = self.make(subject).await;
                let (answer, _) = call("introspect", introspection(&made.text)).await;
                let well = is(&answer, 200);
                assert!(!well || body(&answer.unwrap())["active"] == true);
                well
            }
            Act::HearOfAnEnd => {
                let id = self.token_of(subject).id();
                let end = Timestamp::from_secs(self.now().as_secs() + 90 * 86_400);
                let detail = json!({"token_id": id, "expires_at": end.as_secs().to_string()});
                let event = json!({"detail-type": "Token", "detail": detail});
                let (answer, _) = call("remind", event.clone()).await;
                let well = answer.is_ok();
                let entry = format!("{}#{id}", Timestamp::from_secs(end.as_secs() - 30 * 86_400));
                assert!(!well || self.item("due", &entry).await.is_some());
                self.calmly("remind", event).await.unwrap();
                assert!(self.item("due", &entry).await.is_some());
                well
            }
            Act::SayWhatIsDue => {
                let made = self.make(subject).await;
                let (id, now) = (made.id.parse().unwrap(), self.now());
                let record = self.store().get(id).await.unwrap().unwrap();
                let expires_at = record.times.expires_at.unwrap();
                self.store().enqueue(&Due { at: now, id, expires_at }).await.unwrap();
                let tick = || json!({"detail-type": "Scheduled Event", "detail": {}});
                let (answer, _) = call("remind", tick()).await;
                let well = answer.is_ok();
                let due = async || self.store().due(now, 10).await.unwrap().len();
                assert!(!well || due().await == 0);
                self.calmly("remind", tick()).await.unwrap();
                let (owner, ulid) = made.id.split_at(17);
                let said = self.item(owner, ulid).await.unwrap();
                assert_eq!(said["reminded"].as_n().unwrap(), "30", "said, and the queue is empty");
                assert_eq!(due().await, 0);
                well
            }
        }
    }
}

/// Names the run under way if it panics.
struct Telling(String);

impl Drop for Telling {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = io::Write::write_all(&mut io::stderr(), format!("{}\n", self.0).as_bytes());
        }
    }
}

/// Runs of a seed, in threads with a world each.
fn run_all(seed: u64, threads: usize, runs: Vec<Run>) {
    let next = AtomicUsize::new(0);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::start().await;
            // What a deployment logs, in place of what all tests share.
            let filter = latchkey::log::targets(LevelFilter::INFO);
            let lines = {
                let log = world.log.clone();
                move || log.clone()
            };
            let layer = fmt::layer().with_ansi(false).with_writer(lines);
            let _guard = registry().with(filter).with(layer).set_default();
            while let Some((index, run)) = {
                let index = next.fetch_add(1, Ordering::SeqCst);
                runs.get(index).map(|run| (index, run))
            } {
                let _telling = Telling(format!("LATCHKEY_SEED={seed}, run {index}: {run:?}"));
                world.run(run, &format!("person-{index}")).await;
            }
        });
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            assert!(thread.join().is_ok(), "see above; LATCHKEY_SEED={seed}");
        }
    });
}

/// A line past the test runner, which keeps back what a passing test prints.
pub fn say(line: &str) {
    let _ = io::Write::write_all(&mut io::stdout(), format!("{line}\n").as_bytes());
}

/// The seed of this run: given, or from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("LATCHKEY_SEED").ok();
    let seed = given.map_or_else(|| Rng::new().u64(..1_000_000_000), |seed| seed.parse().unwrap());
    say(&format!("LATCHKEY_SEED={seed}"));
    seed
}

/// Before each request of each act in turn, the same fault this often; `usize::MAX` is from there on.
fn every_request(faults: &[Fault], times: &[usize], timeouts: Option<TimeoutConfig>) -> Vec<Run> {
    let mut runs = vec![];
    for (act, requests) in ACTS {
        for (position, request) in requests.iter().enumerate() {
            for fault in faults {
                for times in times {
                    let mut first = vec![Fault::None; position];
                    let forever = *times == usize::MAX;
                    first.extend(vec![*fault; if forever { 0 } else { *times }]);
                    let then = if forever { *fault } else { Fault::None };
                    // Whose use could not be noted passes all the same.
                    let noting = (matches!(act, Act::AuthorizeGood | Act::Verify) && position == 1)
                        || (act == Act::Introspect && position == 2);
                    // The second attempt at a write is refused for the first, whatever checksum that has.
                    let known = *fault == Fault::WrongChecksum && *request != "GetItem";
                    let end = match (forever, fault) {
                        (true, Fault::WrongChecksum) if known => End::Either,
                        (false, _) | (_, Fault::Slow(_)) => End::Well,
                        _ if noting => End::Well,
                        _ => End::InAFault,
                    };
                    runs.push(Run { act, first, then, timeouts: timeouts.clone(), end });
                }
            }
        }
    }
    runs
}

#[test]
fn a_fault_once_or_twice_is_nobodys_trouble_and_one_that_stays_is_told() {
    run_all(0, 4, every_request(&FAST, &[1, usize::MAX], None));
    let twice = [Fault::ResetAfter, Fault::NoBody, Fault::Throttled("ThrottlingException")];
    run_all(0, 4, every_request(&twice, &[2], None));
}

#[test]
fn what_hangs_or_comes_late_is_given_up_and_asked_again() {
    // With the client's own timeouts, so that a busy machine is not taken for a fault.
    run_all(0, 16, every_request(&[&SLOW[..], &[LATE]].concat(), &[1], None));
    run_all(0, 8, every_request(&[&SLOW[..3], &[SHORTLY_LATE]].concat(), &[usize::MAX], Some(short())));
}

#[test]
fn faults_in_any_order_let_nobody_in_and_lose_nothing() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let all: Vec<_> = FAST.into_iter().chain(SLOW).chain([SHORTLY_LATE]).chain([Fault::None; 4]).collect();
    let pick = |rng: &mut Rng| all[rng.usize(..all.len())];
    let runs = (0..600).map(|_| {
        let first = (0..rng.usize(1..=8)).map(|_| pick(&mut rng)).collect();
        let then = if rng.u8(..4) == 0 { pick(&mut rng) } else { Fault::None };
        Run { act: ACTS[rng.usize(..ACTS.len())].0, first, then, timeouts: Some(short()), end: End::Either }
    });
    run_all(seed, 8, runs.collect());
}

#[tokio::test]
async fn a_table_that_is_not_there_is_a_fault_and_no_answer() {
    let world = World::start().await;
    // A port that nobody listens at; the functions' connections are refused.
    let nowhere = faulty::behind(&world.dynamodb, crate::harness::free_port(), None);
    let made = world.make("alice").await;
    let answer = world.call("authorize", &nowhere, registry_request(&made.text)).await;
    assert_eq!(decision(&answer), "fault", "{answer:?}");
    for (name, event) in [
        ("current", current(&made.text)),
        ("generate", http("POST", None, "alice", Value::Null, json!({"name": "t", "scopes": ["read"]}))),
        ("list", http("GET", None, "alice", Value::Null, Value::Null)),
        ("revoke", revocation(&made, "alice")),
        ("rotate", rotation(&made, "alice")),
        ("change", http("PATCH", Some(&made.id), "alice", Value::Null, json!({"name": "t"}))),
    ] {
        assert!(!is(&world.call(name, &nowhere, event).await, 200), "{name}");
    }
    let tick = json!({"detail-type": "Scheduled Event", "detail": {}});
    assert!(world.call("remind", &nowhere, tick).await.is_err());
    assert_eq!(world.decides(&made.text).await, "allow");
}

/// The client's own timeouts and nothing faster: the longest that any function can take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_the_table_takes_every_function_answers_before_lambda_ends_it() {
    let world = Arc::new(World::start().await);
    let mut calls = tokio::task::JoinSet::new();
    for (name, subject) in [("authorize", "a"), ("generate", "b"), ("rotate", "c"), ("change", "d"), ("revoke", "e")] {
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let made = world.make(subject).await;
            // The first request succeeds as late as it can, and the second never does.
            let first = [Fault::HangsBefore, Fault::Slow(Duration::from_millis(900))];
            let faulty = Faulty::before(world.port, &first, Fault::HangsAfter).await;
            let event = match name {
                "authorize" => registry_request(&made.text),
                "generate" => http("POST", None, subject, Value::Null, json!({"name": "t", "scopes": ["read"]})),
                "rotate" => rotation(&made, subject),
                "change" => http("PATCH", Some(&made.id), subject, Value::Null, json!({"name": "t"})),
                _ => http("DELETE", None, subject, json!({"subject": subject}), Value::Null),
            };
            let answer = world.call(name, &faulty.client(&world.dynamodb, None), event).await;
            match name {
                "authorize" => assert_eq!(decision(&answer), "allow", "its use alone could not be noted: {answer:?}"),
                _ => assert!(!is(&answer, 200), "{name}"),
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

#[tokio::test]
async fn what_a_function_may_wait_for_is_within_what_it_has() {
    let world = World::start().await;
    let timeouts = world.dynamodb.config().timeout_config().unwrap().clone();
    let (operation, attempt) = (timeouts.operation_timeout().unwrap(), timeouts.operation_attempt_timeout().unwrap());
    assert!(timeouts.connect_timeout().unwrap() < attempt && attempt * 2 < operation, "a second attempt has its time");
    for (name, function) in deployed().functions {
        assert!(operation * 2 + Duration::from_millis(500) < function.timeout, "{name}");
        // One works a queue off, and one a report of up to a thousand leaks; no client waits for either.
        let longer = ["Burn", "Remind"].contains(&name.as_str());
        assert!(longer || function.timeout == FUNCTION, "{name}");
    }
}

#[tokio::test]
async fn ending_all_of_somebodys_tokens_stops_in_time_and_says_that_there_are_more() {
    let world = World::start().await;
    for _ in 0..30 {
        world.make("alice").await;
    }
    let slow = Faulty::before(world.port, &[], Fault::Slow(Duration::from_millis(200))).await;
    let all = || http("DELETE", None, "alice", json!({"subject": "alice"}), Value::Null);
    let told = body(&world.call("revoke", &slow.client(&world.dynamodb, None), all()).await.unwrap());
    let revoked = told["revoked"].as_u64().unwrap();
    assert_eq!(told["complete"], false, "{told}");
    let active = world.list("alice").await.iter().filter(|token| token["status"] == "active").count() as u64;
    assert!((1..30).contains(&revoked) && active == 30 - revoked, "{told}, {active} active");
    assert_eq!(body(&world.calmly("revoke", all()).await.unwrap()), json!({"revoked": active, "complete": true}));
}

#[tokio::test]
async fn a_token_that_is_ended_with_itself_is_told_so_although_the_answer_got_lost() {
    let world = World::start().await;
    let made = world.make("alice").await;
    let token: Token = made.text.parse().unwrap();
    let now = world.now();
    let revocation = |at| Revocation { at, by: latchkey::record::RevokedBy::Token, purge_at: now, leak_url: None };
    for fault in [Fault::ResetAfter, Fault::DoneAnd500, Fault::NoBody] {
        let made = world.make("alice").await;
        let token: Token = made.text.parse().unwrap();
        let faulty = Faulty::before(world.port, &[fault], Fault::None).await;
        let store = latchkey::store::Store::new(faulty.client(&world.dynamodb, None), "latchkey".into());
        let found = store.revoke_presented(token.id(), &token.hash(), &revocation(now)).await.unwrap();
        assert_eq!(found, Presented::Revoked, "{fault:?}");
        assert_eq!(faulty.seen(), ["UpdateItem", "UpdateItem"]);
        let later = Timestamp::from_secs(now.as_secs() + 1);
        let again = store.revoke_presented(token.id(), &token.hash(), &revocation(later)).await.unwrap();
        assert_eq!(again, Presented::Ended);
    }
    let other = world.token_of("nobody");
    let found = world.store().revoke_presented(token.id(), &other.hash(), &revocation(now)).await.unwrap();
    assert_eq!(found, Presented::Unknown);
}

#[tokio::test]
async fn an_id_that_is_taken_is_nobodys_trouble() {
    let world = World::start().await;
    let wish = || http("POST", None, "alice", Value::Null, json!({"name": "t", "scopes": ["read"]}));
    let once = Faulty::before(world.port, &[Fault::None, Fault::Taken], Fault::None).await;
    let made = world.shown(&world.call("generate", &once.client(&world.dynamodb, None), wish()).await.unwrap());
    assert_eq!(once.seen(), ["Query", "PutItem", "PutItem"]);
    assert_eq!((world.decides(&made.text).await, world.list("alice").await.len()), ("allow", 1));
    // Whoever meets that twice meets something else.
    let twice = Faulty::before(world.port, &[Fault::None, Fault::Taken, Fault::Taken], Fault::None).await;
    assert!(!is(&world.call("generate", &twice.client(&world.dynamodb, None), wish()).await, 201));
    assert_eq!(world.list("alice").await.len(), 1);
}
