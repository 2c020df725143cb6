//! HTTP messages as both gateways handle them.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde::Serialize;
use std::borrow::Cow;
use std::net::SocketAddr;

/// Any error of a body or a connection.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a response, or of a request to an upstream.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The payload that API Gateway takes: 10 MB.
pub const MAX_BODY: usize = 10 * 1024 * 1024;

/// What API Gateway takes of headers; a HTTP API counts the request line as well.
pub const MAX_HEADERS: usize = 10_240;

/// A whole body.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Our bodies are JSON values and structs of strings and numbers: they serialise.
    let mut response = Response::new(full(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A header's value as text: Latin-1 where it is not UTF-8, so that every value has one.
pub fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Bytes of the headers as they came in, each line with its `: ` and its end.
pub fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Bytes of the request line.
pub fn request_line_bytes(request: &Parts) -> usize {
    let target = request.uri.path_and_query().map_or(1, |target| target.as_str().len());
    request.method.as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len()
}

/// The length of the body, where a header gives it.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Names and values of a query string, decoded.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// A path or a piece of it, percent-decoded; what is no UTF-8 then is replaced.
pub fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// The headers by which a gateway tells of the connection.
pub const FORWARDED: [&str; 3] = ["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"];

/// Adds what the gateway tells of the connection. It appends to a client's own `X-Forwarded-For`, as API Gateway does:
/// only the last address there is to be believed.
pub fn add_forwarded(headers: &mut HeaderMap, peer: SocketAddr, port: u16) {
    let mut chain: Vec<String> = headers.get_all("x-forwarded-for").iter().map(text).collect();
    chain.push(peer.ip().to_string());
    if let Ok(chain) = HeaderValue::from_bytes(chain.join(", ").as_bytes()) {
        headers.insert("x-forwarded-for", chain);
    }
    headers.insert("x-forwarded-port", port.into());
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
}

/// A new request id, in the form of a random UUID.
pub fn request_id() -> String {
    let mut bytes = [0; 16];
    // Should the generator fail, the id is all zeros: it names a request in a log and protects nothing.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let id = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// A path for the log. Some clients put tokens into paths (`/t/TOKEN/…`); such a path is not logged. What is no ASCII is
/// encoded: among it are characters that end a line or command a terminal.
pub fn loggable(path: &str) -> Cow<'_, str> {
    match latchkey::token::is_in(path) {
        true => "(a path with a token in it)".into(),
        false => utf8_percent_encode(path, CONTROLS).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_no_utf_8_is_read_as_latin_1() {
        assert_eq!(text(&HeaderValue::from_bytes(b"caf\xe9").unwrap()), "café");
        assert_eq!(text(&HeaderValue::from_bytes("café".as_bytes()).unwrap()), "café");
    }

    #[test]
    fn request_ids_are_random_uuids() {
        let id = request_id();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.chars().nth(14), Some('4'));
        assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')));
        assert_ne!(id, request_id());
    }

    #[test]
    fn a_path_with_a_token_in_it_is_not_logged() {
        let token = format!("lk_{}_{}", "0".repeat(43), "a".repeat(49));
        assert!(!loggable(&format!("/t/{token}/noarch")).contains(&token));
        assert_eq!(loggable("/npm/@acme%2fx"), "/npm/@acme%2fx");
        assert_eq!(loggable("/x\u{9b}31m"), "/x%C2%9B31m");
    }
}
