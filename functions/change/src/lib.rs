//! `PATCH /tokens/{id}`: renames a token, narrows its scopes, brings its end forward. It never widens and never prolongs.

use lambda_http::Request;
use lambda_http::http::StatusCode;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::fields::Fields;
use latchkey::http::{self, HttpResponse};
use latchkey::lifetime::Lifetime;
use latchkey::problem::{FieldError, Problem};
use latchkey::record::{self, Record, Summary};
use latchkey::scope::Scopes;
use latchkey::store::{Change, Store};

/// The function: its settings and its store. DynamoDB actions: `GetItem`, `UpdateItem`.
pub struct Function {
    store: Store,
    lifetime: Lifetime,
    retention_days: u32,
    admin_group: Option<String>,
}

/// What is wished for; every field is valid, none that is absent changes.
struct Wish {
    name: Option<String>,
    scopes: Option<Scopes>,
    expires_at: Option<Option<Timestamp>>,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let lifetime = read.lifetime();
        let retention_days = read.retention_days();
        let admin_group = read.admin_group();
        read.finish(Self { store: Store::new(client, table), lifetime, retention_days, admin_group })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.change(&request, now)).await
    }

    async fn change(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let id = http::token_id(request)?;
        let wish = self.wish(request, now)?;
        let mut record = http::own_record(&self.store, &caller, id, &self.lifetime, now).await?;
        self.check(&wish, &record)?;
        let expires_at = wish.expires_at.unwrap_or(record.times.expires_at);
        let change = Change {
            name: wish.name.unwrap_or_else(|| record.name.clone()),
            scopes: wish.scopes.unwrap_or_else(|| record.scopes.clone()),
            expires_at,
            purge_at: expires_at.map(|end| record::purge_at(end, self.retention_days)),
        };
        if !self.store.change(&record, &change).await.map_err(http::unavailable)? {
            return Err(Problem::conflict());
        }
        tracing::info!(token_id = %id, "changed");
        (record.name, record.scopes, record.times.expires_at) = (change.name, change.scopes, change.expires_at);
        Ok(http::json(StatusCode::OK, &Summary::of(&record, now, &self.lifetime)))
    }

    fn wish(&self, request: &Request, now: Timestamp) -> Result<Wish, Problem> {
        let mut fields = Fields::of(request.body(), &["name", "scopes", "expires_at"])?;
        // Each field's own `None` is a mistake that `fields` has noted.
        let name = fields.has("name").then(|| fields.name());
        let scopes = fields.has("scopes").then(|| fields.scopes());
        let expires_at = fields.has("expires_at").then(|| fields.expires_at(now, &self.lifetime, None));
        if name.is_none() && scopes.is_none() && expires_at.is_none() {
            fields.refuse(FieldError::new("body", None, "at least one of name, scopes, expires_at"));
        }
        fields.finish(Some(Wish { name: name.flatten(), scopes: scopes.flatten(), expires_at: expires_at.flatten() }))
    }

    /// Whether the wish gives the token nothing that it has not.
    fn check(&self, wish: &Wish, record: &Record) -> Result<(), Problem> {
        let mut errors = vec![];
        for scope in wish.scopes.iter().flat_map(Scopes::iter).filter(|scope| !record.scopes.cover(scope)) {
            let allowed = format!("what the token grants: {}", record.scopes);
            errors.push(FieldError::new("scopes", Some(&scope.to_string()), allowed));
        }
        let end = record.times.end(&self.lifetime);
        let words = |end: Option<Timestamp>| end.map_or_else(|| "never".into(), |end| end.to_string());
        if let (Some(wished), Some(end)) = (wish.expires_at, end)
            && wished.is_none_or(|wished| wished > end)
        {
            errors.push(FieldError::new("expires_at", Some(&words(wished)), format!("at most {end}, the token's end")));
        }
        if errors.is_empty() { Ok(()) } else { Err(Problem::widens(errors)) }
    }
}
