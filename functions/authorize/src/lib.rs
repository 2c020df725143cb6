//! The Lambda authorizer: may this request pass?
//!
//! An event becomes a [`event::Request`] and its [`credential::Credentials`]; [`credential`] finds the token, the store its
//! record, and [`Function::handle`] decides. The answer is the token's whole grant as a [`policy`], or a refusal.
//!
//! It fails closed: what is not granted is denied, a request without a known token is `Unauthorized`, and a fault is an
//! error, which the gateway answers with 500 and does not cache.

pub mod answer;
pub mod event;
pub mod message;
pub mod mount;
pub mod policy;

use answer::{Answer, Context};
use event::{Event, Request, Shape};
use lambda_runtime::Diagnostic;
use latchkey::cache::Cache;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::credential::{self, Presented};
use latchkey::judge::{Judge, Verdict};
use latchkey::path;
use latchkey::record::{Record, Status};
use latchkey::scope::{Action, ReadByPost, opens_session};
use latchkey::store::Store;
use latchkey::token::{Prefix, Token};
use policy::{Document, Grants, Policy};
use std::fmt;
use std::sync::Arc;

/// The function: its settings, its store and its cache. DynamoDB action: `GetItem`.
pub struct Function {
    judge: Judge,
    prefix: Prefix,
    simple_response: bool,
    read_by_post: ReadByPost,
    console_url: Option<String>,
    grants: Grants,
}

/// Why there is no answer. `Display` is what the gateway goes by: `Unauthorized`, to the letter, makes it answer 401,
/// and anything else 500.
#[derive(Debug)]
pub enum Refusal {
    /// No credential, or one that matches no token.
    Unauthorized,
    /// The decision could not be made.
    Fault(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::Fault(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Diagnostic {
    fn from(refusal: Refusal) -> Self {
        let error_type = match refusal {
            Refusal::Unauthorized => "Unauthorized",
            Refusal::Fault(_) => "Fault",
        };
        Self { error_type: error_type.into(), error_message: refusal.to_string() }
    }
}

/// What was found out about a request. Only [`Decision::Grant`] lets anything pass.
enum Decision {
    /// The token is good; whether it is for this request is in the grant.
    Grant(Arc<Record>),
    /// A token that was good once.
    Ended(Arc<Record>, String),
    /// A token where none may be.
    InQuery,
    /// Nobody we know, with the reason for the log.
    Unauthorized(&'static str),
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let cache = Cache::new(read.cache_seconds());
        let prefix = read.token_prefix();
        let lifetime = read.lifetime();
        let simple_response = read.simple_response();
        let read_by_post = read.read_by_post();
        let console_url = read.console_url();
        read.finish(Self {
            judge: Judge::new(Store::new(client, table), cache, lifetime),
            prefix,
            simple_response,
            read_by_post,
            console_url,
            grants: Grants::default(),
        })
    }

    /// Connects to the table, while Lambda gives a whole CPU: later, at the share of 128 MB, it takes 14 times as long.
    pub async fn connect(&self) {
        if let Err(error) = self.judge.connect().await {
            tracing::warn!(reason = %error, "not connected yet");
        }
    }

    /// Answers one event of any of the four shapes.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Answer, Refusal> {
        let (request, credentials) = event.read().map_err(|unknown| fault(&unknown))?;
        let decision = match credential::find(&credentials, &request.query, &self.prefix) {
            Presented::Token(token) => self.judge(&token, now).await?,
            Presented::Nothing => Decision::Unauthorized("no token"),
            Presented::Several => Decision::Unauthorized("two different tokens"),
            Presented::InQuery => Decision::InQuery,
        };
        self.answer(&request, decision)
    }

    async fn judge(&self, token: &Token, now: Timestamp) -> Result<Decision, Refusal> {
        let console = self.console_url.as_deref();
        Ok(match self.judge.judge(token, now).await.map_err(|error| fault(&error))? {
            Verdict::Unknown(why) => Decision::Unauthorized(why),
            Verdict::Known(record, Status::Active) => Decision::Grant(record),
            Verdict::Known(record, Status::Revoked(at)) => {
                let message = message::revoked(&record, at, console);
                Decision::Ended(record, message)
            }
            Verdict::Known(record, Status::Expired(at)) => {
                let message = message::expired(&record, at, console);
                Decision::Ended(record, message)
            }
        })
    }

    fn answer(&self, request: &Request, decision: Decision) -> Result<Answer, Refusal> {
        let stage_arn = request.stage_arn.as_str();
        let (allowed, reason, policy, context) = match decision {
            Decision::Unauthorized(reason) => {
                tracing::info!(decision = "unauthorized", reason);
                return Err(Refusal::Unauthorized);
            }
            Decision::InQuery => {
                let context = Context::nobody(message::in_query(self.console_url.as_deref()));
                (false, "token in the query string", Document::of(&Policy::deny(stage_arn)), context)
            }
            Decision::Ended(record, message) => {
                let context = self.context(&record, message);
                (false, "token ended", Document::of(&Policy::deny(stage_arn)), context)
            }
            Decision::Grant(record) => {
                let mount = self.unreadable_mount(&record, request);
                let refused = self.refusal(&record, request, mount.as_deref());
                let allowed = refused.is_none();
                let policy = match &mount {
                    None => self.grants.document(stage_arn, &record.scopes, &self.read_by_post),
                    Some(_) => {
                        let whole = Policy::grant(stage_arn, &record.scopes, &self.read_by_post);
                        Document::of(&whole.except(stage_arn, &request.method, &request.path))
                    }
                };
                // What a client reads if the gateway refuses this request, or, with a cached grant, a later one.
                let message = refused.unwrap_or_else(|| message::whole_grant(&record, self.console_url.as_deref()));
                let context = self.context(&record, message);
                (allowed, if allowed { "granted" } else { "not granted" }, policy, context)
            }
        };
        let principal_id = context.principal();
        tracing::info!(decision = if allowed { "allow" } else { "deny" }, reason, token_id = principal_id);
        Ok(if self.simple_response && request.shape == Shape::Http2 {
            Answer::Simple { is_authorized: allowed, context }
        } else {
            Answer::Policy { principal_id, policy_document: policy.map_err(|error| fault(&error))?, context }
        })
    }

    fn context(&self, record: &Record, message: String) -> Context {
        Context::of(record, record.times.end(self.judge.lifetime()), message)
    }

    /// Why the token's grant does not cover this request, for its sender; `None` if it does.
    fn refusal(&self, record: &Record, request: &Request, mount: Option<&str>) -> Option<String> {
        let (method, path, console) = (&request.method, &request.path, self.console_url.as_deref());
        if record.scopes.allow(method, path, &self.read_by_post) {
            return mount.map(|path| message::too_narrow(record, Action::Read, path, console));
        }
        Some(match self.read_by_post.needs(method, path) {
            None if opens_session(method, path) => message::opens_session(record, console),
            None => message::unknown_method(record, method),
            Some(_) if !path::is_plain(path) => message::not_plain(record, path),
            Some(action) => message::too_narrow(record, action, path, console),
        })
    }

    /// The blob of another repository that a container push asks for and the token may not read.
    fn unreadable_mount(&self, record: &Record, request: &Request) -> Option<String> {
        let unreadable = |path: &String| !record.scopes.allow("GET", path, &self.read_by_post);
        mount::sources(request).find(unreadable)
    }
}

fn fault(cause: &dyn fmt::Display) -> Refusal {
    tracing::error!(decision = "fault", reason = %cause);
    Refusal::Fault(cause.to_string())
}
