//! Random lives of tokens, by several people at once, held against the [`crate::model`]: what the functions answer, step by
//! step, and what every authorizer and every policy that it hands out lets pass. `LATCHKEY_SEED` repeats a run,
//! `LATCHKEY_SEQUENCES` (80) makes it longer or shorter.

use crate::faults::{say, seed};
use crate::model::{self, Answer, Bounds, Request};
use aws_sdk_dynamodb::Client;
use latchkey::clock::Timestamp;
use latchkey::id::OwnerKey;
use latchkey::token::{Prefix, Token};
use local::deployment::Table;
use local::dynamodb;
use local::function::{Function, Handler};
use local::policy::{Policy, Verdict};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::watch;

const ISSUER: &str = "https://issuer.example";
const STAGE: &str = "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/$default";

/// As most functions are set.
const BOUNDS: Bounds = Bounds { max_days: 365, may_never_end: true };
/// As one authorizer is set: a deployment that has shortened lives since.
const SHORTER: Bounds = Bounds { max_days: 30, may_never_end: false };
const DEFAULT_DAYS: i64 = 90;
const MOST_ACTIVE: usize = 4;
/// How long one authorizer keeps records.
const CACHE_SECONDS: i64 = 60;

/// Those who act; the last is an administrator.
const PEOPLE: [&str; 3] = ["alice", "bob", "root"];
const ROOT: usize = 2;
/// Whose tokens there are: theirs, and a service's.
const OWNERS: usize = 4;

const SCOPES: [&str; 14] = [
    "read:*",
    "write:*",
    "read:npm/*",
    "write:npm/@acme/*",
    "read:npm/@acme/x",
    "read:npm/@a*",
    "write:npm*",
    "read:pypi/simple/flask/",
    "write:pypi/sim*",
    "read:pypi/*",
    "write:a/@b/@c/d",
    "write:pypi",
    "read:@acme/x/*",
    "write:v2/team/app/*",
];

const BLOCKS: [&str; 6] = ["192.0.2.0/25", "198.51.100.7/32", "0.0.0.0/0", "2001:db8::/33", "203.0.113.128/31", "::/0"];

const ADDRESSES: [&str; 8] = [
    "192.0.2.127",
    "192.0.2.128",
    "198.51.100.7",
    "203.0.113.129",
    "203.0.113.130",
    "2001:db8:7fff::1",
    "2001:db8:8000::1",
    "::ffff:192.0.2.1",
];

const SEGMENTS: [&str; 41] = [
    "npm",
    "npm",
    "npm",
    "pypi",
    "pypi",
    "@acme",
    "@acme",
    "@acme%2fx",
    "@acme%2Fx",
    "@a",
    "x",
    "x",
    "simple",
    "flask",
    "",
    "a",
    "@b",
    "@c%2fd",
    "@b%2f@c",
    "d",
    "v2",
    "team",
    "app",
    "..",
    ".",
    "%2e",
    "-",
    "v1",
    "login",
    "git-upload-pack",
    ".x",
    ".x",
    ".%x",
    ".;x",
    "x%2f..",
    "@acme%2f",
    "%2fx",
    "x%2fx",
    "%5c",
    "%252f",
    "x%2F%2Fx",
];

const PATHS: [&str; 13] = [
    "/",
    "/npm/@acme/x",
    "/npm/@acme%2fx",
    "/npm/x",
    "/npm/-/npm/v1/security/audits/quick",
    "/npm/-/v1/login",
    "/npm/-/v1/login/",
    "/pypi",
    "/pypi/simple/flask/",
    "/pypi/simple/flask",
    "/pypi/simple/../x",
    "/v2/team/app/blobs/x",
    "/a/@b/@c/d",
];

const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE", "PROPFIND"];

