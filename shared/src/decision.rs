//! May a request to the registry pass? The one decision that every gateway gets, whatever it asks by.
//!
//! It fails closed: what is not granted is refused, a request without a known token is nobody's, and a fault of the table
//! is an error and no decision.

use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::config::Reader;
use crate::credential::{self, Credentials, Presented};
use crate::judge::{Judge, Mismatch, Verdict};
use crate::last_use::LastUse;
use crate::lifetime::Lifetime;
use crate::record::{Record, Status};
use crate::scope::{Action, ReadByPost, opens_session};
use crate::store::{Store, StoreError};
use crate::token::{Prefix, Token};
use crate::uses::Uses;
use crate::{message, mount, path};
use aws_sdk_dynamodb::Client;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is asked of the registry. No `Debug`: its query may hold a token, where none should be.
pub struct Asked {
    /// The method in capitals.
    pub method: String,
    /// The path from its leading slash to before the query, as it was sent.
    pub path: String,
    /// The query's parameters, decoded.
    pub query: Vec<(String, String)>,
    /// Where the request comes from.
    pub source: Source,
    /// What the client calls itself ([`crate::last_use::client`]).
    pub client: Option<String>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This address, as the gateway saw it.
    Address(IpAddr),
    /// Nobody can tell, or not in a way that holds for every request that the answer will be used for.
    Unknown,
    /// The gateway judges it by the answer's policy.
    LeftToGateway,
}

impl Source {
    /// The address, if it is known.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Unknown | Self::LeftToGateway => None,
        }
    }
}

/// Why a request may pass or not: a closed set, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The token grants it.
    Granted,
    /// The token is good and grants something else.
    NotGranted,
    /// The token is good, from other addresses.
    ForeignAddress,
    /// The token's time is over.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The token was rotated, and the secret is an earlier one.
    RetiredSecret,
    /// A token stands in the query string.
    InQuery,
    /// No token of this deployment is sent.
    NoToken,
    /// Two different tokens are sent.
    SeveralTokens,
    /// Nobody has the token's id.
    UnknownToken,
    /// The token's id has another secret.
    WrongSecret,
}

impl Reason {
    /// The word for it in logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotGranted => "not_granted",
            Self::ForeignAddress => "foreign_address",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::RetiredSecret => "retired_secret",
            Self::InQuery => "in_query",
            Self::NoToken => "no_token",
            Self::SeveralTokens => "several_tokens",
            Self::UnknownToken => "unknown_token",
            Self::WrongSecret => "wrong_secret",
        }
    }
}

/// What was found out about a request.
#[derive(Debug)]
pub enum Decision {
    /// The token is good, and grants this request: it may pass. Nothing else lets anything pass.
    Allow(Arc<Record>),
    /// The token is good, and not for this request.
    Deny(Arc<Record>, Denial),
    /// A token that was good once.
    Ended(Arc<Record>, Denial),
    /// A token where none may be, whosever it is.
    InQuery(Denial),
    /// Nobody we know.
    Unauthorized(Reason),
}

/// Why a request is refused.
#[derive(Debug)]
pub struct Denial {
    /// For logs and metrics.
    pub reason: Reason,
    /// For whoever sent it: one line of ASCII without quotes or backslashes.
    pub message: String,
    /// Whether it is for what no policy can say: it names a blob of another repository that the token may not read, or
    /// spells the path of a sign-in in a way of its own.
    pub of_this_request: bool,
}

impl Denial {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message, of_this_request: false }
    }

    fn of_this_request(message: String) -> Self {
        Self { reason: Reason::NotGranted, message, of_this_request: true }
    }
}

/// Who decides: the settings, the table, and the uses that are still to be noted. DynamoDB actions: `GetItem`, and
/// `UpdateItem` of the attributes that tell of the last use.
pub struct Decider {
    judge: Judge,
    prefix: Prefix,
    read_by_post: ReadByPost,
    console_url: Option<String>,
    uses: Uses,
}

impl Decider {
    /// With the settings that every function has that decides: `TABLE_NAME`, `CACHE_SECONDS`, `TOKEN_PREFIX`,
    /// `MAX_TOKEN_DAYS`, `ALLOW_NO_EXPIRY`, `READ_BY_POST`, `CONSOLE_URL`, `NOTE_LAST_USE`.
    pub fn read(read: &mut Reader<'_>, client: Client) -> Self {
        let table = read.table_name();
        let cache = Cache::new(read.cache_seconds());
        let prefix = read.token_prefix();
        let lifetime = read.lifetime();
        Self {
            judge: Judge::new(Store::new(client, table), cache, lifetime),
            prefix,
            read_by_post: read.read_by_post(),
            console_url: read.console_url(),
            uses: Uses::new(read.note_last_use()),
        }
    }

