//! The management API's side of HTTP: the caller or the token out of a request, JSON and problems into responses.

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::credential::{self, Credentials, Presented};
use crate::id::TokenId;
use crate::lifetime::Lifetime;
use crate::owner::is_service;
use crate::problem::Problem;
use crate::record::{Record, Status};
use crate::store::{Store, StoreError};
use crate::token::{Prefix, Token};
use lambda_http::http::{HeaderValue, Response, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;

/// A response of the management API.
pub type HttpResponse = Response<Body>;

/// Who sent this request, by the claims that the gateway's JWT authorizer verified; never by anything else in it.
pub fn caller(request: &Request, admin_group: Option<&str>) -> Result<Caller, Problem> {
    let context = request.request_context_ref();
    let claims = match context {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref()).map(|jwt| &jwt.claims)
        }
        _ => None,
    };
    let claims = claims.ok_or_else(|| Problem::no_caller("sub"))?;
    Caller::from_claims(claims, admin_group).map_err(|missing| Problem::no_caller(missing.0))
}

/// The token id in the path. What is no id at all is answered like an unknown one.
pub fn token_id(request: &Request) -> Result<TokenId, Problem> {
    let parameters = request.path_parameters_ref();
    let id = parameters.and_then(|parameters| parameters.first("id")).and_then(|id| id.parse().ok());
    id.ok_or_else(Problem::unknown_token)
}

/// The active record of this token, for whoever may change it: its owner; of a service's token, an administrator.
pub async fn own_record(
    store: &Store,
    caller: &Caller,
    id: TokenId,
    lifetime: &Lifetime,
    now: Timestamp,
) -> Result<Record, Problem> {
    let may = |record: &Record| {
        record.subject == caller.owner.subject || (caller.is_administrator && is_service(&record.subject))
    };
    // Another's is answered like none, and without a look at the table.
    let record = match caller.is_administrator || id.owner() == caller.owner.key {
        true => store.get(id).await.map_err(unavailable)?.filter(may),
        false => None,
    };
    let record = record.ok_or_else(Problem::unknown_token)?;
    match record.times.status(now, lifetime) {
        Status::Active => Ok(record),
        Status::Expired(at) => Err(Problem::over(&record.name, "expired", at)),
        Status::Revoked(at) => Err(Problem::over(&record.name, "was revoked", at)),
    }
}

/// The token that a request without a session carries in `Authorization`. One in the query string is none: nothing there
/// is looked at.
pub fn token(request: &Request, prefix: &Prefix) -> Result<Token, Problem> {
    let values = request.headers().get_all(header::AUTHORIZATION);
    let authorization =
        values.iter().filter_map(|value| value.to_str().ok()).map(|value| value.to_owned().into()).collect();
    match credential::find(&Credentials { authorization, ..Credentials::default() }, &[], prefix) {
        Presented::Token(token) => Ok(token),
        _ => Err(Problem::unauthorized()),
    }
}

/// A fault of the store: its cause goes to the log, and the caller learns that they can try again.
pub fn unavailable(fault: StoreError) -> Problem {
    tracing::error!(%fault, "the store failed");
    Problem::unavailable()
}

/// A JSON answer, never to be stored on the way.
pub fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    answer(status, "application/json", body)
}

/// An answer with nothing in it.
pub fn no_content() -> HttpResponse {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A problem as RFC 9457 sends it.
pub fn problem(problem: &Problem) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, "application/problem+json", problem);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: a 401 says what would do.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn answer(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Our bodies are structs of strings and numbers: they serialise.
    let mut response = Response::new(Body::Text(serde_json::to_string(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
