//! The program killed at any moment, again and again, on the same data: what was acknowledged holds.
//!
//! `LATCHKEY_SEED` repeats a run as far as the machine's timing allows, `LATCHKEY_KILLS` (100) makes it longer or shorter.

use crate::faults::{say, seed};
use crate::program::command_at;
use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is under way at once.
const CONNECTIONS: usize = 4;

/// The program from one start to the next kill.
struct Life {
    process: Child,
    api: u16,
    registry: u16,
    identity: u16,
}

/// Dead with its value: not every life ends by our wish.
impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What somebody was told of a token.
struct Known {
    subject: String,
    id: String,
    /// The secret that was shown last, and the one before.
    good: String,
    retired: Option<String>,
    revoked: bool,
    /// A rotation or a revocation that was not answered: it may hold or not.
    rotating: bool,
    revoking: bool,
}

async fn ask(port: u16, method: Method, path: &str, credential: &str, body: String) -> Option<(u16, Value)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", format!("127.0.0.1:{port}"));
    let request = request.header("authorization", credential);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let reply = sender.send_request(request.body(Full::<Bytes>::from(body)).unwrap()).await.ok()?;
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.ok()?.to_bytes();
    connection.abort();
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

impl Life {
    /// Starts the program and waits until it is ready; `None` if it was killed before that, after this time.
    fn begin(folder: &Path, identity: u16, killed_after: Option<Duration>) -> Option<Self> {
        let mut command = command_at(folder, identity);
        let process = command.env("MAX_ACTIVE_TOKENS", "10000").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut life = Self { process: process.unwrap(), api: 0, registry: 0, identity };
        if let Some(time) = killed_after {
            std::thread::sleep(time);
            return None;
        }
        let mut output = BufReader::new(life.process.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("DynamoDB ") {
            assert_ne!(output.read_line(&mut banner).unwrap(), 0, "it did not start: {banner}");
        }
        let port = |name: &str| {
            let line = banner.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        (life.api, life.registry) = (port("console"), port("registry"));
        Some(life)
    }

    async fn session(&self, subject: &str) -> Option<String> {
        let form = format!("grant_type=password&username={subject}");
        let (_, reply) = ask(self.identity, Method::POST, "/oauth2/token", "", form).await?;
        Some(format!("Bearer {}", reply["access_token"].as_str().unwrap()))
    }

    async fn opens(&self, token: &str) -> u16 {
        ask(self.registry, Method::GET, "/x", &format!("Bearer {token}"), String::new()).await.unwrap().0
    }

    /// Whether what its owner was told of a token holds; what was not answered is found out.
    async fn check(&self, known: &mut Known) {
        if known.rotating || known.revoking {
            let session = self.session(&known.subject).await.unwrap();
            let path = format!("/tokens/{}", known.id);
            let (status, told) = ask(self.api, Method::GET, &path, &session, String::new()).await.unwrap();
            assert_eq!(status, 200, "{told}");
            if known.revoking {
                known.revoked = told["status"] == "revoked";
            }
            if known.rotating {
                let rotated = ask(self.api, Method::POST, &format!("{path}/rotate"), &session, String::new()).await;
                let (status, told) = rotated.unwrap();
                assert_eq!(status, 200, "a rotation goes on where one was cut off: {told}");
                let new = told["token"].as_str().unwrap().to_owned();
                known.retired = Some(std::mem::replace(&mut known.good, new));
            }
            (known.rotating, known.revoking) = (false, false);
        }
        assert_eq!(self.opens(&known.good).await, if known.revoked { 403 } else { 200 }, "{}", known.id);
        if let Some(retired) = &known.retired {
            assert_eq!(self.opens(retired).await, 403, "{}", known.id);
        }
    }
}

/// Makes, rotates and revokes tokens until nobody answers any more; what was acknowledged, and, counted, how often.
async fn work(api: u16, session: String, subject: String, mut rng: Rng, acknowledged: Arc<AtomicUsize>) -> Vec<Known> {
    let mut tokens = Vec::<Known>::new();
    loop {
        let active: Vec<_> = (0..tokens.len()).filter(|index| !tokens[*index].revoked).collect();
        let chosen = if active.is_empty() || rng.u8(..3) == 0 { None } else { Some(active[rng.usize(..active.len())]) };
        let Some(index) = chosen else {
            let wish = json!({"name": "ci", "scopes": ["read"]}).to_string();
            let Some((status, reply)) = ask(api, Method::POST, "/tokens", &session, wish).await else { break };
            assert_eq!(status, 201, "{reply}");
            let text = |field: &str| reply[field].as_str().unwrap().to_owned();
            let (subject, id, good) = (subject.clone(), text("id"), text("token"));
            tokens.push(Known { subject, id, good, retired: None, revoked: false, rotating: false, revoking: false });
            acknowledged.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        let token = &mut tokens[index];
        let path = format!("/tokens/{}", token.id);
        if rng.bool() {
            token.rotating = true;
            let rotated = ask(api, Method::POST, &format!("{path}/rotate"), &session, String::new()).await;
            let Some((status, reply)) = rotated else { break };
            assert_eq!(status, 200, "{reply}");
            let new = reply["token"].as_str().unwrap().to_owned();
            token.retired = Some(std::mem::replace(&mut token.good, new));
            token.rotating = false;
        } else {
            token.revoking = true;
            let Some((status, reply)) = ask(api, Method::DELETE, &path, &session, String::new()).await else { break };
            assert_eq!(status, 204, "{reply}");
            (token.revoked, token.revoking) = (true, false);
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    tokens
}

/// So many kills of one program; what was acknowledged in between.
async fn kill_again_and_again(kills: usize, mut rng: Rng) -> usize {
    let folder = tempfile::tempdir().unwrap();
    // Below the ports that the system hands out: nobody else takes it between two lives.
    let identity = loop {
        let port = rng.u16(15_000..30_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break port;
        }
    };
    let acknowledged = Arc::<AtomicUsize>::default();
    let (mut all, mut unchecked) = (Vec::<Known>::new(), 0);
    for kill in 0..=kills {
        // One start in ten does not come to its end.
        if kill < kills && rng.u8(..10) == 0 {
            let _ = Life::begin(folder.path(), identity, Some(Duration::from_millis(rng.u64(..150))));
            continue;
        }
        let mut life = Life::begin(folder.path(), identity, None).unwrap();
        if kill == kills {
            unchecked = 0;
        }
        // What the last life left, and a few of those before; in the end all.
        for _ in 0..3.min(unchecked) {
            let index = rng.usize(..unchecked);
            life.check(&mut all[index]).await;
        }
        for known in &mut all[unchecked..] {
            life.check(known).await;
        }
        unchecked = all.len();
        if kill == kills {
            break;
        }
        let mut working = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let subject = format!("person-{kill}-{connection}");
            let session = life.session(&subject).await.unwrap();
            working.spawn(work(life.api, session, subject, rng.fork(), Arc::clone(&acknowledged)));
        }
        // By what was done, not by the clock, so that a busy machine does as much; and then at any moment of a write.
        let enough = acknowledged.load(Ordering::SeqCst) + rng.usize(1..=16);
        while acknowledged.load(Ordering::SeqCst) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(rng.u64(..10_000))).await;
        life.process.kill().unwrap();
        all.extend(working.join_all().await.into_iter().flatten());
    }
    // A write that was answered is in the log that SQLite reads at the next start.
    let file = std::fs::read(folder.path().join(".latchkey/dynamodb.sqlite")).unwrap();
    assert_eq!(file[18..20], [2, 2], "a write-ahead log (SQLite, Database File Format, 1.3.3)");
    acknowledged.load(Ordering::SeqCst)
}

#[test]
fn what_was_acknowledged_before_a_kill_holds_after_it() {
    let kills: usize = std::env::var("LATCHKEY_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let mut rng = Rng::with_seed(seed());
    let begin = Instant::now();
    // Two programs, since a start keeps one core busy.
    let threads = [kills / 2, kills - kills / 2].map(|kills| {
        let rng = rng.fork();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(kill_again_and_again(kills, rng))
        })
    });
    let acknowledged: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
    say(&format!("{kills} kills, {acknowledged} acknowledged writes, {:?}", begin.elapsed()));
    assert!(acknowledged >= kills, "{acknowledged}");
}
