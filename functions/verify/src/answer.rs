//! The answer, which a proxy passes on: to the registry the headers of a yes, to the client all of a no. A client reads
//! there what `infra/registry.yaml` has API Gateway say.

use lambda_http::Body;
use lambda_http::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use latchkey::context::Context;
use latchkey::http::{self, HttpResponse};
use serde::Serialize;

/// Where npm looks for a word to whoever runs it.
const NPM_NOTICE: &str = "npm-notice";

/// What registry clients print of a refusal: each looks for another member.
#[derive(Serialize)]
struct Refusal<'a> {
    message: &'a str,
    error: &'a str,
    warning: &'a str,
    errors: [OciError<'a>; 1],
}

#[derive(Serialize)]
struct OciError<'a> {
    code: &'static str,
    message: &'a str,
    detail: &'a str,
}

/// The request may pass, and the registry is told this of its token.
pub fn allowed(context: &Context) -> HttpResponse {
    let mut response = Response::new(Body::Empty);
    insert(&mut response, header::CACHE_CONTROL.as_str(), "no-store");
    for (name, value) in context.headers() {
        insert(&mut response, name, value);
    }
    response
}

/// It may not.
pub fn denied(message: &str) -> HttpResponse {
    refused(StatusCode::FORBIDDEN, "DENIED", message)
}

/// It has no known token. One challenge line, Basic first: docker, skopeo, helm, maven and gradle know no other, and take
/// the first.
pub fn unauthorized(message: &str, console: Option<&str>) -> HttpResponse {
    let mut response = refused(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    let cargo = console.map(|url| format!(", Cargo login_url=\"{url}\"")).unwrap_or_default();
    insert(&mut response, header::WWW_AUTHENTICATE.as_str(), &format!("Basic realm=\"registry\"{cargo}"));
    response
}

fn refused(status: StatusCode, code: &'static str, message: &str) -> HttpResponse {
    let errors = [OciError { code, message, detail: message }];
    let mut response = http::json(status, &Refusal { message, error: message, warning: message, errors });
    insert(&mut response, NPM_NOTICE, message);
    insert(&mut response, "docker-distribution-api-version", "registry/2.0");
    response
}

/// Every value of ours can stand in a header.
fn insert(response: &mut HttpResponse, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