    /// Connects to the table, while Lambda gives a whole CPU: later, at the share of 128 MB, it takes 14 times as long.
    pub async fn connect(&self) {
        if let Err(error) = self.judge.connect().await {
            tracing::warn!(reason = %error, "not connected yet");
        }
    }

    /// Decides about one request, and writes the line about it into the log.
    pub async fn decide(
        &self,
        asked: &Asked,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let presented = credential::find(credentials, &asked.query, &self.prefix);
        let looked = self.look(presented, asked.source, asked.client.as_deref(), now, |record| {
            self.foreign(record, asked.source).or_else(|| self.not_granted(record, asked))
        });
        looked.await.logged()
    }

    /// Whether a token is good for anything at all there, and the line about it in the log.
    pub async fn introspect(&self, token: &str, source: Source, now: Timestamp) -> Result<Decision, StoreError> {
        let presented = credential::alone(token, &self.prefix);
        self.look(presented, source, None, now, |record| self.foreign(record, source)).await.logged()
    }

    /// Whether whoever asks about a token has a good one. A line about it is written only if not, since there is one a
    /// request.
    pub async fn admit(
        &self,
        credentials: &Credentials,
        source: Source,
        client: Option<&str>,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let presented = credential::find(credentials, &[], &self.prefix);
        let looked = self.look(presented, source, client, now, |record| self.foreign(record, source)).await;
        if matches!(looked.decision, Ok(Decision::Allow(_))) { looked.decision } else { looked.logged() }
    }

    /// Notes the uses that were decided about, once the answer is out. It cannot fail anybody.
    pub async fn settle(&self) {
        self.uses.settle(self.judge.store()).await;
    }

    /// The second from which on a token that is good now is none any more; `None`: never.
    pub fn ends_before(&self, record: &Record, token: &str) -> Option<Timestamp> {
        let current = token.trim().parse().is_ok_and(|token: Token| token.hash().matches(&record.hash));
        record.ends_before(current, self.judge.lifetime())
    }

    /// Where people mend their tokens.
    pub fn console_url(&self) -> Option<&str> {
        self.console_url.as_deref()
    }

    /// The deployment's bounds.
    pub fn lifetime(&self) -> &Lifetime {
        self.judge.lifetime()
    }

    /// The reads that clients send as POST.
    pub fn read_by_post(&self) -> &ReadByPost {
        &self.read_by_post
    }

    /// What a client reads if a gateway refuses a later request by a grant that it has kept.
    pub fn whole_grant(&self, record: &Record) -> String {
        message::whole_grant(record, self.console_url.as_deref())
    }

    /// What a client without a known token reads.
    pub fn no_token(&self) -> String {
        message::no_token(self.console_url.as_deref())
    }

    /// Looks at what is presented; `denial` says why a good token is none for this.
    async fn look(
        &self,
        presented: Presented,
        source: Source,
        client: Option<&str>,
        now: Timestamp,
        denial: impl Fn(&Record) -> Option<Denial>,
    ) -> Looked {
        let (mut cache_hit, mut asked_for) = (None, None);
        let decision = match presented {
            Presented::Token(token) => match self.judge.judge(&token, now).await {
                Ok(judged) => {
                    asked_for = judged.asked_for;
                    cache_hit = Some(asked_for.is_none());
                    let last_use = LastUse { at: now, address: source.address(), client: client.map(str::to_owned) };
                    Ok(self.weigh(judged.verdict, last_use, denial))
                }
                Err(fault) => Err(fault),
            },
            Presented::Nothing => Ok(Decision::Unauthorized(Reason::NoToken)),
            Presented::Several => Ok(Decision::Unauthorized(Reason::SeveralTokens)),
            Presented::InQuery => {
                let message = message::in_query(self.console_url.as_deref());
                Ok(Decision::InQuery(Denial::new(Reason::InQuery, message)))
            }
        };
        Looked { decision, cache_hit, asked_for }
    }

