//! `POST /introspect`: what a token is worth, for servers that hold requests with tokens in their hands (RFC 7662).
//!
//! Whoever asks has a good token themselves. What is no good token of ours is `{"active": false}`, whatever it was: the
//! answer does not say why (RFC 7662, section 2.2).

use form_urlencoded::parse;
use lambda_http::Request;
use lambda_http::http::{HeaderMap, StatusCode, header};
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::decision::{Decider, Decision, Source};
use latchkey::http::{self, HttpResponse};
use latchkey::id::TokenId;
use latchkey::problem::{FieldError, Problem};
use latchkey::record::Record;
use serde::Serialize;
use std::sync::Arc;

/// What a form is sent as.
const FORM: &str = "application/x-www-form-urlencoded";

/// The function: who decides.
pub struct Function {
    decider: Decider,
}

/// A token that is good: members of RFC 7662, section 2.2, and `name`. Times are seconds since 1970.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    scope: String,
    client_id: TokenId,
    username: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    sub: &'a str,
    jti: TokenId,
    name: &'a str,
}

/// Anything else.
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// What is asked: a token, and from where it was sent.
struct Asked {
    token: String,
    source: Source,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let decider = Decider::read(&mut read, client);
        read.finish(Self { decider })
    }

    /// Connects to the table before the first event.
    pub async fn connect(&self) {
        self.decider.connect().await;
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.introspect(&request, now)).await
    }

    /// Notes what the decisions of late leave to be noted. To be called once the answer is out.
    pub async fn settle(self: Arc<Self>) {
        self.decider.settle().await;
    }

    async fn introspect(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        self.admit(request, now).await?;
        let asked = asked(request)?;
        let decision = self.decider.introspect(&asked.token, asked.source, now).await;
        Ok(match decision.map_err(|_| Problem::unavailable())? {
            Decision::Allow(record) => {
                let end = self.decider.ends_before(&record, &asked.token);
                http::json(StatusCode::OK, &active(&record, end))
            }
            _ => http::json(StatusCode::OK, &Inactive { active: false }),
        })
    }

    /// RFC 7662, section 2.1: the endpoint takes some authorization, lest tokens be tried out here.
    async fn admit(&self, request: &Request, now: Timestamp) -> Result<(), Problem> {
        let headers = request.headers();
        let source = http::source_address(request).map_or(Source::Unknown, Source::Address);
        let (credentials, client) = (http::authorization(headers), http::client(headers));
        match self.decider.admit(&credentials, source, client.as_deref(), now).await {
            Ok(Decision::Allow(_)) => Ok(()),
            Ok(Decision::Deny(_, denial) | Decision::Ended(_, denial) | Decision::InQuery(denial)) => {
                Err(Problem::unauthorized_since(denial.message))
            }
            Ok(Decision::Unauthorized(_)) => Err(Problem::unauthorized()),
            Err(_) => Err(Problem::unavailable()),
        }
    }
}

/// What the form says. What is wrong is named and never repeated: it may be a token in the wrong place.
fn asked(request: &Request) -> Result<Asked, Problem> {
    if !is_form(request.headers()) {
        return Err(Problem::invalid(vec![FieldError::new("Content-Type", None, FORM)]));
    }
    let mut errors = vec![];
    let fields: Vec<_> = parse(request.body().as_ref()).collect();
    let mut values = |field: &str, allowed: &str, needed: bool| {
        let values: Vec<_> = fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_ref()).collect();
        if values.len() > 1 || (needed && values.is_empty()) {
            errors.push(FieldError::new(field, None, allowed));
        }
        values.first().copied()
    };
    let token = values("token", "the token, once", true);
    let address = values("source_address", "an address, at most once", false);
    let source = match address.map(str::parse) {
        None => Source::Unknown,
        Some(Ok(address)) => Source::Address(address),
        Some(Err(_)) => {
            errors.push(FieldError::new("source_address", None, "an IPv4 or IPv6 address"));
            Source::Unknown
        }
    };
    match token {
        Some(token) if errors.is_empty() => Ok(Asked { token: token.into(), source }),
        _ => Err(Problem::invalid(errors)),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
}

fn active(record: &Record, end: Option<Timestamp>) -> Active<'_> {
    Active {
        active: true,
        scope: record.scopes.to_string(),
        client_id: record.id,
        username: &record.subject,
        token_type: "Bearer",
        exp: end.map(|end| end.as_secs()),
        iat: record.times.created_at.as_secs(),
        sub: &record.subject,
        jti: record.id,
        name: &record.name,
    }
}
