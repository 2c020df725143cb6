//! A stack of its own for every test, and the words that tests use.

pub mod watch;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lambda_http::tracing::subscriber::filter::LevelFilter;
use lambda_http::tracing::subscriber::fmt::MakeWriter;
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::{fmt, registry};
use latchkey::clock::Timestamp;
use latchkey::id::OwnerKey;
use latchkey::store::Store;
use local::function::{Function, Handler};
use local::options::Options;
use local::stack::Stack;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watch::Watched;

/// When a stack's clock begins.
const BEGIN: &str = "2027-01-05T12:00:00Z";

/// A running stack in memory, on free ports, with a clock that tests set.
pub struct Harness {
    pub stack: Stack,
    clock: Arc<AtomicI64>,
    settings: BTreeMap<String, String>,
    /// Every stack's end is a look at what has leaked so far.
    _watched: Watched,
}

/// A token that was made through the API.
pub struct Token {
    pub id: String,
    pub text: String,
}

impl Token {
    /// The 43 characters that nobody else may know.
    pub fn secret(&self) -> &str {
        secret(&self.text)
    }
}

fn secret(token: &str) -> &str {
    &token[token.len() - 49..token.len() - 6]
}

/// An HTTP response, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body, if it is JSON.
    pub json: Value,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings of the functions.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_from(settings, Options::in_memory(), BEGIN).await
    }

    /// With both caches: of the authorizer's records and of the gateway's answers, in seconds.
    pub async fn start_caching(records: &str, answers: &str) -> Self {
        let mut options = Options::in_memory();
        options.parameters.insert("AuthorizerCacheSeconds".into(), answers.into());
        Self::start_from(&[("CACHE_SECONDS", records)], options, BEGIN).await
    }

    /// As of now, for functions that look at the clock themselves.
    pub async fn start_now() -> Self {
        Self::start_from(&[], Options::in_memory(), &latchkey::clock::now().to_string()).await
    }

    /// In front of a registry.
    pub async fn start_before(upstream: &str) -> Self {
        let options = Options { upstream: Some(upstream.parse().unwrap()), ..Options::in_memory() };
        Self::start_from(&[], options, BEGIN).await
    }

    pub async fn start_from(settings: &[(&str, &str)], mut options: Options, begin: &str) -> Self {
        log();
        let clock = Arc::new(AtomicI64::new(Timestamp::parse(begin).unwrap().as_secs() * 1000));
        let now = Arc::clone(&clock);
        options.clock = Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)));
        let settings: BTreeMap<String, String> =
            settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        options.environment.extend(settings.clone());
        let stack = Stack::start(options).await.unwrap();
        Self { stack, clock, settings, _watched: Watched }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }

    pub fn set_time(&self, time: &str) {
        self.clock.store(Timestamp::parse(time).unwrap().as_secs() * 1000, Ordering::SeqCst);
    }

    pub fn advance_millis(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn advance(&self, secs: i64) {
        self.advance_millis(secs * 1000);
    }

    pub fn advance_days(&self, days: i64) {
        self.advance(days * 86_400);
    }

    /// A session of this person, good for an hour by the stack's clock.
    pub async fn session(&self, name: &str) -> String {
        self.session_in(name, "").await
    }

    /// A session of this person in these groups, apart by spaces.
    pub async fn session_in(&self, name: &str, groups: &str) -> String {
        let groups = groups.replace(' ', "+");
        let form = format!("grant_type=password&username={name}&groups={groups}");
        let request = Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
        let reply = send(self.stack.ports().identity, request.body(Full::from(form)).unwrap()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let session = reply.json["access_token"].as_str().unwrap();
        watch::know_session(session);
        session.into()
    }

    /// A request to the management API.
    pub async fn api(&self, method: Method, path: &str, session: Option<&str>, body: Option<&Value>) -> Reply {
        self.api_raw(method, path, session, body.map(|body| body.to_string().into()).unwrap_or_default()).await
    }

    pub async fn api_raw(&self, method: Method, path: &str, session: Option<&str>, body: Bytes) -> Reply {
        let request = request(method, path, session.map(|session| format!("Bearer {session}")));
        send(self.stack.ports().api, request.body(Full::from(body)).unwrap()).await
    }

    pub async fn api_with(
        &self,
        method: Method,
        path: &str,
        session: Option<&str>,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Reply {
        let mut request = request(method, path, session.map(|session| format!("Bearer {session}")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.stack.ports().api, request.body(Full::from(body.to_string())).unwrap()).await
    }

    /// A request to the registry.
    pub async fn registry(&self, method: Method, path: &str, token: Option<&str>) -> Reply {
        let request = request(method, path, token.map(|token| format!("Bearer {token}")));
        send(self.stack.ports().registry, request.body(Full::default()).unwrap()).await
    }

    /// A `GET` to the registry from this address of the loopback range, with this `User-Agent`.
    pub async fn registry_from(&self, from: [u8; 4], user_agent: &str, token: &str) -> Reply {
        let request = request(Method::GET, "/x", Some(format!("Bearer {token}"))).header("user-agent", user_agent);
        send_from(from.into(), self.stack.ports().registry, request.body(Full::default()).unwrap()).await
    }

    /// Any request to the registry, as it is.
    pub async fn registry_raw(&self, request: Request<Full<Bytes>>) -> Reply {
        send(self.stack.ports().registry, request).await
    }

    /// A new token of this person's.
    pub async fn token(&self, owner: &str, wish: Value) -> Token {
        let session = self.session(owner).await;
        let reply = self.api(Method::POST, "/tokens", Some(&session), Some(&wish)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let text = |field: &str| reply.json[field].as_str().unwrap().to_owned();
        Token { id: text("id"), text: text("token") }
    }

    pub async fn revoke(&self, owner: &str, id: &str) {
        let session = self.session(owner).await;
        let reply = self.api(Method::DELETE, &format!("/tokens/{id}"), Some(&session), None).await;
        assert_eq!(reply.status, 204, "{reply:?}");
    }

    /// A well-formed token of this deployment that nobody has made.
    pub fn unknown_token(&self) -> String {
        let owner = OwnerKey::of("https://issuer.example", "nobody");
        let token = latchkey::token::Token::mint(&"lk".parse().unwrap(), owner, self.now()).unwrap();
        watch::know(token.expose());
        token.expose().into()
    }

    /// A well-formed token with this one's id and another secret.
    pub fn with_another_secret(&self, token: &Token) -> String {
        let other = self.unknown_token();
        let body = token.text[..token.text.len() - 6].replace(token.secret(), secret(&other));
        let mut checksum = crc32fast::hash(body.as_bytes());
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[checksum as usize % 62];
            checksum /= 62;
        }
        let other = format!("{body}{}", std::str::from_utf8(&digits).unwrap());
        watch::know(&other);
        other
    }

    pub fn dynamodb_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.stack.ports().dynamodb)
    }

    /// The table through the AWS SDK, as anybody with the right to can read it.
    pub fn dynamodb(&self) -> Client {
        local::dynamodb::client(self.stack.ports().dynamodb).unwrap()
    }

    pub fn store(&self) -> Store {
        Store::new(self.dynamodb(), "latchkey".into())
    }

    /// The records in the table.
    pub async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let (records, _) = self.table().await;
        records
    }

    /// The table: records, and what waits to be said of tokens.
    pub async fn table(&self) -> (Vec<HashMap<String, AttributeValue>>, Vec<HashMap<String, AttributeValue>>) {
        self.everything().await.into_iter().partition(|item| item["owner"].as_s().unwrap() != "due")
    }

    async fn everything(&self) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.dynamodb().scan().table_name("latchkey").into_paginator().items().send();
        scan.collect::<Result<_, _>>().await.unwrap()
    }

    pub async fn set_attribute(&self, id: &str, name: &str, value: &str) {
        self.set(id, name, AttributeValue::S(value.into())).await;
    }

    pub async fn set_number(&self, id: &str, name: &str, value: i64) {
        self.set(id, name, AttributeValue::N(value.to_string())).await;
    }

    async fn set(&self, id: &str, name: &str, value: AttributeValue) {
        let (owner, ulid) = id.split_at(17);
        self.dynamodb()
            .update_item()
            .table_name("latchkey")
            .key("owner", AttributeValue::S(owner.into()))
            .key("id", AttributeValue::S(ulid.into()))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value)
            .send()
            .await
            .unwrap();
    }

    /// The fault that needs no proxy: the table is gone.
    pub async fn drop_table(&self) {
        let unprotect = self.dynamodb().update_table().table_name("latchkey").deletion_protection_enabled(false);
        unprotect.send().await.unwrap();
        self.dynamodb().delete_table().table_name("latchkey").send().await.unwrap();
    }

    /// Hands an event to a function as Lambda does; the answer, or the error's message.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, String> {
        let function = self.function(function, self.dynamodb());
        function.invoke(&event, self.now()).await.map_err(|failure| failure.to_string())
    }

    /// A function as the stack has it, with a client of its own.
    pub fn function(&self, function: &str, client: Client) -> Function {
        let environment = self.settings.clone().into_iter().collect();
        let handler = Handler::of(function, &environment, client).unwrap();
        Function::new(handler, Duration::from_secs(10))
    }

    /// Hands an event to the authorizer.
    pub async fn authorize(&self, event: Value) -> Result<Value, String> {
        self.invoke("authorize", event).await
    }
}