/// What somebody does. Tokens are named by a number, modulo those that there are.
#[derive(Clone, Debug)]
enum Step {
    Create {
        who: usize,
        for_service: bool,
        scopes: Vec<String>,
        blocks: Option<Vec<&'static str>>,
        ends: End,
    },
    Rotate {
        who: usize,
        token: usize,
        overlap: Option<i64>,
        ends: End,
    },
    Change {
        who: usize,
        token: usize,
        name: Option<&'static str>,
        scopes: Option<Vec<String>>,
        ends: End,
    },
    Revoke {
        who: usize,
        token: usize,
    },
    RevokeAll {
        who: usize,
        whose: usize,
    },
    Wait {
        millis: i64,
    },
    /// Until so many seconds before or after a token's end, or that of its overlap.
    WaitUntil {
        token: usize,
        overlap: bool,
        seconds: i64,
        millis: i64,
    },
    /// The clock is set back.
    SetBack {
        seconds: i64,
    },
    Use {
        token: usize,
        secret: Secret,
        shape: usize,
        asked: Request,
        others: Vec<Request>,
    },
    Look {
        token: usize,
        secret: Secret,
    },
    Describe {
        who: usize,
        token: usize,
    },
    List {
        who: usize,
        whose: usize,
        status: Option<&'static str>,
        limit: usize,
    },
}

/// What a wish says of the end.
#[derive(Clone, Copy, Debug)]
enum End {
    Absent,
    Never,
    After(i64),
    /// A date so many days ahead.
    Date(i64),
}

#[derive(Clone, Copy, Debug)]
enum Secret {
    /// The last but so many.
    Own(usize),
    /// One that was never anybody's.
    Invented,
    /// That of another token, under this one's id.
    OfAnother(usize),
    /// Of a token that never was.
    Unknown,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Absent),
        1 => Just(End::Never),
        4 => select(vec![-1, 0, 1, 2, 600, 86_400, 40 * 86_400, 366 * 86_400, 400 * 86_400]).prop_map(End::After),
        2 => select(vec![-1, 0, 1, 30, 365, 366]).prop_map(End::Date),
    ]
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    vec(select(&SCOPES[..]).prop_map(str::to_owned), 1..4)
}

fn request() -> impl Strategy<Value = Request> {
    let built = vec(select(&SEGMENTS[..]), 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let path = prop_oneof![select(&PATHS[..]).prop_map(str::to_owned), built];
    (select(&METHODS[..]), path, select(&ADDRESSES[..])).prop_map(|(method, path, from)| Request {
        method,
        path,
        from: from.parse().unwrap(),
    })
}

fn secret() -> impl Strategy<Value = Secret> {
    prop_oneof![
        8 => Just(Secret::Own(0)),
        4 => (1..3usize).prop_map(Secret::Own),
        1 => (3..13usize).prop_map(Secret::Own),
        1 => Just(Secret::Invented),
        1 => any::<usize>().prop_map(Secret::OfAnother),
        1 => Just(Secret::Unknown),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..PEOPLE.len();
    // Mostly one of few, so that a token has a life.
    let token = || 0..4usize;
    let blocks = option::weighted(0.3, vec(select(&BLOCKS[..]), 0..3));
    let overlap = option::weighted(0.7, select(vec![0, 1, 5, 600, 604_800, 604_801]));
    prop_oneof![
        4 => (who(), any::<bool>(), scopes(), blocks, end())
            .prop_map(|(who, for_service, scopes, blocks, ends)| Step::Create { who, for_service: for_service && who == ROOT, scopes, blocks, ends }),
        4 => (who(), token(), overlap, end()).prop_map(|(who, token, overlap, ends)| Step::Rotate { who, token, overlap, ends }),
        2 => (who(), token(), option::of(select(vec!["ci", "laptop"])), option::of(scopes()), end())
            .prop_map(|(who, token, name, scopes, ends)| Step::Change { who, token, name, scopes, ends }),
        1 => (who(), token()).prop_map(|(who, token)| Step::Revoke { who, token }),
        1 => (who(), 0..OWNERS).prop_map(|(who, whose)| Step::RevokeAll { who, whose }),
        3 => select(vec![1, 400, 1000, 4_999, 5_000, 59_999, 60_000, 600_000, 86_400_000, 30 * 86_400_000])
            .prop_map(|millis| Step::Wait { millis }),
        3 => (token(), any::<bool>(), -1..2i64, select(vec![0, 999]))
            .prop_map(|(token, overlap, seconds, millis)| Step::WaitUntil { token, overlap, seconds, millis }),
        1 => select(vec![1, 70, 100_000]).prop_map(|seconds| Step::SetBack { seconds }),
        12 => (token(), secret(), 0..3usize, request(), vec(request(), 6))
            .prop_map(|(token, secret, shape, asked, others)| Step::Use { token, secret, shape, asked, others }),
        1 => (token(), secret()).prop_map(|(token, secret)| Step::Look { token, secret }),
        1 => (who(), token()).prop_map(|(who, token)| Step::Describe { who, token }),
        2 => (who(), 0..OWNERS, option::of(select(vec!["active", "expired", "revoked"])), 1..4usize)
            .prop_map(|(who, whose, status, limit)| Step::List { who, whose, status, limit }),
    ]
}

/// The functions, over one table.
struct World {
    generate: Function,
    list: Function,
    rotate: Function,
    change: Function,
    revoke: Function,
    current: Function,
    authorize: Function,
    shorter: Function,
    caching: Function,
    /// Ends the table.
    _running: watch::Sender<bool>,
}

impl World {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = dynamodb::client(listener.local_addr().unwrap().port()).unwrap();
        let (running, stop) = watch::channel(false);
        dynamodb::serve(listener, dynamodb::open(None).unwrap(), stop);
        let key = ["owner", "id"].map(str::to_string);
        let table = Table {
            name: "latchkey".into(),
            attributes: key.clone().map(|name| (name, "S".into())).into(),
            key: key.into_iter().zip(["HASH".into(), "RANGE".into()]).collect(),
            ttl: None,
            stream: false,
            deletion_protection: false,
        };
        dynamodb::ensure_table(&client, &table).await.unwrap();
        let of = |binary| function(&client, binary, BOUNDS, &[]);
        Self {
            generate: of("generate"),
            list: of("list"),
            rotate: of("rotate"),
            change: of("change"),
            revoke: of("revoke"),
            current: of("current"),
            authorize: of("authorize"),
            shorter: function(&client, "authorize", SHORTER, &[("AUTHORIZER_RESPONSE", "simple")]),
            caching: function(&client, "authorize", BOUNDS, &[("CACHE_SECONDS", &CACHE_SECONDS.to_string())]),
            _running: running,
        }
    }
}

fn function(client: &Client, binary: &str, bounds: Bounds, more: &[(&str, &str)]) -> Function {
    let (max_days, may_never_end) = (bounds.max_days.to_string(), bounds.may_never_end.to_string());
    let (default_days, most_active) = (DEFAULT_DAYS.min(bounds.max_days).to_string(), MOST_ACTIVE.to_string());
    let settings = [
        ("MAX_TOKEN_DAYS", max_days.as_str()),
        ("ALLOW_NO_EXPIRY", &may_never_end),
        ("DEFAULT_TOKEN_DAYS", &default_days),
        ("MAX_ACTIVE_TOKENS", &most_active),
        ("ADMIN_GROUP", "admins"),
    ];
    let settings = settings.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string()));
    Function::new(Handler::of(binary, &settings.collect(), client.clone()).unwrap(), Duration::from_secs(20))
}

