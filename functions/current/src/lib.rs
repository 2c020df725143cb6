//! `GET /tokens/current`: what the token that is sent is, and may do. It takes no session.

use lambda_http::Request;
use lambda_http::http::header::AUTHORIZATION;
use lambda_http::http::{HeaderValue, StatusCode, header};
use latchkey::cache::Cache;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::credential::{self, Credentials, Presented};
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
        self.describe(&request, now).await.unwrap_or_else(|problem| {
            let mut response = http::problem(&problem);
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        })
    }

    async fn describe(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let values = request.headers().get_all(AUTHORIZATION);
        let authorization = values.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        let credentials = Credentials { authorization, ..Credentials::default() };
        // A token in the query string is none: nothing there is looked at.
        let Presented::Token(token) = credential::find(&credentials, &[], &self.prefix) else {
            return Err(Problem::unauthorized());
        };
        match self.judge.judge(&token, now).await.map_err(http::unavailable)? {
            Verdict::Unknown(reason) => {
                tracing::info!(reason, "refused");
                Err(Problem::unauthorized())
            }
            Verdict::Known(record, Status::Active) => {
                tracing::info!(token_id = %record.id, "described");
                Ok(http::json(StatusCode::OK, &Summary::of(&record, now, self.judge.lifetime())))
            }
            Verdict::Known(record, Status::Expired(at)) => Err(Problem::ended(&record.name, "expired", at)),
            Verdict::Known(record, Status::Revoked(at)) => Err(Problem::ended(&record.name, "was revoked", at)),
        }
    }
}
