//! `POST /tokens/{id}/rotate`: a new secret under the same id, name and scopes. The old one goes on for an overlap.

use lambda_http::Request;
use lambda_http::http::StatusCode;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::fields::Fields;
use latchkey::http::{self, HttpResponse};
use latchkey::lifetime::Lifetime;
use latchkey::problem::Problem;
use latchkey::record::{self, Times};
use latchkey::shown::Shown;
use latchkey::store::{Rotation, Store};
use latchkey::token::{Prefix, Token};
use latchkey::usage::Instructions;

/// The longest overlap: 7 days, in seconds.
const MOST_OVERLAP: u32 = 604_800;

/// The function: its settings and its store. DynamoDB actions: `GetItem`, `UpdateItem`.
pub struct Function {
    store: Store,
    prefix: Prefix,
    lifetime: Lifetime,
    retention_days: u32,
    admin_group: Option<String>,
    usage: Instructions,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let prefix = read.token_prefix();
        let lifetime = read.lifetime();
        let retention_days = read.retention_days();
        let admin_group = read.admin_group();
        let usage = read.instructions();
        read.finish(Self { store: Store::new(client, table), prefix, lifetime, retention_days, admin_group, usage })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.rotate(&request, now)).await
    }

    async fn rotate(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let id = http::token_id(request)?;
        let mut fields = Fields::of_any(request.body(), &["overlap_seconds", "expires_at"])?;
        let overlap = fields.seconds("overlap_seconds", MOST_OVERLAP);
        // Without a word of it the token lives as long again as it was made for; how long that is, its record tells.
        let told = fields.expires_at(now, &self.lifetime, None).map(|end| fields.has("expires_at").then_some(end));
        let (overlap, told) = fields.finish(overlap.zip(told))?;

        let mut record = http::own_record(&self.store, &caller, id, &self.lifetime, now).await?;
        let expires_at = told.unwrap_or_else(|| self.as_long_again(&record.times, now));
        let token = Token::renew(&self.prefix, id).map_err(http::no_entropy)?;
        let overlap_ends_at = Timestamp::from_secs(now.as_secs() + i64::from(overlap));
        // A rotation never prolongs the life of the old secret: it ends with its last valid second.
        let old_ends_at = record.times.end(&self.lifetime).map(|end| Timestamp::from_secs(end.as_secs() + 1));
        let rotation = Rotation {
            at: now,
            hash: token.hash(),
            overlap_ends_at: old_ends_at.map_or(overlap_ends_at, |end| overlap_ends_at.min(end)),
            expires_at,
            purge_at: expires_at.map(|end| record::purge_at(end, self.retention_days)),
        };
        if !self.store.rotate(&record, &rotation).await.map_err(http::unavailable)? {
            return Err(Problem::conflict());
        }
        tracing::info!(token_id = %id, "rotated");
        record.times = Times { rotated_at: Some(now), expires_at, ..record.times };
        record.retired.overlap_ends_at = Some(rotation.overlap_ends_at);
        let usage = self.usage.of(&token, &record.scopes);
        Ok(http::json(StatusCode::OK, &Shown::new(&token, &record, usage)))
    }

    /// From now on for as long as the secret before was made for, within the deployment's bounds of today.
    fn as_long_again(&self, times: &Times, now: Timestamp) -> Option<Timestamp> {
        let end = times.end(&self.lifetime)?;
        let life = end.as_secs() - times.issued_at().as_secs();
        Some(Timestamp::from_secs(now.as_secs() + life).min(self.lifetime.latest(now)))
    }
}
