//! The management API's gateway: an HTTP API with a JWT authorizer and payload 2.0.
//!
//! Throttling is left out: it protects an account, and here is none.

use crate::ACCOUNT_ID;
use crate::cors::Cors;
use crate::function::Function;
use crate::jwt::{Claims, Denied, JwtAuthorizer};
use crate::options::Clock;
use crate::upload::{TooLarge, TooSlow, Upload};
use crate::wire::{self, Body, MAX_BODY, MAX_HEADERS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, USER_AGENT, WWW_AUTHENTICATE,
};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use latchkey::clock::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use time::OffsetDateTime;

/// The id of the API, which AWS would choose.
const API_ID: &str = "management";

/// One route, for accepted sessions unless it is open, and what answers it.
pub struct Route {
    /// Its method; `None` is `ANY`.
    pub method: Option<Method>,
    /// Its path, with `{name}` for a segment and `{name+}` for all the rest.
    pub path: String,
    /// The function behind it.
    pub function: Function,
    /// Whether it takes no session.
    pub open: bool,
}

/// The gateway.
pub struct HttpApi {
    /// What it answers.
    pub routes: Vec<Route>,
    /// Who it lets in.
    pub authorizer: JwtAuthorizer,
    /// Which pages of other origins it lets in.
    pub cors: Cors,
    /// What time it is.
    pub clock: Clock,
    /// Where it listens.
    pub port: u16,
}

