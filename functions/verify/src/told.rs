//! What a proxy tells of the request that it asks about, in one of two pairs of headers: `X-Forwarded-Method` and
//! `X-Forwarded-Uri` (Traefik, Caddy), or `X-Original-Method` and `X-Original-URI` (nginx and Envoy by convention).
//!
//! Clients can send such headers too, and some proxies pass them on. So a pair must be whole and all that is there must
//! agree, or nothing is decided. What a proxy sets nothing of and passes on from the client, nobody can tell here: the
//! README has configurations that set a pair and take the other one out.
//!
//! Under `/verify/{proxy+}` a proxy sends the request's own method and path as well (Envoy). They must agree with the
//! headers, and do not suffice: HTTP APIs are reported to decode `rawPath` and to end it at a decoded `?`,
//! which no document of AWS's says; then `/a/b%3f/../c`, which an upstream may read as `/a/c`, would be judged as `/a/b`.

use lambda_http::http::HeaderMap;
use lambda_http::{Request, RequestExt};
use latchkey::decision::{Asked, Source};
use latchkey::http;
use latchkey::problem::FieldError;

/// Where the method stands, by either convention.
const METHODS: [&str; 2] = ["X-Forwarded-Method", "X-Original-Method"];
/// Where the URI stands.
const URIS: [&str; 2] = ["X-Forwarded-Uri", "X-Original-URI"];

/// The request that a proxy asks about, or all that is wrong.
pub fn asked(request: &Request) -> Result<Asked, Vec<FieldError>> {
    let headers = request.headers();
    let mut errors = missing(headers);
    let method = agreed(headers, METHODS, is_method, "one method, and the same wherever it is told", &mut errors);
    let allowed = "one path and query as they were sent, from their / on, and the same wherever they are told";
    let uri = agreed(headers, URIS, is_uri, allowed, &mut errors);
    let (Some(method), Some(uri), true) = (method, uri, errors.is_empty()) else { return Err(errors) };
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut query = pairs(query);
    if let Some(own) = own_path(request) {
        if own != path && own != percent_encoding::percent_decode_str(path).decode_utf8_lossy() {
            errors.push(FieldError::new("path", Some(own), "/verify, then the path that is told in the headers"));
        }
        if request.method() != method {
            errors.push(FieldError::new(
                "method",
                Some(request.method().as_str()),
                "the one that is told in the headers",
            ));
        }
        // What is there twice changes nothing, and what differs is judged as well.
        query.extend(pairs(request.uri().query().unwrap_or_default()));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (method, path) = (method.to_owned(), path.to_owned());
    Ok(Asked { method, path, query, source: source(request), client: http::client(headers) })
}

/// The headers that are missing, unless one pair is whole.
fn missing(headers: &HeaderMap) -> Vec<FieldError> {
    let is_there = |name: &str| headers.contains_key(name);
    if METHODS.iter().zip(URIS).any(|(method, uri)| is_there(method) && is_there(uri)) {
        return vec![];
    }
    let absent = METHODS.into_iter().zip(URIS).flat_map(|(method, uri)| [method, uri]).filter(|name| !is_there(name));
    let allowed = "a method and a URI, in the headers X-Forwarded-… or X-Original-…";
    absent.map(|name| FieldError::new(name, None, allowed)).collect()
}

/// What all of these headers say that are there.
fn agreed<'a>(
    headers: &'a HeaderMap,
    names: [&str; 2],
    is_one: impl Fn(&str) -> bool,
    allowed: &str,
    errors: &mut Vec<FieldError>,
) -> Option<&'a str> {
    let mut agreed = None;
    for name in names {
        for value in headers.get_all(name) {
            let told = value.to_str().ok();
            if told.is_none_or(|told| !is_one(told) || agreed.is_some_and(|agreed| agreed != told)) {
                errors.push(FieldError::new(name, told, allowed));
            } else {
                agreed = told;
            }
        }
    }
    agreed
}

/// Repeated headers arrive joined by commas, which no method holds.
fn is_method(told: &str) -> bool {
    !told.is_empty() && told.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
}

/// Not `http://host/path`, not two URIs joined by a comma, and without a fragment, which ends it for some and not for
/// others.
fn is_uri(told: &str) -> bool {
    told.starts_with('/') && told.bytes().all(|b| b.is_ascii_graphic() && b != b'#') && !told.contains(",/")
}

/// The path of a request under `/verify/{proxy+}`, without the `/verify`.
fn own_path(request: &Request) -> Option<&str> {
    request.raw_http_path().strip_prefix("/verify").filter(|path| path.starts_with('/'))
}

/// Names and values, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The client's address. The gateway has seen the proxy's and put it at the end of `X-Forwarded-For`; before it stands what
/// the proxy told, and before that what anybody may have. Where there is nothing before it, the request is the proxy's own.
fn source(request: &Request) -> Source {
    let Some(seen) = http::source_address(request) else { return Source::Unknown };
    let lines = request.headers().get_all("x-forwarded-for").iter().map(|line| line.to_str());
    // What is no text is nobody's address either.
    let Ok(lines) = lines.collect::<Result<Vec<_>, _>>() else { return Source::Unknown };
    let chain: Vec<_> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    match chain.as_slice() {
        [] | [_] => Source::Address(seen),
        // If the last is another, nothing is where it should be.
        [.., told, last] if last.parse() == Ok(seen) => told.parse().map_or(Source::Unknown, Source::Address),
        _ => Source::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_one_path_and_query() {
        for uri in ["/", "/npm/@acme%2fx?a=b,c", "//a/../b", "/a,b", "/?"] {
            assert!(is_uri(uri), "{uri}");
        }
        for uri in ["", "a", "?a=b", "*", "http://host/a", "/a,/b", "/a?b=c,/d", "/a b", "/é", "/a\n", "/a#b", "/a?b#c"]
        {
            assert!(!is_uri(uri), "{uri}");
        }
        assert!(is_method("GET") && is_method("M-SEARCH"));
        assert!(!is_method("") && !is_method("GET,PUT") && !is_method("GET PUT"));
    }
}
