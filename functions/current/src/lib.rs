//! `GET /tokens/current`: what the token that is sent is, and may do. It takes no session.

use lambda_http::Request;
use lambda_http::http::StatusCode;
use latchkey::cache::Cache;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::judge::{Judge, Verdict};
use latchkey::problem::Problem;
use latchkey::record::{Status, Summary};
use latchkey::store::Store;
use latchkey::token::Prefix;

/// The function: its settings and its store. DynamoDB action: `GetItem`.
pub struct Function {
    judge: Judge,
    prefix: Prefix,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let prefix = read.token_prefix();
        let lifetime = read.lifetime();
        // What it says holds now.
        let cache = Cache::new(0);
        read.finish(Self { judge: Judge::new(Store::new(client, table), cache, lifetime), prefix })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.describe(&request, now)).await
    }

    async fn describe(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let token = http::token(request, &self.prefix)?;
        match self.judge.judge(&token, now).await.map_err(http::unavailable)?.verdict {
            Verdict::Unknown(why) => {
                tracing::info!(reason = ?why, "refused");
                Err(Problem::unauthorized())
            }
            Verdict::Known(record, Status::Active) => {
                tracing::info!(token_id = %record.id, "described");
                Ok(http::json(StatusCode::OK, &Summary::of(&record, now, self.judge.lifetime())))
            }
            Verdict::Known(record, Status::Expired(at)) => Err(Problem::ended(&record.name, "expired", at)),
            Verdict::Known(record, Status::Revoked(at)) => Err(Problem::ended(&record.name, "was revoked", at)),
            Verdict::Retired(record) => Err(Problem::ended(&record.name, "was rotated", record.times.issued_at())),
        }
    }
}
