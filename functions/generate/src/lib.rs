//! `POST /tokens`: makes a token for the caller and shows it, the only time that it is ever shown.

mod request;

use lambda_http::Request;
use lambda_http::http::StatusCode;
use lambda_http::http::header::{HeaderValue, LOCATION};
use latchkey::caller::Caller;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::id::TokenId;
use latchkey::lifetime::Lifetime;
use latchkey::problem::Problem;
use latchkey::record::{self, Record, Times};
use latchkey::scope::Scopes;
use latchkey::store::Store;
use latchkey::token::{Prefix, Token};
use latchkey::usage::{Clients, RegistryUrl, Usage};
use request::Wish;
use serde::Serialize;

/// The function: its settings and its store. DynamoDB actions: `Query` (the quota), `PutItem`.
pub struct Function {
    store: Store,
    prefix: Prefix,
    lifetime: Lifetime,
    default_token_days: u32,
    max_active_tokens: u32,
    retention_days: u32,
    registry_url: Option<RegistryUrl>,
    registry_clients: Clients,
}

/// The answer: the only one that ever holds a token.
#[derive(Serialize)]
struct Created<'a> {
    id: TokenId,
    token: &'a str,
    name: &'a str,
    scopes: &'a Scopes,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    usage: Vec<Usage>,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let prefix = read.token_prefix();
        let lifetime = read.lifetime();
        let default_token_days = read.default_token_days(&lifetime);
        let max_active_tokens = read.max_active_tokens();
        let retention_days = read.retention_days();
        let registry_url = read.registry_url();
        let registry_clients = read.registry_clients();
        read.finish(Self {
            store: Store::new(client, table),
            prefix,
            lifetime,
            default_token_days,
            max_active_tokens,
            retention_days,
            registry_url,
            registry_clients,
        })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        self.create(&request, now).await.unwrap_or_else(|problem| http::problem(&problem))
    }

    async fn create(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let caller = http::caller(request)?;
        let wish = Wish::read(request.body(), now, &self.lifetime, self.default_token_days)?;
        self.check_quota(&caller, now).await?;

        let token = Token::mint(&self.prefix, caller.owner, now).map_err(|_| {
            tracing::error!("the operating system gave no random bytes");
            Problem::unavailable()
        })?;
        let record = Record {
            id: token.id(),
            subject: caller.subject,
            hash: token.hash(),
            name: wish.name,
            scopes: wish.scopes,
            times: Times { created_at: now, expires_at: wish.expires_at, revoked_at: None },
            last_used_at: None,
        };
        let purge_at = record.times.expires_at.map(|end| record::purge_at(end, self.retention_days));
        self.store.create(&record, purge_at).await.map_err(http::unavailable)?;
        tracing::info!(token_id = %record.id, "created");
        Ok(created(&token, &record, self.usage(&token, &record.scopes)))
    }

    /// How the token is used; nothing where the deployment does not say at which address.
    fn usage(&self, token: &Token, scopes: &Scopes) -> Vec<Usage> {
        let Some(registry) = &self.registry_url else { return vec![] };
        self.registry_clients.usage(registry, token, scopes)
    }

    async fn check_quota(&self, caller: &Caller, now: Timestamp) -> Result<(), Problem> {
        let most = self.max_active_tokens;
        let active = self.store.count_active(caller, now, &self.lifetime, most).await.map_err(http::unavailable)?;
        if active < most { Ok(()) } else { Err(Problem::too_many_tokens(most)) }
    }
}

fn created(token: &Token, record: &Record, usage: Vec<Usage>) -> HttpResponse {
    let mut response = http::json(
        StatusCode::CREATED,
        &Created {
            id: record.id,
            token: token.expose(),
            name: &record.name,
            scopes: &record.scopes,
            created_at: record.times.created_at,
            expires_at: record.times.expires_at,
            usage,
        },
    );
    if let Ok(location) = HeaderValue::from_str(&format!("/tokens/{}", record.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