/// What a function answers, payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    multi_value_headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl HttpApi {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let request_id = wire::request_id();
        let line = (request.method().clone(), wire::loggable(request.uri().path()).to_string());
        let asked = request.headers().clone();
        let mut response = match self.cors.preflight(request.method(), &asked) {
            Some(preflight) => preflight,
            None => self.pass(request, peer, &request_id).await,
        };
        self.cors.allow(&asked, response.headers_mut());
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("apigw-requestid", id);
        }
        tracing::info!("api {} {} {}", line.0, line.1, response.status().as_u16());
        response
    }

    async fn pass(&self, request: Request<Incoming>, peer: SocketAddr, request_id: &str) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let body = Upload::new(&head.headers, body, MAX_BODY);
        let (route, parameters, claims) = match self.admit(&head).await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        let body = match body.read().await {
            Ok(body) => body,
            Err(error) if error.is::<TooLarge>() => return message(StatusCode::PAYLOAD_TOO_LARGE),
            Err(error) if error.is::<TooSlow>() => return message(StatusCode::REQUEST_TIMEOUT),
            Err(_) => return message(StatusCode::BAD_REQUEST),
        };
        wire::add_forwarded(&mut head.headers, peer, self.port);
        let now = (self.clock)();
        let call = Call { head: &head, body: &body, route, parameters, claims, peer, request_id, now };
        match route.function.invoke(&call.event(), now).await {
            Ok(answer) => response(answer).unwrap_or_else(|| message(StatusCode::INTERNAL_SERVER_ERROR)),
            Err(failure) => {
                tracing::error!("{} failed: {failure}", route.key());
                message(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// The route of a request that may pass, its path parameters and its session; or what the client is told.
    async fn admit(&self, head: &Parts) -> Result<(&Route, Map<String, Value>, Option<Claims>), Response<Body>> {
        if wire::request_line_bytes(head) + wire::header_bytes(&head.headers) > MAX_HEADERS {
            return Err(message(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        if wire::content_length(&head.headers).is_some_and(|length| length > MAX_BODY as u64) {
            return Err(message(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let matching = self.routes.iter().filter_map(|route| Some((route, match_path(route, head)?)));
        let best = matching.min_by_key(|(route, _)| route.breadth());
        let (route, parameters) = best.ok_or_else(|| message(StatusCode::NOT_FOUND))?;
        if route.open {
            return Ok((route, parameters, None));
        }
        // Several lines are one list, and that is no session.
        let lines: Vec<String> = head.headers.get_all(AUTHORIZATION).iter().map(wire::text).collect();
        let authorization = (!lines.is_empty()).then(|| lines.join(","));
        match self.authorizer.authorize(authorization.as_deref(), (self.clock)()).await {
            Ok(claims) => Ok((route, parameters, Some(claims))),
            Err(denied) => Err(unauthorized(&denied)),
        }
    }
}

impl Route {
    /// Its name: `POST /tokens`.
    fn key(&self) -> String {
        format!("{} {}", self.method.as_ref().map_or("ANY", Method::as_str), self.path)
    }

    /// What API Gateway prefers is the smaller: "full match, match with a greedy path variable", and a named method to
    /// `ANY`; of two paths that match in full, here the one with fewer variables.
    fn breadth(&self) -> (bool, usize, bool) {
        (self.path.ends_with("+}"), self.path.matches('{').count(), self.method.is_none())
    }
}

/// The path parameters of a request that a route is for.
fn match_path(route: &Route, head: &Parts) -> Option<Map<String, Value>> {
    if route.method.as_ref().is_some_and(|method| *method != head.method) {
        return None;
    }
    let (mut names, mut segments) = (route.path.split('/'), head.uri.path().split('/'));
    let mut parameters = Map::new();
    loop {
        match (names.next(), segments.next()) {
            (None, None) => return Some(parameters),
            (Some(name), Some(segment)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if name.ends_with('+') => {
                    let rest = segments.fold(segment.to_owned(), |rest, segment| format!("{rest}/{segment}"));
                    let name = name.trim_end_matches('+');
                    parameters.insert(name.into(), Value::String(wire::percent_decoded(&rest).into_owned()));
                    return (!rest.is_empty()).then_some(parameters);
                }
                Some(_) if segment.is_empty() => return None,
                Some(name) => {
                    parameters.insert(name.into(), Value::String(wire::percent_decoded(segment).into_owned()));
                }
                None if name == segment => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

/// One call of a function.
struct Call<'a> {
    head: &'a Parts,
    body: &'a Bytes,
    route: &'a Route,
    parameters: Map<String, Value>,
    claims: Option<Claims>,
    peer: SocketAddr,
    request_id: &'a str,
    now: Timestamp,
}

impl Call<'_> {
    /// The event, payload format 2.0. What there is none of is left out, as API Gateway does.
    fn event(&self) -> Value {
        let headers = &self.head.headers;
        let header = |name: HeaderName| headers.get(name).map(wire::text).unwrap_or_default();
        let domain = header(HOST);
        let mut context = json!({
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": domain,
            "domainPrefix": domain.split(['.', ':']).next(),
            "http": {
                "method": self.head.method.as_str(),
                "path": self.head.uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": self.peer.ip().to_string(),
                "userAgent": header(USER_AGENT),
            },
            "requestId": self.request_id,
            "routeKey": self.route.key(),
            "stage": "$default",
            "time": common_log_time(self.now),
            "timeEpoch": self.now.as_millis(),
        });
        if let (Some(claims), Some(context)) = (&self.claims, context.as_object_mut()) {
            context.insert("authorizer".into(), json!({"jwt": {"claims": claims, "scopes": null}}));
        }
        let is_text = is_text(headers) && std::str::from_utf8(self.body).is_ok();
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.route.key(),
            "rawPath": self.head.uri.path(),
            "rawQueryString": self.head.uri.query().unwrap_or_default(),
            "headers": joined(headers),
            "requestContext": context,
            "isBase64Encoded": !is_text && !self.body.is_empty(),
        });
        let mut add = |name: &str, value: Value| {
            if let Some(event) = event.as_object_mut() {
                event.insert(name.into(), value);
            }
        };
        let cookies: Vec<String> = headers.get_all(COOKIE).iter().map(wire::text).collect();
        let cookies: Vec<&str> = cookies.iter().flat_map(|line| line.split(';')).map(str::trim).collect();
        if !cookies.is_empty() {
            add("cookies", json!(cookies));
        }
        let query = comma_joined(wire::query_pairs(self.head.uri.query().unwrap_or_default()));
        if !query.is_empty() {
            add("queryStringParameters", json!(query));
        }
        if !self.parameters.is_empty() {
            add("pathParameters", Value::Object(self.parameters.clone()));
        }
        if !self.body.is_empty() {
            let body =
                if is_text { String::from_utf8_lossy(self.body).into_owned() } else { STANDARD.encode(self.body) };
            add("body", Value::String(body));
        }
        event
    }
}

/// Headers with repeated ones joined by commas, cookies apart.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let lines = headers.iter().filter(|(name, _)| *name != COOKIE);
    comma_joined(lines.map(|(name, value)| (name.as_str().to_string(), wire::text(value))))
}

fn comma_joined(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in pairs {
        joined.entry(name).and_modify(|joined| *joined = format!("{joined},{value}")).or_insert(value);
    }
    joined
}

/// Whether API Gateway hands a body of this type over as text.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(content_type) = headers.get(CONTENT_TYPE).map(wire::text) else { return true };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&essence.as_str())
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// `12/Mar/2030:19:03:58 +0000`
fn common_log_time(moment: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(moment.as_secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = moment.month().to_string();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:02}/{month:.3}/{:04}", moment.day(), moment.year());
    let _ = write!(text, ":{:02}:{:02}:{:02} +0000", moment.hour(), moment.minute(), moment.second());
    text
}

/// The gateway's own answer.
fn message(status: StatusCode) -> Response<Body> {
    let text = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        status => status.canonical_reason().unwrap_or_default(),
    };
    wire::json(status, &json!({"message": text}))
}

fn unauthorized(denied: &Denied) -> Response<Body> {
    let challenge = match denied {
        Denied::NoSession => "Bearer".to_string(),
        Denied::Refused(why) => format!("Bearer scope=\"\" error=\"invalid_token\" error_description=\"{why}\""),
        Denied::NoKeys(why) => {
            tracing::error!("the keys of the issuer: {why}");
            "Bearer scope=\"\" error=\"invalid_token\" error_description=\"the keys of the issuer cannot be read\""
                .into()
        }
    };
    let mut response = message(StatusCode::UNAUTHORIZED);
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What the client gets of a function's answer; `None` if that is no HTTP response.
fn response(answer: Value) -> Option<Response<Body>> {
    let answer: FunctionResponse = serde_json::from_value(answer).ok()?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.into_bytes() };
    let mut response = Response::new(wire::full(body));
    *response.status_mut() = StatusCode::from_u16(answer.status_code).ok()?;
    let headers = response.headers_mut();
    let single = answer.headers.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        Value::Bool(flag) => Some((name, flag.to_string())),
        _ => None,
    });
    for (name, value) in single {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    for (name, values) in answer.multi_value_headers {
        let name = HeaderName::try_from(name).ok()?;
        headers.remove(&name);
        for value in values {
            headers.append(&name, HeaderValue::try_from(value).ok()?);
        }
    }
    for cookie in answer.cookies.into_iter().flatten() {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
    }
    // A function without a content type answers with JSON, says the gateway.
    if !headers.contains_key(CONTENT_TYPE) && response.status() != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Some(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::function::{Handler, HttpHandler};
    use http_body_util::BodyExt;
    use std::time::Duration;

    #[test]
    fn times_are_told_as_in_the_common_log_format() {
        assert_eq!(common_log_time(Timestamp::from_secs(1_583_953_438)), "11/Mar/2020:19:03:58 +0000");
    }

    fn route(method: Method, path: &str) -> Route {
        let list = list::Function::new(&Default::default(), crate::dynamodb::client(1).unwrap()).unwrap();
        let function = Function::new(Handler::Http(HttpHandler::List(list)), Duration::from_secs(1));
        Route { method: Some(method), path: path.into(), function, open: false }
    }

    fn head(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn event(head: &Parts, body: &'static [u8]) -> Value {
        let route = route(Method::DELETE, "/tokens/{id}");
        Call {
            head,
            body: &Bytes::from_static(body),
            parameters: match_path(&route, head).unwrap(),
            route: &route,
            claims: Some(Claims::from([("sub".into(), "alice".into())])),
            peer: SocketAddr::from(([127, 0, 0, 1], 9)),
            request_id: "the-id",
            now: Timestamp::from_millis(1_583_953_438_412),
        }
        .event()
    }

    #[test]
    fn the_event_has_the_shape_of_payload_2_0() {
        let request = Request::delete("/tokens/a%2Fb?x=1&x=a%20b").header("host", "api.example:3000");
        let request = request.header("accept", "a").header("accept", "b").header("cookie", "c=1; d=2");
        let request = request.header("user-agent", "curl").header("content-type", "application/json");
        assert_eq!(
            event(&head(request), b"{}"),
            json!({
                "version": "2.0",
                "routeKey": "DELETE /tokens/{id}",
                "rawPath": "/tokens/a%2Fb",
                "rawQueryString": "x=1&x=a%20b",
                "cookies": ["c=1", "d=2"],
                "headers": {
                    "host": "api.example:3000", "accept": "a,b", "user-agent": "curl", "content-type": "application/json",
                },
                "queryStringParameters": {"x": "1,a b"},
                "pathParameters": {"id": "a/b"},
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": "management",
                    "authorizer": {"jwt": {"claims": {"sub": "alice"}, "scopes": null}},
                    "domainName": "api.example:3000",
                    "domainPrefix": "api",
                    "http": {
                        "method": "DELETE", "path": "/tokens/a%2Fb", "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1", "userAgent": "curl",
                    },
                    "requestId": "the-id",
                    "routeKey": "DELETE /tokens/{id}",
                    "stage": "$default",
                    "time": "11/Mar/2020:19:03:58 +0000",
                    "timeEpoch": 1_583_953_438_412_u64,
                },
                "body": "{}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn what_there_is_none_of_is_left_out_of_the_event() {
        let event = event(&head(Request::delete("/tokens/x")), b"");
        for absent in ["body", "cookies", "queryStringParameters"] {
            assert_eq!(event.get(absent), None, "{absent}");
        }
        assert_eq!((&event["rawQueryString"], &event["isBase64Encoded"]), (&json!(""), &json!(false)));
    }

    #[test]
    fn a_body_that_is_no_text_is_in_base64() {
        let of_type = |kind: &str, body| event(&head(Request::delete("/tokens/x").header("content-type", kind)), body);
        for (kind, body, text) in [
            ("application/json; charset=utf-8", &b"{}"[..], Some("{}")),
            ("application/problem+json", b"{}", Some("{}")),
            ("text/plain", b"\xff", None),
            ("application/x-www-form-urlencoded", b"a=1", None),
            ("application/octet-stream", b"a", None),
        ] {
            let event = of_type(kind, body);
            assert_eq!(event["isBase64Encoded"], text.is_none(), "{kind}");
            assert_eq!(event["body"], text.map_or_else(|| STANDARD.encode(body), str::to_string), "{kind}");
        }
    }

    #[test]
    fn a_route_is_matched_segment_by_segment() {
        let matches = |path: &str| match_path(&route(Method::GET, "/tokens/{id}"), &head(Request::get(path))).is_some();
        assert!(matches("/tokens/x") && matches("/tokens/%2F"));
        for other in ["/tokens", "/tokens/", "/tokens/x/", "/tokens/x/y", "//tokens/x", "/Tokens/x", "/"] {
            assert!(!matches(other), "{other}");
        }
        assert!(match_path(&route(Method::GET, "/tokens"), &head(Request::head("/tokens"))).is_none());
    }

    #[test]
    fn a_named_path_goes_before_a_variable_and_that_before_all_the_rest() {
        let order = ["/tokens/current", "/tokens/{id}", "/{proxy+}"].map(|path| route(Method::GET, path).breadth());
        assert!(order.is_sorted(), "{order:?}");
        let rest = route(Method::GET, "/verify/{proxy+}");
        let of = |path: &str| match_path(&rest, &head(Request::get(path)));
        assert_eq!(of("/verify/npm/@acme%2fx/").unwrap()["proxy"], "npm/@acme/x/");
        assert!(of("/verify/").is_none() && of("/verify").is_none());
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_left_out() {
        let mut headers = HeaderMap::new();
        headers.append("accept", HeaderValue::from_static("a"));
        headers.append("accept", HeaderValue::from_static("b, c"));
        headers.append("cookie", HeaderValue::from_static("x=1"));
        assert_eq!(joined(&headers), BTreeMap::from([("accept".to_string(), "a,b, c".to_string())]));
    }

    #[tokio::test]
    async fn the_parts_of_a_function_response_are_honoured() {
        let answer = json!({
            "statusCode": 201, "headers": {"location": "/tokens/1"}, "multiValueHeaders": {"vary": ["a", "b"]},
            "cookies": ["a=1", "b=2"], "body": STANDARD.encode([0xff, 0x00]), "isBase64Encoded": true,
        });
        let response = response(answer).unwrap();
        let all = |name: &str| response.headers().get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(response.status(), 201);
        assert_eq!(all("location"), ["/tokens/1"]);
        assert_eq!(all("vary"), ["a", "b"]);
        assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().as_ref(), [0xff, 0x00]);
    }

    #[test]
    fn an_answer_that_is_no_response_is_none() {
        assert!(response(json!({"isAuthorized": true})).is_none());
        assert!(response(json!({"statusCode": 200, "headers": {"a b": "c"}})).is_none());
        assert!(response(json!({"statusCode": 200, "body": "?", "isBase64Encoded": true})).is_none());
    }
}