/// One sequence: its own people, its own clock, and what the model has of them.
struct Life<'a> {
    world: &'a World,
    name: usize,
    millis: i64,
    /// The latest that the clock has shown. One that is set back and not looked at until it has caught up is not seen to
    /// have been: what was read before stays in a cache for as much longer.
    latest: i64,
    tokens: Vec<model::Token>,
    /// What tokens were until then, in milliseconds.
    before: Vec<(i64, model::Token)>,
}

/// An answer that is not the model's.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, the model says {expected:?}")) }
}

fn written(secs: i64) -> Value {
    json!(Timestamp::from_secs(secs).to_string())
}

impl Life<'_> {
    fn now(&self) -> i64 {
        self.millis / 1000
    }

    fn owner(&self, whose: usize) -> String {
        let name = self.name;
        PEOPLE.get(whose).map_or_else(|| format!("service:ci-{name}"), |person| format!("{person}-{name}"))
    }

    /// Whether somebody may see and end what is this owner's.
    fn is_over(&self, who: usize, owner: &str) -> bool {
        who == ROOT || self.owner(who) == owner
    }

    /// Whether they may rotate and change it.
    fn may_change(&self, who: usize, owner: &str) -> bool {
        self.owner(who) == owner || (who == ROOT && owner.starts_with("service:"))
    }

    /// A wish's end as it is written, and as it is meant; `None` if it is refused.
    fn end(&self, end: End, absent: Option<i64>) -> (Option<Value>, Option<Option<i64>>) {
        let now = self.now();
        let fits = |end: i64| (end > now && end <= BOUNDS.latest(now)).then_some(Some(end));
        match end {
            End::Absent => (None, Some(absent)),
            End::Never => (Some(Value::Null), Some(None)),
            End::After(seconds) => (Some(written(now + seconds)), fits(now + seconds)),
            End::Date(days) => {
                let last = (now / 86_400 + days) * 86_400 + 86_399;
                (Some(json!(written(last).as_str().unwrap()[..10])), fits(last))
            }
        }
    }

    async fn call(
        &self,
        function: &Function,
        who: usize,
        id: Option<&str>,
        query: &[(&str, String)],
        body: Value,
    ) -> Result<(u16, Value), String> {
        let groups = if who == ROOT { "[staff admins]" } else { "[staff]" };
        let claims = json!({"iss": ISSUER, "sub": self.owner(who), "groups": groups});
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let authorizer = json!({"jwt": {"claims": claims, "scopes": null}});
        self.call_with(function, authorizer, json!({}), id, &query.join("&"), body).await
    }

    async fn call_with(
        &self,
        function: &Function,
        authorizer: Value,
        headers: Value,
        id: Option<&str>,
        query: &str,
        body: Value,
    ) -> Result<(u16, Value), String> {
        let parameters: serde_json::Map<_, _> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/tokens", "rawQueryString": query,
            "headers": headers, "queryStringParameters": parameters,
            "pathParameters": id.map(|id| json!({"id": id})).unwrap_or_else(|| json!({})),
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "api.example", "domainPrefix": "api",
                "requestId": "1", "routeKey": "$default", "stage": "$default", "time": "", "timeEpoch": 0,
                "authorizer": authorizer,
                "http": {"method": "GET", "path": "/tokens", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": ""},
            },
            "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
        });
        let answer = function.invoke(&event, Timestamp::from_millis(self.millis)).await;
        let answer = answer.map_err(|failure| failure.to_string())?;
        let body = answer["body"].as_str().unwrap_or_default();
        Ok((answer["statusCode"].as_u64().unwrap() as u16, serde_json::from_str(body).unwrap_or_default()))
    }

    /// A token as lists have it, but for its last use.
    fn summary(&self, token: &model::Token) -> Value {
        json!({
            "id": token.id, "name": token.name, "subject": token.owner, "scopes": token.scopes,
            "status": token.status(self.now(), BOUNDS), "source_addresses": token.blocks,
            "created_at": written(token.made), "rotated_at": token.rotated.map(written),
            "expires_at": token.end(BOUNDS).map(written),
            "revoked_at": token.revoked.map(|(at, _)| written(at)), "revoked_by": token.revoked.map(|(_, by)| by),
            "leak_url": null,
        })
    }

    fn changed(&mut self, index: usize, change: impl FnOnce(&mut model::Token)) {
        self.before.push((self.latest, self.tokens[index].clone()));
        change(&mut self.tokens[index]);
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        // No two things happen in one millisecond, so that lists have one order.
        self.millis += 1;
        self.latest = self.latest.max(self.millis);
        let index = |token: usize| (!self.tokens.is_empty()).then(|| token % self.tokens.len());
        match step {
            Step::Create { who, for_service, scopes, blocks, ends } => {
                self.create(*who, *for_service, scopes, blocks.as_deref(), *ends).await
            }
            Step::Wait { millis } => {
                self.millis += millis;
                Ok(())
            }
            Step::SetBack { seconds } => {
                self.millis -= seconds * 1000;
                Ok(())
            }
            Step::RevokeAll { who, whose } => self.revoke_all(*who, *whose).await,
            Step::List { who, whose, status, limit } => self.list(*who, *whose, *status, *limit).await,
            Step::Rotate { who, token, overlap, ends } => match index(*token) {
                Some(token) => self.rotate(*who, token, *overlap, *ends).await,
                None => Ok(()),
            },
            Step::Change { who, token, name, scopes, ends } => match index(*token) {
                Some(token) => self.change(*who, token, *name, scopes.as_deref(), *ends).await,
                None => Ok(()),
            },
            Step::Revoke { who, token } => match index(*token) {
                Some(token) => self.revoke(*who, token).await,
                None => Ok(()),
            },
            Step::WaitUntil { token, overlap, seconds, millis } => {
                let Some(token) = index(*token).map(|index| &self.tokens[index]) else { return Ok(()) };
                let moment = if *overlap { token.overlap_ends } else { token.end(BOUNDS) };
                let moment = moment.map_or(0, |moment| (moment + seconds) * 1000 + millis);
                self.millis = self.millis.max(moment);
                Ok(())
            }
            Step::Use { token, secret, shape, asked, others } => match index(*token) {
                Some(token) => self.use_it(token, *secret, *shape, asked, others).await,
                None => Ok(()),
            },
            Step::Look { token, secret } => match index(*token) {
                Some(token) => self.look(token, *secret).await,
                None => Ok(()),
            },
            Step::Describe { who, token } => match index(*token) {
                Some(token) => self.describe(*who, token).await,
                None => Ok(()),
            },
        }
    }

    async fn create(
        &mut self,
        who: usize,
        for_service: bool,
        scopes: &[String],
        blocks: Option<&[&'static str]>,
        ends: End,
    ) -> Result<(), String> {
        let now = self.now();
        let owner = if for_service { self.owner(ROOT + 1) } else { self.owner(who) };
        let (told, meant) = self.end(ends, Some(now + DEFAULT_DAYS * 86_400));
        let mut wish = json!({"name": "ci", "scopes": scopes});
        for (field, value) in [
            ("service", for_service.then(|| json!(owner.trim_start_matches("service:")))),
            ("source_addresses", blocks.map(|blocks| json!(blocks))),
            ("expires_at", told),
        ] {
            if let Some(value) = value {
                wish[field] = value;
            }
        }
        let active = self.tokens.iter().filter(|token| token.owner == owner && token.status(now, BOUNDS) == "active");
        let expected = match meant {
            None => 400,
            Some(_) if active.count() >= MOST_ACTIVE => 409,
            Some(_) => 201,
        };
        let (status, answer) = self.call(&self.world.generate, who, None, &[], wish).await?;
        same("creation", status, expected)?;
        let Some(ends) = meant.filter(|_| status == 201) else { return Ok(()) };
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let token = model::Token {
            id: text("id"),
            owner,
            name: "ci".into(),
            scopes: once(scopes),
            blocks: once(blocks.unwrap_or_default()).into_iter().map(str::to_owned).collect(),
            made: now,
            rotated: None,
            ends,
            revoked: None,
            secrets: vec![text("token")],
            overlap_ends: None,
        };
        same("the end", &answer["expires_at"], &json!(ends.map(written)))?;
        same("the scopes", &answer["scopes"], &json!(token.scopes))?;
        self.tokens.push(token);
        Ok(())
    }

    async fn rotate(&mut self, who: usize, index: usize, overlap: Option<i64>, ends: End) -> Result<(), String> {
        let (now, token) = (self.now(), self.tokens[index].clone());
        let end = token.end(BOUNDS);
        let again = end.map(|end| BOUNDS.latest(now).min(now + end - token.issued()));
        let (told, meant) = self.end(ends, again);
        let mut wish = json!({});
        if let Some(told) = told {
            wish["expires_at"] = told;
        }
        if let Some(overlap) = overlap {
            wish["overlap_seconds"] = json!(overlap);
        }
        let expected = match meant {
            None => 400,
            _ if overlap.is_some_and(|overlap| overlap > 604_800) => 400,
            _ if !self.may_change(who, &token.owner) => 404,
            _ if token.status(now, BOUNDS) != "active" => 409,
            _ => 200,
        };
        let (status, answer) = self.call(&self.world.rotate, who, Some(&token.id), &[], wish).await?;
        same("rotation", status, expected)?;
        let Some(ends) = meant.filter(|_| status == 200) else { return Ok(()) };
        let overlap_ends = now + overlap.unwrap_or(0);
        let overlap_ends = end.map_or(overlap_ends, |end| overlap_ends.min(end + 1));
        same("the new end", &answer["expires_at"], &json!(ends.map(written)))?;
        same("the overlap's end", &answer["overlap_ends_at"], &written(overlap_ends))?;
        let secret = answer["token"].as_str().unwrap_or_default().to_owned();
        self.changed(index, |token| {
            token.secrets.push(secret);
            token.rotated = Some(now);
            token.ends = ends;
            // Without an overlap there is none, wherever the clock stands later.
            token.overlap_ends = Some(overlap_ends).filter(|end| *end > now);
        });
        Ok(())
    }

    async fn change(
        &mut self,
        who: usize,
        index: usize,
        name: Option<&str>,
        scopes: Option<&[String]>,
        ends: End,
    ) -> Result<(), String> {
        let (now, token) = (self.now(), self.tokens[index].clone());
        let (told, meant) = self.end(ends, token.ends);
        let mut wish = serde_json::Map::new();
        for (field, value) in [
            ("name", name.map(|name| json!(name))),
            ("scopes", scopes.map(|scopes| json!(scopes))),
            ("expires_at", told.clone()),
        ] {
            wish.extend(value.map(|value| (field.to_string(), value)));
        }
        let end = token.end(BOUNDS);
        let prolongs = told.is_some()
            && match (meant.flatten(), end) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(wished), Some(end)) => wished > end,
            };
        let widens = scopes.is_some_and(|scopes| scopes.iter().any(|scope| !model::include(&token.scopes, scope)));
        let expected = match meant {
            None => 400,
            _ if wish.is_empty() => 400,
            _ if !self.may_change(who, &token.owner) => 404,
            _ if token.status(now, BOUNDS) != "active" || prolongs || widens => 409,
            _ => 200,
        };
        let (status, answer) = self.call(&self.world.change, who, Some(&token.id), &[], wish.into()).await?;
        same("change", status, expected)?;
        let Some(ends) = meant.filter(|_| status == 200) else { return Ok(()) };
        self.changed(index, |token| {
            token.ends = ends;
            token.name = name.map_or_else(|| token.name.clone(), str::to_owned);
            token.scopes = scopes.map_or_else(|| token.scopes.clone(), once);
        });
        same("the changed token", without_use(answer), self.summary(&self.tokens[index]))
    }

    async fn revoke(&mut self, who: usize, index: usize) -> Result<(), String> {
        let (now, token) = (self.now(), self.tokens[index].clone());
        let may = self.is_over(who, &token.owner);
        let (status, _) = self.call(&self.world.revoke, who, Some(&token.id), &[], Value::Null).await?;
        same("revocation", status, if may { 204 } else { 404 })?;
        if may && token.revoked.is_none() {
            let by = if self.owner(who) == token.owner { "owner" } else { "administrator" };
            self.changed(index, |token| token.revoked = Some((now, by)));
        }
        Ok(())
    }

    async fn revoke_all(&mut self, who: usize, whose: usize) -> Result<(), String> {
        let (now, owner) = (self.now(), self.owner(whose));
        let (status, answer) =
            self.call(&self.world.revoke, who, None, &[("subject", owner.clone())], Value::Null).await?;
        if !self.is_over(who, &owner) {
            return same("revocation of all", status, 403);
        }
        let by = if who == whose { "owner" } else { "administrator" };
        let mut revoked = 0;
        for index in 0..self.tokens.len() {
            let token = &self.tokens[index];
            if token.owner == owner && token.status(now, BOUNDS) == "active" {
                self.changed(index, |token| token.revoked = Some((now, by)));
                revoked += 1;
            }
        }
        same("revocation of all", (status, answer), (200, json!({"revoked": revoked, "complete": true})))
    }

    async fn describe(&self, who: usize, index: usize) -> Result<(), String> {
        let token = &self.tokens[index];
        let (status, answer) = self.call(&self.world.list, who, Some(&token.id), &[], Value::Null).await?;
        if !self.is_over(who, &token.owner) {
            return same("a look at another's token", status, 404);
        }
        same("a look at a token", (status, without_use(answer)), (200, self.summary(token)))
    }

    async fn list(&self, who: usize, whose: usize, wanted: Option<&str>, limit: usize) -> Result<(), String> {
        let owner = self.owner(whose);
        let mut listed = vec![];
        let mut cursor = None;
        loop {
            let mut query = vec![("subject", owner.clone()), ("limit", limit.to_string())];
            query.extend(wanted.map(|status| ("status", status.to_owned())));
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let (status, answer) = self.call(&self.world.list, who, None, &query, Value::Null).await?;
            if !self.is_over(who, &owner) {
                return same("another's list", status, 403);
            }
            same("a list", status, 200)?;
            let page = answer["tokens"].as_array().cloned().unwrap_or_default();
            if page.len() > limit {
                return Err(format!("a page of {} for {limit}", page.len()));
            }
            listed.extend(page.into_iter().map(without_use));
            cursor = answer["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        let mut own: Vec<_> = self.tokens.iter().filter(|token| token.owner == owner).collect();
        // Ids begin with their millisecond.
        own.sort_by(|one, other| other.id.cmp(&one.id));
        own.retain(|token| wanted.is_none_or(|wanted| token.status(self.now(), BOUNDS) == wanted));
        let own: Vec<_> = own.into_iter().map(|token| self.summary(token)).collect();
        same("a list", listed, own)
    }

    /// A secret as it is sent.
    fn secret(&self, index: usize, secret: Secret) -> String {
        let token = &self.tokens[index];
        match secret {
            Secret::Own(age) => token.secrets[token.secrets.len() - 1 - age % token.secrets.len()].clone(),
            Secret::Invented => {
                Token::renew(&Prefix::default(), token.id.parse().unwrap()).unwrap().expose().to_owned()
            }
            Secret::OfAnother(other) => {
                let other = self.tokens[other % self.tokens.len()].secrets.last().unwrap();
                let text = format!("lk_{}{}", token.id, &other[46..90]);
                format!("{text}{}", checksum(&text))
            }
            Secret::Unknown => {
                let nobody = OwnerKey::of(ISSUER, "nobody");
                let now = Timestamp::from_millis(self.millis);
                Token::mint(&Prefix::default(), nobody, now).unwrap().expose().to_owned()
            }
        }
    }

    async fn look(&self, index: usize, secret: Secret) -> Result<(), String> {
        let (token, sent) = (&self.tokens[index], self.secret(index, secret));
        let headers = json!({"authorization": format!("Bearer {sent}")});
        let (status, answer) = self.call_with(&self.world.current, Value::Null, headers, None, "", Value::Null).await?;
        match token.refusal(&sent, self.now(), BOUNDS) {
            None => same("a token's look at itself", (status, without_use(answer)), (200, self.summary(token))),
            Some(Answer::Nobody) => same("nobody's look", status, 401),
            Some(_) => same("the look of what has ended", status, 403),
        }
    }

    async fn use_it(
        &self,
        index: usize,
        secret: Secret,
        shape: usize,
        asked: &Request,
        others: &[Request],
    ) -> Result<(), String> {
        let (now, token, sent) = (self.now(), &self.tokens[index], self.secret(index, secret));
        let moment = Timestamp::from_millis(self.millis);
        let event = rest_event(shape, &sent, asked);

        // A policy is right for every request and every address.
        let answer = self.world.authorize.invoke(&event, moment).await.map_err(|failure| failure.to_string());
        self.world.authorize.settled().await;
        let expected = token.answer(&sent, asked, now, BOUNDS);
        let tells_address = shape != TOKEN;
        same("what the authorizer says", said(&answer)?, shown(expected, tells_address))?;
        if let Ok(answer) = &answer {
            for request in [asked].into_iter().chain(others) {
                let expected = token.answer(&sent, request, now, BOUNDS);
                same(&format!("by the policy {request:?}"), passes(answer, request)?, expected == Answer::Granted)?;
            }
        }

        // Yes or no, under bounds that are shorter by now.
        let answer = self.world.shorter.invoke(&http_event(&sent, asked), moment).await;
        let answer = answer.map_err(|failure| failure.to_string());
        let expected = token.answer(&sent, asked, now, SHORTER);
        same("what the other authorizer says", said(&answer)?, shown(expected, true))?;
        if let Ok(answer) = &answer {
            same("yes or no", &answer["isAuthorized"], &json!(expected == Answer::Granted))?;
        }

        // From a cache: right for what the token is, or was less than its time ago.
        let answer = self.world.caching.invoke(&event, moment).await.map_err(|failure| failure.to_string());
        let was =
            self.before.iter().filter(|(until, was)| was.id == token.id && *until > self.millis - CACHE_SECONDS * 1000);
        let mut wrong = vec![];
        for state in [token].into_iter().chain(was.map(|(_, was)| was)) {
            let mut fits = same("says", said(&answer)?, shown(state.answer(&sent, asked, now, BOUNDS), tells_address));
            if let Ok(answer) = &answer {
                for request in [asked].into_iter().chain(others) {
                    let expected = state.answer(&sent, request, now, BOUNDS) == Answer::Granted;
                    fits = fits.and(same(&format!("{request:?}"), passes(answer, request)?, expected));
                }
            }
            match fits {
                Ok(()) => return Ok(()),
                Err(why) => wrong.push(why),
            }
        }
        Err(format!("the caching authorizer fits nothing that the token was of late: {wrong:?}"))
    }
}

/// What is named twice is kept once.
fn once<T: Clone + PartialEq>(all: &[T]) -> Vec<T> {
    let mut kept: Vec<T> = vec![];
    for one in all {
        if !kept.contains(one) {
            kept.push(one.clone());
        }
    }
    kept
}

/// The last use is told up to ten minutes late, and has tests of its own.
fn without_use(mut token: Value) -> Value {
    token.as_object_mut().and_then(|token| token.remove("last_used"));
    token
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest as usize % 62];
        rest /= 62;
    }
    String::from_utf8(digits.to_vec()).unwrap()
}

