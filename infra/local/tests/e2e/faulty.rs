//! A proxy before DynamoDB that does to each request what its plan says.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is answered after this time.
    Slow(Duration),
    /// It is handed on after this time, when nobody waits for it any more.
    Late(Duration),
    /// It is refused, as by a table that has too much to do: 400, and this type.
    Throttled(&'static str),
    /// A new record's id is another's.
    Taken,
    /// This status, and nothing was done.
    Status(u16),
    /// 500, and it was done all the same.
    DoneAnd500,
    /// The connection is reset, and nothing was done.
    ResetBefore,
    /// It was done, and the connection is reset before the answer.
    ResetAfter,
    /// Nothing is done, and nothing comes back.
    HangsBefore,
    /// It was done, and nothing comes back.
    HangsAfter,
    /// Half of the answer's body comes, and then nothing.
    Stalls,
    /// Half of the answer's body comes, and then the end of the connection.
    Cut,
    /// It was done, and the answer is no JSON.
    NotJson,
    /// It was done, and the answer is another JSON than DynamoDB's.
    WrongJson,
    /// It was done, and the answer is a 200 without a body.
    NoBody,
    /// It was done, and the answer is empty, with the checksum of the true one.
    WrongBody,
    /// It was done, and the answer has a wrong checksum.
    WrongChecksum,
}

/// Those after which the next attempt comes at once.
pub const FAST: [Fault; 15] = [
    Fault::Throttled("ProvisionedThroughputExceededException"),
    Fault::Throttled("RequestLimitExceeded"),
    Fault::Throttled("ThrottlingException"),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::DoneAnd500,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::Cut,
    Fault::NotJson,
    Fault::WrongJson,
    Fault::NoBody,
    Fault::WrongBody,
    Fault::WrongChecksum,
];

/// The record that has the id: with 32 bytes of nothing for a hash.
const TAKEN: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message":"The conditional request failed","Item":{"hash":{"B":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}"#;

struct Plan {
    first: VecDeque<Fault>,
    then: Fault,
    /// Operations by name.
    seen: Vec<String>,
}

/// A running proxy; it ends with its value.
pub struct Faulty {
    port: u16,
    plan: Arc<Mutex<Plan>>,
    late: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Faulty {
    /// Before the DynamoDB at this port. The first requests meet these faults, every later one the last.
    pub async fn before(dynamodb: u16, first: &[Fault], then: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Mutex::new(Plan { first: first.iter().copied().collect(), then, seen: vec![] }));
        let late = Arc::<AtomicUsize>::default();
        let (planned, lating) = (Arc::clone(&plan), Arc::clone(&late));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (plan, late) = (Arc::clone(&planned), Arc::clone(&lating));
                connections.spawn(async move {
                    let _ = serve(stream, dynamodb, &plan, &late).await;
                });
            }
        });
        Self { port, plan, late, serving }
    }

    /// The client of a function behind this proxy, with its own retries.
    pub fn client(&self, of: &Client, timeouts: Option<TimeoutConfig>) -> Client {
        behind(of, self.port, timeouts)
    }

    /// The operations that were asked for so far.
    pub fn seen(&self) -> Vec<String> {
        self.plan.lock().unwrap().seen.clone()
    }

    /// Waits for what comes late.
    pub async fn settled(&self) {
        while self.late.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A client that differs in where it asks, and in how long it waits. What it may retry is counted for itself: by default
/// all clients of a process share that.
pub fn behind(client: &Client, port: u16, timeouts: Option<TimeoutConfig>) -> Client {
    let mut config = client.config().to_builder().endpoint_url(format!("http://127.0.0.1:{port}"));
    if let Some(timeouts) = timeouts {
        config = config.timeout_config(timeouts);
    }
    Client::from_conf(config.retry_partition(RetryPartition::new(format!("port {port}"))).build())
}

async fn serve(mut client: TcpStream, dynamodb: u16, plan: &Mutex<Plan>, late: &AtomicUsize) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut upstream = TcpStream::connect(("127.0.0.1", dynamodb)).await?;
    upstream.set_nodelay(true)?;
    loop {
        let request = Message::read(&mut client).await?;
        let operation = request.header("x-amz-target").rsplit('.').next().unwrap().to_owned();
        let fault = {
            let mut plan = plan.lock().unwrap();
            plan.seen.push(operation);
            plan.first.pop_front().unwrap_or(plan.then)
        };
        let nothing_done = match fault {
            Fault::Throttled(kind) => Some(answer(
                400,
                &format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"Too much at once."}}"#),
            )),
            Fault::Taken => Some(answer(400, TAKEN)),
            Fault::Status(500) => Some(answer(
                500,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"The request failed."}"#,
            )),
            Fault::Status(status) => Some(answer(status, "<html><body>Service unavailable</body></html>")),
            Fault::ResetBefore => return reset(client),
            Fault::HangsBefore => std::future::pending().await,
            Fault::Late(after) => {
                late.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(after).await;
                let handed_on = request.hand_on(&mut upstream).await;
                late.fetch_sub(1, Ordering::SeqCst);
                handed_on?;
                return reset(client);
            }
            _ => None,
        };
        if let Some(answer) = nothing_done {
            client.write_all(answer.as_bytes()).await?;
            continue;
        }
        let done = request.hand_on(&mut upstream).await?;
        let whole = [done.head.as_bytes(), &done.body].concat();
        let wrong = |body: &str| answer(200, body).into_bytes();
        let told = match fault {
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                whole
            }
            Fault::DoneAnd500 => answer(500, "{}").into_bytes(),
            Fault::ResetAfter => return reset(client),
            Fault::HangsAfter => std::future::pending().await,
            Fault::Stalls | Fault::Cut => {
                client.write_all(&whole[..done.head.len() + done.body.len() / 2]).await?;
                if fault == Fault::Stalls {
                    std::future::pending().await
                }
                return Ok(());
            }
            Fault::NotJson => wrong("<html><body>Welcome</body></html>"),
            Fault::WrongJson => wrong(r#"{"Item": 7, "Items": 7, "Attributes": 7}"#),
            Fault::NoBody => wrong(""),
            Fault::WrongBody => {
                let checksum = done.header("x-amz-crc32");
                format!("HTTP/1.1 200 OK\r\nx-amz-crc32: {checksum}\r\ncontent-length: 3\r\n\r\n{{ }}").into_bytes()
            }
            Fault::WrongChecksum => {
                let head = done.head.replace(done.header("x-amz-crc32"), "4294967295");
                [head.as_bytes(), &done.body].concat()
            }
            _ => whole,
        };
        client.write_all(&told).await?;
    }
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Ends a connection as a machine does that forgot about it.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

/// A request or an answer with a `Content-Length`.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = vec![];
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let mut body = bytes.split_off(head);
        let mut message = Self { head: String::from_utf8(bytes).unwrap(), body: vec![] };
        let length = message.header("content-length").parse().unwrap();
        let missing = length - body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[length - missing..]).await?;
        message.body = body;
        Ok(message)
    }

    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap()
    }

    async fn hand_on(&self, upstream: &mut TcpStream) -> io::Result<Self> {
        upstream.write_all(self.head.as_bytes()).await?;
        upstream.write_all(&self.body).await?;
        Self::read(upstream).await
    }
}
