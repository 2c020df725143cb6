//! `DELETE /tokens/{id}`: ends one of the caller's tokens, from the next request on.

use lambda_http::{Request, RequestExt};
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::id::TokenId;
use latchkey::problem::Problem;
use latchkey::record;
use latchkey::store::Store;

/// The function: its settings and its store. DynamoDB action: `UpdateItem`.
pub struct Function {
    store: Store,
    retention_days: u32,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let retention_days = read.retention_days();
        read.finish(Self { store: Store::new(client, table), retention_days })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        self.revoke(&request, now).await.unwrap_or_else(|problem| http::problem(&problem))
    }

    async fn revoke(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request)?;
        let parameters = request.path_parameters_ref();
        let id = parameters.and_then(|parameters| parameters.first("id")).and_then(|id| id.parse::<TokenId>().ok());
        // What is no id at all is answered like an unknown one.
        let id = id.ok_or_else(Problem::unknown_token)?;
        let purge_at = record::purge_at(now, self.retention_days);
        if !self.store.revoke(&caller, id, now, purge_at).await.map_err(http::unavailable)? {
            return Err(Problem::unknown_token());
        }
        tracing::info!(token_id = %id, "revoked");
        Ok(http::no_content())
    }
}