fn request(method: Method, path: &str, authorization: Option<String>) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    match authorization {
        Some(authorization) => request.header("authorization", authorization),
        None => request,
    }
}

/// Whether a test cannot run, since not all of these are on the machine: programs, or files by their whole paths. It
/// says so, past the test runner, which keeps back what a passing test prints. With `LATCHKEY_ALL_TOOLS` set, as in
/// `.ci/run`, that is a failure.
pub fn lacks(needs: &[&str]) -> bool {
    let missing: Vec<_> = needs.iter().filter(|need| on_path(need).is_none()).copied().collect();
    if missing.is_empty() {
        return false;
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    not_run(&format!("{test} needs {}", missing.join(", ")));
    true
}

/// A program, or a file beside the folders of programs, such as `../axe-core/axe.min.js` beside npm's `.bin`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A whole path takes the place of the folder that it is joined to.
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists())
}

/// Says that something is not tested, or fails where everything must be.
pub fn not_run(why: &str) {
    assert!(std::env::var_os("LATCHKEY_ALL_TOOLS").is_none(), "{why}");
    let _ = io::Write::write_all(&mut io::stderr(), format!("NOT RUN: {why}\n").as_bytes());
}

/// As [`lacks`], of a module of Python's.
pub fn lacks_python_module(name: &str) -> bool {
    let import = Command::new("python3").args(["-c", &format!("import {name}")]).output();
    let missing = !import.is_ok_and(|output| output.status.success());
    if missing {
        not_run(&format!("{} needs Python's {name}", std::thread::current().name().unwrap_or_default()));
    }
    missing
}