/// The shape that tells no address.
const TOKEN: usize = 2;

fn rest_event(shape: usize, secret: &str, asked: &Request) -> Value {
    let arn = format!("{STAGE}/{}{}", asked.method, asked.path);
    let authorization = format!("Bearer {secret}");
    let (headers, context) = (
        json!({"Authorization": authorization, "User-Agent": "npm/11"}),
        json!({"identity": {"sourceIp": asked.from.to_string()}}),
    );
    match shape {
        TOKEN => json!({"type": "TOKEN", "methodArn": arn, "authorizationToken": authorization}),
        1 => {
            json!({"version": "1.0", "type": "REQUEST", "methodArn": arn, "headers": headers, "requestContext": context})
        }
        _ => json!({"type": "REQUEST", "methodArn": arn, "headers": headers, "requestContext": context}),
    }
}

fn http_event(secret: &str, asked: &Request) -> Value {
    json!({
        "version": "2.0", "type": "REQUEST", "routeArn": format!("{STAGE}/{}{}", asked.method, asked.path),
        "headers": {"authorization": secret},
        "requestContext": {"http": {"method": asked.method, "path": asked.path, "sourceIp": asked.from.to_string()}},
    })
}

/// Whether a gateway that keeps this policy lets a request pass.
fn passes(answer: &Value, request: &Request) -> Result<bool, String> {
    let policy = Policy::from_json(&answer["policyDocument"]).map_err(|error| error.to_string())?;
    let arn = format!("{STAGE}/{}{}", request.method, request.path);
    // A gateway's addresses are plain.
    let from: IpAddr = request.from.to_canonical();
    Ok(policy.evaluate("execute-api:Invoke", &arn, Some(from)) == Verdict::Allow)
}

