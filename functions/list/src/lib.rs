//! `GET /tokens`: somebody's tokens, newest first, in pages; `GET /tokens/{id}`: one of them.
//!
//! Somebody is the caller, or, for an administrator, anybody (`subject`).

use lambda_http::http::StatusCode;
use lambda_http::{Request, RequestExt};
use latchkey::caller::Caller;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::id::TokenId;
use latchkey::lifetime::Lifetime;
use latchkey::owner::Owner;
use latchkey::problem::{FieldError, Problem};
use latchkey::record::{Record, Status, Summary};
use latchkey::store::Store;
use serde::Serialize;

/// The most tokens in a page.
const MOST: usize = 100;
/// The tokens in a page where the caller names no number.
const USUAL: usize = 50;

/// The function: its settings and its store. DynamoDB action: `Query`.
pub struct Function {
    store: Store,
    lifetime: Lifetime,
    admin_group: Option<String>,
}

/// A page. With a `status`, a page may hold fewer tokens than asked for and still have a next one.
#[derive(Serialize)]
struct Page<'a> {
    tokens: Vec<Summary<'a>>,
    next_cursor: Option<TokenId>,
}

/// Which tokens the caller wants to see.
struct Selection {
    owner: Owner,
    status: Option<&'static str>,
    limit: Option<usize>,
    /// A cursor is the id of the last token seen.
    cursor: Option<TokenId>,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let lifetime = read.lifetime();
        let admin_group = read.admin_group();
        read.finish(Self { store: Store::new(client, table), lifetime, admin_group })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        let one = request.path_parameters_ref().is_some_and(|parameters| parameters.first("id").is_some());
        http::answer(async { if one { self.describe(&request, now).await } else { self.list(&request, now).await } })
            .await
    }

    async fn list(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let Selection { owner, status, limit, cursor } = Selection::read(request, caller)?;
        let lifetime = &self.lifetime;
        let page = self
            .store
            .list(&owner, cursor, limit.unwrap_or(USUAL), |record| {
                status.is_none_or(|wanted| record.times.status(now, lifetime).word() == wanted)
            })
            .await
            .map_err(http::unavailable)?;
        tracing::info!(tokens = page.records.len(), "listed");
        let tokens = page.records.iter().map(|record| Summary::of(record, now, lifetime)).collect();
        Ok(http::json(StatusCode::OK, &Page { tokens, next_cursor: page.next }))
    }

    async fn describe(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let id = http::token_id(request)?;
        let theirs = |record: &Record| caller.is_administrator || record.subject == caller.owner.subject;
        // Another's is answered like none, and without a look at the table.
        let record = match caller.is_administrator || id.owner() == caller.owner.key {
            true => self.store.find(id).await.map_err(http::unavailable)?.filter(theirs),
            false => None,
        };
        let record = record.ok_or_else(Problem::unknown_token)?;
        Ok(http::json(StatusCode::OK, &Summary::of(&record, now, &self.lifetime)))
    }
}

impl Selection {
    fn read(request: &Request, caller: Caller) -> Result<Self, Problem> {
        let parameters = request.query_string_parameters_ref();
        let owner = match parameters.and_then(|parameters| parameters.first("subject")) {
            None => caller.owner,
            Some(subject) => caller.on_behalf_of(subject).ok_or_else(Problem::not_an_administrator)?,
        };
        let mut selection = Self { owner, status: None, limit: None, cursor: None };
        let mut errors = vec![];
        for (name, value) in parameters.into_iter().flat_map(|parameters| parameters.iter()) {
            let (taken, allowed) = match name {
                "status" => (take(&mut selection.status, status(value)), "active, expired or revoked"),
                "limit" => (take(&mut selection.limit, limit(value)), "a whole number from 1 to 100"),
                "cursor" => {
                    let cursor = cursor(value, &selection.owner);
                    (take(&mut selection.cursor, cursor), "the next_cursor of a page of the same list")
                }
                "subject" => (true, ""),
                _ => (false, "only status, limit, cursor, subject"),
            };
            if !taken {
                errors.push(FieldError::new(name, Some(value), allowed));
            }
        }
        if errors.is_empty() { Ok(selection) } else { Err(Problem::invalid(errors)) }
    }
}

/// Takes a parameter that was read well; `false` if it was not.
fn take<T>(place: &mut Option<T>, read: Option<T>) -> bool {
    *place = read;
    place.is_some()
}

fn limit(text: &str) -> Option<usize> {
    text.parse().ok().filter(|limit| (1..=MOST).contains(limit))
}

fn cursor(text: &str, owner: &Owner) -> Option<TokenId> {
    text.parse().ok().filter(|cursor: &TokenId| cursor.owner() == owner.key)
}

fn status(text: &str) -> Option<&'static str> {
    Status::WORDS.into_iter().find(|word| *word == text)
}
