//! `cargo run --release -p latchkey-bench --bin load`: many authorizations, while tokens are rotated and revoked, each
//! held against what is known of its token. One that is wrong fails the run.
//!
//! The authorizer's own handler is asked, by as many instances as Lambda would have, each with one request at a time; its
//! table is the embedded DynamoDB, over HTTP. All of it is one process, the table and the books of this program among
//! what its memory counts.

use authorize::event::Event;
use bench::statistics::{median, p99};
use bench::{Error, dynamodb, event};
use clap::Parser;
use latchkey::clock;
use latchkey::config::Environment;
use latchkey::id::OwnerKey;
use latchkey::record::Record;
use latchkey::scope::Scopes;
use latchkey::source::SourceAddresses;
use latchkey::store::Store;
use latchkey::token::{Prefix, Token};
use local::function::{Function, Handler};
use local::policy::{Policy, Verdict};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const ISSUER: &str = "https://issuer.example";
/// Owners, each with as many tokens.
const OWNERS: usize = 100;
/// Parts of the registry, each the scope of as many tokens.
const SECTIONS: usize = 50;
/// One request in so many is followed by a rotation, one by a revocation.
const ROTATION_EVERY: usize = 20;
const REVOCATION_EVERY: usize = 50;
/// The longest overlap there is: none ends within a run.
const OVERLAP: u32 = 604_800;
/// Where tokens may be used that are bound to addresses: one in ten is.
const BLOCK: &str = "192.0.2.0/25";
const INSIDE: &str = "192.0.2.1";
const OUTSIDE: &str = "192.0.2.129";
/// Parts of a run that are told of one by one.
const PARTS: usize = 10;

/// Asks, and goes on asking.
#[derive(Parser)]
struct Arguments {
    /// Authorizations
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// Tokens; a tenth of the requests if not given
    #[arg(long)]
    tokens: Option<usize>,
    /// Instances of the authorizer
    #[arg(long, default_value_t = 8)]
    instances: usize,
    /// Rotate and revoke nothing: then the table does not grow, and neither should memory
    #[arg(long)]
    calm: bool,
    /// The same seed asks the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A rotation or a revocation: between its two moments, a request may be judged by what was before or by what is after.
#[derive(Clone, Copy)]
struct Change {
    begun: u64,
    done: Option<u64>,
}

/// A secret, and the change that ended it.
struct Secret {
    text: String,
    ended: Option<Change>,
}

/// What is known of a token.
struct Known {
    id: String,
    owner: usize,
    section: usize,
    writes: bool,
    bound: bool,
    /// Oldest first.
    secrets: Vec<Secret>,
    revoked: Option<Change>,
}

/// A request: with which token's secret, and for what.
struct Asked {
    token: usize,
    secret: usize,
    invented: bool,
    method: &'static str,
    section: usize,
    address: &'static str,
}

/// What a request may be answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Nobody,
    Refused,
    Passes,
    /// It met a change.
    RefusedOrPasses,
}

struct Run {
    requests: usize,
    tokens: Vec<Mutex<Known>>,
    /// Moments are told apart by counting.
    moments: AtomicU64,
    taken: AtomicUsize,
    /// Nanoseconds that each request took. All there from the beginning, lest the books grow where memory is watched.
    took: Vec<AtomicU32>,
    /// When the last of each part was answered.
    ends: Mutex<[Option<Instant>; PARTS]>,
    met_a_change: AtomicUsize,
    passed: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    /// Bytes at the beginning of each part.
    memory: Mutex<Vec<u64>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// How many answers were wrong.
async fn run(arguments: Arguments) -> Result<usize, Error> {
    let Arguments { requests, tokens, instances, calm, seed } = arguments;
    let dynamodb = dynamodb::start()?;
    event::prepare(dynamodb.port).await?;
    let client = || local::dynamodb::client(dynamodb.port);
    let tokens = keep(&Store::new(client()?, event::TABLE.into()), tokens.unwrap_or(requests / 10).max(OWNERS)).await?;
    let run = Arc::new(Run {
        requests,
        tokens,
        moments: AtomicU64::new(0),
        taken: AtomicUsize::new(0),
        took: (0..requests).map(|_| AtomicU32::new(u32::MAX)).collect(),
        ends: Mutex::default(),
        met_a_change: AtomicUsize::new(0),
        passed: AtomicUsize::new(0),
        wrong: Mutex::default(),
        memory: Mutex::default(),
    });

    let environment: Environment = [("TABLE_NAME".to_owned(), event::TABLE.to_owned())].into_iter().collect();
    let mut functions = vec![];
    for _ in 0..instances.max(1) {
        functions.push(Arc::new(authorize::Function::new(&environment, client()?)?));
    }
    let meeting: Vec<_> =
        functions.iter().map(|function| tokio::spawn(meet(Arc::clone(&run), Arc::clone(function)))).collect();
    for meeting in meeting {
        meeting.await??;
    }
    let begun = Instant::now();
    let mut asking = vec![];
    for (instance, function) in functions.into_iter().enumerate() {
        let random = fastrand::Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(instance as u64));
        asking.push(tokio::spawn(ask(Arc::clone(&run), function, random)));
    }
    let function = |binary| {
        let handler = Handler::of(binary, &environment, client()?).map_err(|_| format!("no handler of {binary}"))?;
        Ok::<_, Error>(Function::new(handler, Duration::from_secs(10)))
    };
    let (rotate, revoke) = (function("rotate")?, function("revoke")?);
    let random = fastrand::Rng::with_seed(seed.wrapping_add(500));
    let changes = (!calm).then(|| tokio::spawn(change(Arc::clone(&run), rotate, revoke, random)));
    for asking in asking {
        asking.await??;
    }
    let (rotations, revocations) = match changes {
        Some(changes) => changes.await??,
        None => (0, 0),
    };
    locked(&run.memory).push(resident()?);
    tell(&run, begun, rotations, revocations)
}