/// A port for a program that cannot be told to take any.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that ends with the test.
pub struct Process(Child);

impl Process {
    /// Starts it and waits until it listens.
    pub async fn start(mut command: Command, port: u16) -> Self {
        let mut process =
            Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(process.0.try_wait().unwrap().is_none(), "{command:?} ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request over a connection of its own; its path goes out as it is.
pub async fn send(port: u16, request: Request<Full<Bytes>>) -> Reply {
    send_from(Ipv4Addr::LOCALHOST, port, request).await
}

/// From this address of the loopback range.
pub async fn send_from(from: Ipv4Addr, port: u16, mut request: Request<Full<Bytes>>) -> Reply {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let host = format!("127.0.0.1:{port}").parse().unwrap();
    request.headers_mut().entry("host").or_insert(host);
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    watch::answered(&format!("{:?} {}", head.headers, String::from_utf8_lossy(&body)));
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Reply { status: head.status.as_u16(), headers: head.headers, body, json }
}

/// Writes these bytes to a port; what comes back until the connection ends.
pub async fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![];
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What comes back of a request for this target to the letter, as no client's library would send it.
pub async fn raw_target(port: u16, method: &str, target: &[u8], token: &str) -> String {
    let mut request = format!("{method} ").into_bytes();
    request.extend_from_slice(target);
    request.extend_from_slice(
        format!(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes(),
    );
    raw(port, &request).await
}

/// The status of an answer that [`raw`] read.
pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

/// All that has been logged by any test of this binary, at the most verbose level there is.
pub fn log() -> String {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let filter = latchkey::log::targets(LevelFilter::TRACE).with_target("local", LevelFilter::TRACE);
        let layer = fmt::layer().with_ansi(false).with_writer(log.clone());
        lambda_http::tracing::subscriber::util::SubscriberInitExt::init(registry().with(filter).with(layer));
        log
    });
    String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        watch::logged(bytes);
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