/// What an answer says of the token, by its words.
fn said(answer: &Result<Value, String>) -> Result<&'static str, String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error == "Unauthorized" => return Ok("nobody"),
        Err(error) => return Err(format!("a fault: {error}")),
    };
    let message = answer["context"]["message"].as_str().unwrap_or_default();
    let words = [
        (" was revoked on ", "revoked"),
        (" expired on ", "expired"),
        (" was rotated on ", "rotated"),
        (" may not be used from ", "foreign"),
    ];
    Ok(words.iter().find(|(words, _)| message.contains(words)).map_or("good", |(_, said)| said))
}

fn shown(answer: Answer, tells_address: bool) -> &'static str {
    match answer {
        Answer::Nobody => "nobody",
        Answer::Revoked => "revoked",
        Answer::Expired => "expired",
        Answer::Rotated => "rotated",
        Answer::Foreign if tells_address => "foreign",
        Answer::Foreign | Answer::TooNarrow | Answer::Granted => "good",
    }
}

#[test]
fn every_answer_and_every_decision_is_the_models_whatever_happened_before() {
    let seed = seed();
    let sequences = std::env::var("LATCHKEY_SEQUENCES").map_or(80, |text| text.parse().unwrap());
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let config = Config { cases: sequences, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    let lives = std::cell::Cell::new(0);
    let steps = std::cell::Cell::new(0);
    let result = runner.run(&vec(step(), 1..160), |sequence| {
        lives.set(lives.get() + 1);
        let mut life = Life {
            world: &world,
            name: lives.get(),
            millis: 1_798_761_600_000,
            latest: 0,
            tokens: vec![],
            before: vec![],
        };
        for (at, step) in sequence.iter().enumerate() {
            steps.set(steps.get() + 1);
            let judged = runtime.block_on(life.step(step));
            judged.map_err(|why| TestCaseError::fail(format!("step {at}, {step:?}: {why}")))?;
        }
        Ok(())
    });
    say(&format!("{} sequences, {} steps", lives.get(), steps.get()));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, sequence)) => {
            panic!("LATCHKEY_SEED={seed}: {why}\nthe shortest sequence found: {sequence:?}")
        }
        Err(TestError::Abort(why)) => panic!("LATCHKEY_SEED={seed}: {why}"),
    }
}