/// Makes tokens and keeps their records.
async fn keep(store: &Store, many: usize) -> Result<Vec<Mutex<Known>>, Error> {
    let mut tokens = vec![];
    for i in 0..many {
        let owner = i % OWNERS;
        let key = OwnerKey::of(ISSUER, &subject(owner));
        let token = Token::mint(&Prefix::default(), key, clock::now()).map_err(|_| "no entropy")?;
        let (section, writes, bound) = (i / OWNERS % SECTIONS, i % 3 == 0, i % 10 == 7);
        let scope = format!("{}:part-{section}/*", if writes { "write" } else { "read" });
        let blocks = if bound { vec![BLOCK.parse()?] } else { vec![] };
        let record = Record {
            subject: subject(owner),
            scopes: Scopes::new([scope.parse()?]).ok_or("no scopes")?,
            source_addresses: SourceAddresses::new(blocks).ok_or("no addresses")?,
            ..event::record(&token)?
        };
        store.create(&record, None).await?;
        let secrets = vec![Secret { text: token.expose().to_owned(), ended: None }];
        let id = token.id().to_string();
        tokens.push(Mutex::new(Known { id, owner, section, writes, bound, secrets, revoked: None }));
    }
    Ok(tokens)
}

fn subject(owner: usize) -> String {
    format!("owner-{owner}")
}

/// Shows every token to an instance, which remembers that it has met it: what grows from then on is a leak, or the table.
async fn meet(run: Arc<Run>, function: Arc<authorize::Function>) -> Result<(), Error> {
    for token in &run.tokens {
        let text = locked(token).secrets.last().map(|secret| secret.text.clone()).unwrap_or_default();
        let event = serde_json::from_value(event::rest_request(&text, "GET", "part-0/package", INSIDE))?;
        function.handle(event, clock::now()).await?;
        Arc::clone(&function).settle().await;
    }
    Ok(())
}

/// One instance, until all is asked.
async fn ask(run: Arc<Run>, function: Arc<authorize::Function>, mut random: fastrand::Rng) -> Result<(), Error> {
    loop {
        let number = run.taken.fetch_add(1, Ordering::SeqCst);
        if number >= run.requests {
            return Ok(());
        }
        if number.is_multiple_of(run.part()) {
            locked(&run.memory).push(resident()?);
        }
        let (asked, text) = run.choose(&mut random)?;
        let event = event::rest_request(&text, asked.method, &asked.path(), asked.address);
        let event = serde_json::to_vec(&event)?;

        let begun = run.moment();
        let start = Instant::now();
        let event: Event = serde_json::from_slice(&event)?;
        let answer = match function.handle(event, clock::now()).await {
            Ok(answer) => Ok(serde_json::to_vec(&answer)?),
            Err(refusal) => Err(refusal.to_string()),
        };
        let took = start.elapsed();
        let ended = run.moment();
        Arc::clone(&function).settle().await;

        run.note(number, took);
        run.check(&asked, begun, ended, answer)?;
    }
}

