//! `DELETE /tokens/{id}`: ends one token, from the next request on; `DELETE /tokens?subject=`: all of somebody's.
//!
//! The caller's own; an administrator's, anybody's.

use lambda_http::http::StatusCode;
use lambda_http::{Request, RequestExt};
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::lifetime::Lifetime;
use latchkey::owner::Owner;
use latchkey::problem::{FieldError, Problem};
use latchkey::record::{self, RevokedBy, Status};
use latchkey::store::{Revocation, Store};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The most tokens that one request ends: at 10 ms each, some 2 s.
const MOST: usize = 200;

/// After this nothing more is begun: what is under way then takes 2.2 s at most, and a function has 5.
const ENOUGH: Duration = Duration::from_millis(2300);

/// The function: its settings and its store. DynamoDB actions: `UpdateItem`, and `Query` for all of somebody's.
pub struct Function {
    store: Store,
    retention_days: u32,
    admin_group: Option<String>,
}

/// What was ended of all that somebody has.
#[derive(Serialize)]
struct Ended {
    revoked: usize,
    /// Whether no active token is left. If not, the same request goes on.
    complete: bool,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let retention_days = read.retention_days();
        let admin_group = read.admin_group();
        read.finish(Self { store: Store::new(client, table), retention_days, admin_group })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        let one = request.path_parameters_ref().is_some_and(|parameters| !parameters.is_empty());
        http::answer(async {
            if one { self.revoke(&request, now).await } else { self.revoke_all(&request, now).await }
        })
        .await
    }

    async fn revoke(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let id = http::token_id(request)?;
        let own = id.owner() == caller.owner.key;
        let (whose, by) = match caller.is_administrator && !own {
            true => (None, RevokedBy::Administrator),
            false => (Some(&caller.owner), RevokedBy::Owner),
        };
        if !self.store.revoke(id, whose, &self.revocation(by, now)).await.map_err(http::unavailable)? {
            return Err(Problem::unknown_token());
        }
        tracing::info!(token_id = %id, by = by.word(), "revoked");
        Ok(http::no_content())
    }

    async fn revoke_all(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let parameters = request.query_string_parameters_ref();
        let subject =
            parameters.and_then(|parameters| parameters.first("subject")).filter(|subject| !subject.is_empty());
        // Never a default: whoever forgets a path's end must not lose all that they have.
        let allowed = "whose tokens end: your own subject, or, for administrators, anybody's";
        let missing = || Problem::invalid(vec![FieldError::new("subject", None, allowed)]);
        let owner = caller.on_behalf_of(subject.ok_or_else(missing)?).ok_or_else(Problem::not_an_administrator)?;
        let by = if owner == caller.owner { RevokedBy::Owner } else { RevokedBy::Administrator };
        let ended = self.end_all(&owner, &self.revocation(by, now), now).await?;
        tracing::info!(revoked = ended.revoked, complete = ended.complete, by = by.word(), "revoked all");
        Ok(http::json(StatusCode::OK, &ended))
    }

    async fn end_all(&self, owner: &Owner, revocation: &Revocation, now: Timestamp) -> Result<Ended, Problem> {
        let begin = Instant::now();
        let mut revoked = 0;
        let mut after = None;
        loop {
            // Also those that only the deployment's present bounds have ended: they would be good again under wider ones.
            let open = |record: &record::Record| record.times.status(now, &Lifetime::WIDEST) == Status::Active;
            let page = self.store.list(owner, after, MOST - revoked, open).await.map_err(http::unavailable)?;
            for record in &page.records {
                if begin.elapsed() > ENOUGH {
                    return Ok(Ended { revoked, complete: false });
                }
                self.store.revoke(record.id, Some(owner), revocation).await.map_err(http::unavailable)?;
                revoked += 1;
            }
            after = page.next;
            if after.is_none() || revoked >= MOST || begin.elapsed() > ENOUGH {
                return Ok(Ended { revoked, complete: after.is_none() });
            }
        }
    }

    fn revocation(&self, by: RevokedBy, now: Timestamp) -> Revocation {
        Revocation { at: now, by, purge_at: record::purge_at(now, self.retention_days), leak_url: None }
    }
}
