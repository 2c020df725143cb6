//! `POST /tokens`: makes a token for the caller and shows it, the only time that it is ever shown.

use lambda_http::Request;
use lambda_http::http::StatusCode;
use lambda_http::http::header::{HeaderValue, LOCATION};
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::fields::Fields;
use latchkey::http::{self, HttpResponse};
use latchkey::id::OwnerKey;
use latchkey::lifetime::Lifetime;
use latchkey::owner::{MAX_SERVICE, Owner};
use latchkey::problem::{FieldError, Problem};
use latchkey::record::{self, Record, Retired, Times};
use latchkey::scope::Scopes;
use latchkey::shown::Shown;
use latchkey::source::SourceAddresses;
use latchkey::store::Store;
use latchkey::token::{Prefix, Token};
use latchkey::usage::Instructions;

/// The function: its settings and its store. DynamoDB actions: `Query` (the quota), `PutItem`.
pub struct Function {
    store: Store,
    prefix: Prefix,
    lifetime: Lifetime,
    default_token_days: u32,
    max_active_tokens: u32,
    retention_days: u32,
    admin_group: Option<String>,
    creation_paused: Option<String>,
    usage: Instructions,
}

/// What is wished for; every field is valid.
struct Wish {
    owner: Owner,
    name: String,
    scopes: Scopes,
    source_addresses: SourceAddresses,
    expires_at: Option<Timestamp>,
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
        let admin_group = read.admin_group();
        let creation_paused = read.creation_paused();
        let usage = read.instructions();
        read.finish(Self {
            store: Store::new(client, table),
            prefix,
            lifetime,
            default_token_days,
            max_active_tokens,
            retention_days,
            admin_group,
            creation_paused,
            usage,
        })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.create(&request, now)).await
    }

    async fn create(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let wish = self.wish(request, now)?;
        if let Some(message) = &self.creation_paused {
            return Err(Problem::creation_paused(message));
        }
        self.check_quota(&wish.owner, now).await?;

        let mut token = self.mint(wish.owner.key, now)?;
        let mut record = Record {
            id: token.id(),
            subject: wish.owner.subject,
            hash: token.hash(),
            retired: Retired::default(),
            name: wish.name,
            scopes: wish.scopes,
            source_addresses: wish.source_addresses,
            times: Times { created_at: now, rotated_at: None, expires_at: wish.expires_at, revoked_at: None },
            revoked_by: None,
            leak_url: None,
            last_use: None,
        };
        let purge_at = record.times.expires_at.map(|end| record::purge_at(end, self.retention_days));
        if !self.store.create(&record, purge_at).await.map_err(http::unavailable)? {
            tracing::warn!(token_id = %record.id, "the id is taken");
            token = self.mint(record.id.owner(), now)?;
            (record.id, record.hash) = (token.id(), token.hash());
            // Two of these in a row are no chance of 1 in 2^80 each.
            if !self.store.create(&record, purge_at).await.map_err(http::unavailable)? {
                tracing::error!(token_id = %record.id, "the id is taken again");
                return Err(Problem::unavailable());
            }
        }
        tracing::info!(token_id = %record.id, "created");
        let usage = self.usage.of(&token, &record.scopes);
        let mut response = http::json(StatusCode::CREATED, &Shown::new(&token, &record, usage));
        if let Ok(location) = HeaderValue::from_str(&format!("/tokens/{}", record.id)) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    fn mint(&self, owner: OwnerKey, now: Timestamp) -> Result<Token, Problem> {
        Token::mint(&self.prefix, owner, now).map_err(http::no_entropy)
    }

    /// What is wished for, and for whom: the caller, or, by an administrator, a service that no person owns.
    fn wish(&self, request: &Request, now: Timestamp) -> Result<Wish, Problem> {
        let caller = http::caller(request, self.admin_group.as_deref())?;
        let own = ["name", "scopes", "expires_at", "source_addresses"];
        let of_services = ["name", "scopes", "expires_at", "source_addresses", "service"];
        // Whoever is no administrator has no such field.
        let mut fields = Fields::of(request.body(), if caller.is_administrator { &of_services } else { &own })?;
        let owner = match fields.text("service") {
            None => Some(caller.owner),
            Some(name) => {
                let service = Owner::service(&name);
                if service.is_none() {
                    let allowed = format!("1 to {MAX_SERVICE} of the characters A-Z a-z 0-9 . _ -");
                    fields.refuse(FieldError::new("service", Some(&name), allowed));
                }
                service
            }
        };
        let name = fields.name();
        let scopes = fields.scopes();
        let source_addresses = fields.source_addresses();
        let expires_at = fields.expires_at(now, &self.lifetime, Some(now.plus_days(self.default_token_days)));
        let wish = || {
            Some(Wish {
                owner: owner?,
                name: name?,
                scopes: scopes?,
                source_addresses: source_addresses?,
                expires_at: expires_at?,
            })
        };
        fields.finish(wish())
    }

    async fn check_quota(&self, owner: &Owner, now: Timestamp) -> Result<(), Problem> {
        let most = self.max_active_tokens;
        let active = self.store.count_active(owner, now, &self.lifetime, most).await.map_err(http::unavailable)?;
        if active < most { Ok(()) } else { Err(Problem::too_many_tokens(most)) }
    }
}
