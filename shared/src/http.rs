//! The management API's side of HTTP: the caller or the token out of a request, JSON and problems into responses.

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::credential::{self, Credentials, KEY_HEADERS, Presented};
use crate::id::TokenId;
use crate::last_use;
use crate::lifetime::Lifetime;
use crate::owner::is_service;
use crate::problem::Problem;
use crate::record::{Record, Status};
use crate::store::{Store, StoreError};
use crate::token::{NoEntropy, Prefix, Token};
use lambda_http::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

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
    let own = id.owner() == caller.owner.key;
    let may = |record: &Record| {
        (own && record.subject == caller.owner.subject) || (caller.is_administrator && is_service(&record.subject))
    };
    // Another's is answered like none, and without a look at the table.
    let record = match caller.is_administrator || own {
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
    match credential::find(&authorization(request.headers()), &[], prefix) {
        Presented::Token(token) => Ok(token),
        _ => Err(Problem::unauthorized()),
    }
}

/// What `Authorization` holds. The gateway joins repeated headers with commas, and such a value is no token.
pub fn authorization(headers: &HeaderMap) -> Credentials {
    Credentials { authorization: values(headers, header::AUTHORIZATION.as_str()), ..Credentials::default() }
}

/// What all headers hold that may carry a token.
pub fn credentials(headers: &HeaderMap) -> Credentials {
    let keys = KEY_HEADERS.iter().flat_map(|name| values(headers, name)).collect();
    Credentials { keys, ..authorization(headers) }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<Zeroizing<String>> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(|value| value.to_owned().into()).collect()
}

/// The address that the gateway got this request from.
pub fn source_address(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref()?.parse().ok(),
        _ => None,
    }
}

/// What the client calls itself.
pub fn client(headers: &HeaderMap) -> Option<String> {
    last_use::client(headers.get(header::USER_AGENT)?.to_str().ok()?)
}

/// The longest that a request may take. After 5 s Lambda ends the function, and the client reads nothing of it.
const LONGEST: Duration = Duration::from_millis(4600);

/// The answer to a request, within 4.6 s. What is not answered by then may still be done.
pub async fn answer(work: impl Future<Output = Result<HttpResponse, Problem>>) -> HttpResponse {
    let answer = tokio::time::timeout(LONGEST, work).await.unwrap_or_else(|_| {
        tracing::error!("the store took too long");
        Err(Problem::unavailable())
    });
    answer.unwrap_or_else(|problem| self::problem(&problem))
}

/// A fault of the store: its cause goes to the log, and the caller learns that they can try again.
pub fn unavailable(fault: StoreError) -> Problem {
    tracing::error!(%fault, "the store failed");
    Problem::unavailable()
}

/// No token can be made for want of random bytes: that goes to the log, and the caller learns that they can try again.
pub fn no_entropy(_: NoEntropy) -> Problem {
    tracing::error!("the operating system gave no random bytes");
    Problem::unavailable()
}

/// A JSON answer, never to be stored on the way.
pub fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    response(status, "application/json", body)
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
    let mut response = response(status, "application/problem+json", problem);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: a 401 says what would do.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn response(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Our bodies are structs of strings and numbers: they serialise.
    let mut response = Response::new(Body::Text(serde_json::to_string(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
