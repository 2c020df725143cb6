//! The management API's side of HTTP: the caller out of a request, JSON and problems into responses.

use crate::caller::Caller;
use crate::problem::Problem;
use crate::store::StoreError;
use lambda_http::http::{Response, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;

/// A response of the management API.
pub type HttpResponse = Response<Body>;

/// Who sent this request, by the claims that the gateway's JWT authorizer verified; never by anything else in it.
pub fn caller(request: &Request) -> Result<Caller, Problem> {
    let context = request.request_context_ref();
    let claims = match context {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref()).map(|jwt| &jwt.claims)
        }
        _ => None,
    };
    let claims = claims.ok_or_else(|| Problem::no_caller("sub"))?;
    Caller::from_claims(claims).map_err(|missing| Problem::no_caller(missing.0))
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
    answer(status, "application/problem+json", problem)
}

fn answer(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Our bodies are structs of strings and numbers: they serialise.
    let mut response = Response::new(Body::Text(serde_json::to_string(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