/// Rotates and revokes as requests go by, until all is asked: how often each.
async fn change(
    run: Arc<Run>,
    rotate: Function,
    revoke: Function,
    mut random: fastrand::Rng,
) -> Result<(usize, usize), Error> {
    let (mut rotations, mut revocations) = (0, 0);
    loop {
        let taken = run.taken.load(Ordering::SeqCst);
        if taken >= run.requests {
            return Ok((rotations, revocations));
        }
        let token = run.token(random.usize(..run.tokens.len()))?;
        if locked(token).revoked.is_some() {
            continue;
        }
        if rotations < taken / ROTATION_EVERY {
            let overlap = if random.bool() { OVERLAP } else { 0 };
            rotated(&run, token, &rotate, overlap).await?;
            rotations += 1;
        } else if revocations < taken / REVOCATION_EVERY {
            revoked(&run, token, &revoke).await?;
            revocations += 1;
        } else {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

async fn rotated(run: &Run, token: &Mutex<Known>, rotate: &Function, overlap: u32) -> Result<(), Error> {
    let change = Change { begun: run.moment(), done: None };
    let (event, ended) = {
        let mut known = locked(token);
        // With an overlap the secret that it has goes on; the one before ends in any case.
        let kept = known.secrets.len() - usize::from(overlap > 0);
        let ending = |(at, secret): (usize, &mut Secret)| {
            let ends = at < kept && secret.ended.is_none();
            if ends {
                secret.ended = Some(change);
            }
            ends.then_some(at)
        };
        let ended: Vec<usize> = known.secrets.iter_mut().enumerate().filter_map(ending).collect();
        (management(&known, &json!({"overlap_seconds": overlap})), ended)
    };
    let answer = answered(rotate, &event, 200).await?;
    let text = answer.get("token").and_then(Value::as_str).ok_or("a rotation without a token")?.to_owned();
    let done = Some(run.moment());
    let mut known = locked(token);
    for at in ended {
        if let Some(secret) = known.secrets.get_mut(at) {
            secret.ended = Some(Change { done, ..change });
        }
    }
    known.secrets.push(Secret { text, ended: None });
    Ok(())
}

async fn revoked(run: &Run, token: &Mutex<Known>, revoke: &Function) -> Result<(), Error> {
    let change = Change { begun: run.moment(), done: None };
    let event = {
        let mut known = locked(token);
        known.revoked = Some(change);
        management(&known, &Value::Null)
    };
    answered(revoke, &event, 204).await?;
    locked(token).revoked = Some(Change { done: Some(run.moment()), ..change });
    Ok(())
}

/// The answer's body, if it has the status that it should have.
async fn answered(function: &Function, event: &Value, status: u16) -> Result<Value, Error> {
    let answer = function.invoke(event, clock::now()).await.map_err(|failure| failure.to_string())?;
    if answer.get("statusCode") != Some(&json!(status)) {
        return Err(format!("not {status}: {answer}").into());
    }
    let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    Ok(serde_json::from_str(body).unwrap_or_default())
}

/// A token's owner's request to the management API.
fn management(known: &Known, body: &Value) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/tokens", "rawQueryString": "", "headers": {},
        "pathParameters": {"id": known.id},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.example", "domainPrefix": "api",
            "requestId": "1", "routeKey": "$default", "stage": "$default", "time": "", "timeEpoch": 0,
            "authorizer": {"jwt": {"claims": {"iss": ISSUER, "sub": subject(known.owner)}, "scopes": null}},
            "http": {"method": "POST", "path": "/tokens", "protocol": "HTTP/1.1", "sourceIp": INSIDE, "userAgent": ""},
        },
        "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
    })
}

impl Asked {
    fn path(&self) -> String {
        format!("part-{}/package", self.section)
    }
}

impl Known {
    /// What a good secret of it opens.
    fn grants(&self, method: &str, section: usize, address: &str) -> bool {
        section == self.section && (method == "GET" || self.writes) && (!self.bound || address == INSIDE)
    }

    /// What may be answered to a request that was under way from one moment to another.
    fn expected(&self, asked: &Asked, begun: u64, ended: u64) -> Expected {
        if asked.invented {
            return Expected::Nobody;
        }
        let secret = self.secrets.get(asked.secret).and_then(|secret| secret.ended);
        let mut expected = Expected::Passes;
        for change in [secret, self.revoked].into_iter().flatten() {
            if change.done.is_some_and(|done| done < begun) {
                return Expected::Refused;
            }
            if change.begun < ended {
                expected = Expected::RefusedOrPasses;
            }
        }
        if self.grants(asked.method, asked.section, asked.address) { expected } else { Expected::Refused }
    }
}

impl Run {
    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Requests in a part.
    fn part(&self) -> usize {
        self.requests.div_ceil(PARTS).max(1)
    }