    fn weigh(&self, verdict: Verdict, last_use: LastUse, denial: impl Fn(&Record) -> Option<Denial>) -> Decision {
        let console = self.console_url.as_deref();
        match verdict {
            Verdict::Unknown(Mismatch::Id) => Decision::Unauthorized(Reason::UnknownToken),
            Verdict::Unknown(Mismatch::Secret) => Decision::Unauthorized(Reason::WrongSecret),
            Verdict::Retired(record) => {
                self.uses.retired(&record, last_use.at);
                let message = message::rotated(&record, record.times.issued_at(), console);
                Decision::Ended(record, Denial::new(Reason::RetiredSecret, message))
            }
            Verdict::Known(record, Status::Revoked(at)) => {
                let message = message::revoked(&record, at, console);
                Decision::Ended(record, Denial::new(Reason::Revoked, message))
            }
            Verdict::Known(record, Status::Expired(at)) => {
                let message = message::expired(&record, at, console);
                Decision::Ended(record, Denial::new(Reason::Expired, message))
            }
            Verdict::Known(record, Status::Active) => {
                self.uses.good(&record, last_use);
                match denial(&record) {
                    None => Decision::Allow(record),
                    Some(denial) => Decision::Deny(record, denial),
                }
            }
        }
    }

    /// Why an active token is not for requests from there; `None` if it is.
    fn foreign(&self, record: &Record, source: Source) -> Option<Denial> {
        let addresses = &record.source_addresses;
        let admitted = match source {
            Source::Address(address) => addresses.admit(address),
            Source::Unknown => addresses.is_anywhere(),
            Source::LeftToGateway => true,
        };
        let message = || message::foreign_address(record, source.address(), self.console_url.as_deref());
        (!admitted).then(|| Denial::new(Reason::ForeignAddress, message()))
    }

    /// Why an active token does not grant this request; `None` if it does.
    fn not_granted(&self, record: &Record, asked: &Asked) -> Option<Denial> {
        let console = self.console_url.as_deref();
        let (method, path) = (&asked.method, &asked.path);
        if record.scopes.allow(method, path, &self.read_by_post) {
            // As an upstream reads it that decodes it first: no spelling hides a sign-in or a mount.
            let path = &path::decoded(path);
            if opens_session(method, path) {
                return Some(Denial::of_this_request(message::opens_session(record, console)));
            }
            let unreadable = |path: &String| !record.scopes.allow("GET", path, &self.read_by_post);
            let blob = mount::sources(method, path, &asked.query).find(unreadable)?;
            let message = message::too_narrow(record, Action::Read, &blob, console);
            return Some(Denial::of_this_request(message));
        }
        let message = match self.read_by_post.needs(method, path) {
            None if opens_session(method, path) => message::opens_session(record, console),
            None => message::unknown_method(record, method),
            Some(_) if !path::is_plain(path) => message::not_plain(record, path),
            Some(action) => message::too_narrow(record, action, path, console),
        };
        Some(Denial::new(Reason::NotGranted, message))
    }
}

/// What was found out, and what it took.
struct Looked {
    decision: Result<Decision, StoreError>,
    cache_hit: Option<bool>,
    asked_for: Option<Duration>,
}

impl Looked {
    /// The decision, once the one line about the request is written. What is absent is left out.
    fn logged(self) -> Result<Decision, StoreError> {
        let dynamodb_ms = self.asked_for.map(|asked_for| asked_for.as_secs_f64() * 1000.0);
        let (word, reason, record) = match &self.decision {
            Ok(Decision::Allow(record)) => ("allow", Reason::Granted, Some(record)),
            Ok(Decision::Deny(record, denial) | Decision::Ended(record, denial)) => {
                ("deny", denial.reason, Some(record))
            }
            Ok(Decision::InQuery(denial)) => ("deny", denial.reason, None),
            Ok(Decision::Unauthorized(reason)) => ("unauthorized", *reason, None),
            Err(fault) => {
                tracing::error!(target: "latchkey::decision", decision = "fault", reason = "fault", cause = %fault);
                return self.decision;
            }
        };
        let token_id = record.map(|record| record.id);
        let token_id = token_id.as_ref().map(|id| id.as_str());
        let cache_hit = self.cache_hit;
        tracing::info!(
            target: "latchkey::decision",
            decision = word,
            reason = reason.word(),
            token_id,
            cache_hit,
            dynamodb_ms
        );
        self.decision
    }
}