    fn note(&self, number: usize, took: Duration) {
        if let Some(place) = self.took.get(number) {
            place.store(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX), Ordering::SeqCst);
        }
        let answered = Some(Instant::now());
        if let Some(end) = locked(&self.ends).get_mut(number / self.part()) {
            *end = answered.max(*end);
        }
    }

    fn token(&self, at: usize) -> Result<&Mutex<Known>, Error> {
        Ok(self.tokens.get(at).ok_or("no such token")?)
    }

    /// A request, and the secret that it comes with.
    fn choose(&self, random: &mut fastrand::Rng) -> Result<(Asked, String), Error> {
        let token = random.usize(..self.tokens.len());
        let known = locked(self.token(token)?);
        let last = known.secrets.len() - 1;
        // The one that it has, mostly; one in five is any that it had.
        let secret = if random.u8(..5) == 0 { random.usize(..=last) } else { last };
        let section = if random.u8(..4) == 0 { random.usize(..SECTIONS) } else { known.section };
        let method = if random.u8(..3) == 0 { "PUT" } else { "GET" };
        let address = if random.u8(..4) == 0 { OUTSIDE } else { INSIDE };
        let invented = random.u8(..50) == 0;
        let text = if invented {
            let id = known.id.parse().map_err(|_| "no id")?;
            Token::renew(&Prefix::default(), id).map_err(|_| "no entropy")?.expose().to_owned()
        } else {
            known.secrets.get(secret).map(|secret| secret.text.clone()).unwrap_or_default()
        };
        Ok((Asked { token, secret, invented, method, section, address }, text))
    }

    /// Holds an answer against what is known: for the request itself and, since a gateway keeps policies, for one that
    /// only reads, from an address where every token is good.
    fn check(&self, asked: &Asked, begun: u64, ended: u64, answer: Result<Vec<u8>, String>) -> Result<(), Error> {
        let known = locked(self.token(asked.token)?);
        let policy = match &answer {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(answer)?;
                Some(Policy::from_json(answer.get("policyDocument").unwrap_or(&Value::Null))?)
            }
            Err(error) if error == "Unauthorized" => None,
            Err(error) => return Err(format!("a fault: {error}").into()),
        };
        let other = Asked { method: "GET", section: known.section, address: INSIDE, ..*asked };
        for asked in [asked, &other] {
            let expected = known.expected(asked, begun, ended);
            let passes = policy.as_ref().map(|policy| {
                let arn = format!("{}/{}/{}", event::STAGE, asked.method, asked.path());
                let from: Option<IpAddr> = asked.address.parse().ok();
                policy.evaluate("execute-api:Invoke", &arn, from) == Verdict::Allow
            });
            let right = match expected {
                Expected::Nobody => passes.is_none(),
                Expected::Refused => passes == Some(false),
                Expected::Passes => passes == Some(true),
                Expected::RefusedOrPasses => passes.is_some(),
            };
            if !right {
                let line = format!("{} {} of {}: {passes:?}", asked.method, asked.path(), known.id);
                locked(&self.wrong).push(line);
            }
            if std::ptr::eq(asked, &other) {
                continue;
            }
            self.passed.fetch_add(usize::from(passes == Some(true)), Ordering::SeqCst);
            self.met_a_change.fetch_add(usize::from(expected == Expected::RefusedOrPasses), Ordering::SeqCst);
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory that this process holds, in bytes.
fn resident() -> Result<u64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(resident.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn tell(run: &Run, begun: Instant, rotations: usize, revocations: usize) -> Result<usize, Error> {
    let mut out = io::stdout();
    let (memory, ends) = (locked(&run.memory), locked(&run.ends));
    writeln!(out, "| requests | a second | p50 | p99 | memory at its end |\n|---|---|---|---|---|")?;
    let mut since = begun;
    for (i, (one, until)) in run.took.chunks(run.part()).zip(ends.iter().flatten()).enumerate() {
        let seconds = until.saturating_duration_since(since).as_secs_f64();
        let took: Vec<_> = one.iter().map(|took| Duration::from_nanos(took.load(Ordering::SeqCst).into())).collect();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "| to {} | {:.0} | {:.2} ms | {:.2} ms | {:.1} MB |",
            i * run.part() + one.len(),
            one.len() as f64 / seconds,
            millis(median(&took)),
            millis(p99(&took)),
            memory.get(i + 1).copied().unwrap_or_default() as f64 / 1e6
        )?;
        since = *until;
    }
    let wrong = locked(&run.wrong);
    writeln!(
        out,
        "\n{} decisions over {} tokens with {rotations} rotations and {revocations} revocations in {:.0} s: {} passed, {} \
         met a change of their token, {} were wrong. Memory was {:.1} MB at first.",
        run.requests,
        run.tokens.len(),
        since.saturating_duration_since(begun).as_secs_f64(),
        run.passed.load(Ordering::SeqCst),
        run.met_a_change.load(Ordering::SeqCst),
        wrong.len(),
        memory.first().copied().unwrap_or_default() as f64 / 1e6,
    )?;
    for line in wrong.iter().take(20) {
        writeln!(out, "wrong: {line}")?;
    }
    Ok(wrong.len())
}
