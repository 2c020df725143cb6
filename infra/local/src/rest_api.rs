//! The registry's gateway: a REST API with a REQUEST authorizer in front of an HTTP proxy integration.

use crate::authorizer_cache::{AuthorizerCache, Lookup};
use crate::client::Client;
use crate::function::{Failure, Function};
use crate::gateway_response::{GatewayResponses, Kind, Variables};
use crate::options::Clock;
use crate::policy::{Policy, Verdict};
use crate::upload::Upload;
use crate::wire::{self, Body, MAX_BODY, MAX_HEADERS};
use crate::{ACCOUNT_ID, REGION};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The id of the API, which AWS would choose.
const API_ID: &str = "registry";

/// The longest method ARN that API Gateway judges.
const MAX_METHOD_ARN: usize = 1_600;

/// The methods of a REST API.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];

/// RFC 9110, section 7.6.1, and those that older proxies know: about one connection, not for the next.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The gateway.
pub struct RestApi {
    /// The one stage.
    pub stage: String,
    /// Its resources: `/` and `/{proxy+}`, or one of them.
    pub resources: Vec<Resource>,
    /// Who decides about every request.
    pub authorizer: Function,
    /// Its answers of late.
    pub cache: AuthorizerCache<Arc<Answer>>,
    /// What the gateway answers by itself.
    pub responses: GatewayResponses,
    /// Reaches the upstream; without it requests are echoed.
    pub upstream: Option<Client>,
    /// What time it is.
    pub clock: Clock,
    /// Where it listens.
    pub port: u16,
}

/// A resource, open to any method of an authorized request.
#[derive(Debug)]
pub struct Resource {
    /// `/` or `/{proxy+}`.
    pub path: ResourcePath,
    /// The upstream's address; `{proxy}` stands for the path.
    pub uri: String,
    /// The headers that are set or taken away on the way.
    pub headers: Vec<HeaderMapping>,
    /// How long the upstream may take.
    pub timeout: Duration,
}

/// Which paths a resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourcePath {
    /// `/` alone.
    Root,
    /// Everything below it.
    Proxy,
}

impl ResourcePath {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Proxy => "/{proxy+}",
        }
    }
}

/// A header of the integration request. It replaces whatever the client sent under its name.
#[derive(Debug)]
pub struct HeaderMapping {
    /// Its name as the template spells it.
    pub display_name: String,
    /// Its name.
    pub name: HeaderName,
    /// Where its value is from.
    pub source: MappingSource,
}

/// Where the value of an integration request's header is from.
#[derive(Debug)]
pub enum MappingSource {
    /// The template; an empty one takes the header away.
    Static(String),
    /// `context.authorizer.NAME`; without a value the header is taken away.
    Authorizer(String),
}

/// What a request that passes is answered where there is no upstream.
#[derive(Serialize)]
struct Echo<'a> {
    method: &'a str,
    path: &'a str,
    context: BTreeMap<&'a str, &'a str>,
}

/// An authorizer's answer.
pub struct Answer {
    policy: Policy,
    context: BTreeMap<String, String>,
}

impl Answer {
    /// Reads what the function said; `None` is API Gateway's AUTHORIZER_CONFIGURATION_ERROR.
    fn from_json(answer: &Value) -> Option<Self> {
        answer.get("principalId")?.as_str().filter(|principal| !principal.is_empty())?;
        let policy = Policy::from_json(answer.get("policyDocument")?).ok()?;
        let mut context = BTreeMap::new();
        if let Some(given) = answer.get("context").filter(|given| !given.is_null()) {
            for (name, value) in given.as_object()? {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Null => continue,
                    // "You can't set a JSON object or array as a valid value of any key in the context map."
                    Value::Array(_) | Value::Object(_) => return None,
                };
                context.insert(name.clone(), value);
            }
        }
        Some(Self { policy, context })
    }
}

impl RestApi {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let request_id = wire::request_id();
        let (mut head, body) = request.into_parts();
        let body = Upload::new(&head.headers, body, MAX_BODY);
        let line = (head.method.clone(), wire::loggable(head.uri.path()).to_string());
        let mut variables = Variables::from([
            ("requestId".into(), request_id.clone()),
            ("stage".into(), self.stage.clone()),
            ("httpMethod".into(), head.method.to_string()),
            ("path".into(), head.uri.path().into()),
            ("identity.sourceIp".into(), peer.ip().to_string()),
        ]);
        let answered = self.pass(&mut head, body, peer, &request_id, &mut variables).await;
        let mut response = answered.unwrap_or_else(|kind| self.responses.render(kind, &variables));
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        tracing::info!("registry {} {} {}", line.0, line.1, response.status().as_u16());
        response
    }

    async fn pass(
        &self,
        head: &mut Parts,
        body: Upload,
        peer: SocketAddr,
        request_id: &str,
        variables: &mut Variables,
    ) -> Result<Response<Body>, Kind> {
        if wire::header_bytes(&head.headers) > MAX_HEADERS {
            return Err(Kind::HeadersTooLarge);
        }
        if wire::content_length(&head.headers).is_some_and(|length| length > MAX_BODY as u64) {
            return Err(Kind::RequestTooLarge);
        }
        let resource = self.resource(head).ok_or(Kind::MissingAuthenticationToken)?;
        variables.insert("resourcePath".into(), resource.path.as_str().into());
        let arn = self.method_arn(head);
        if arn.len() > MAX_METHOD_ARN {
            return Err(Kind::UriTooLong);
        }
        wire::add_forwarded(&mut head.headers, peer, self.port);
        let answer = self.authorize(head, resource, &arn, peer, request_id).await?;
        variables.extend(answer.context.iter().map(|(name, value)| (format!("authorizer.{name}"), value.clone())));
        match answer.policy.evaluate("execute-api:Invoke", &arn, Some(peer.ip())) {
            Verdict::Allow => {}
            Verdict::ExplicitDeny | Verdict::ImplicitDeny => return Err(Kind::AccessDenied),
        }
        match &self.upstream {
            Some(client) => resource.forward(client, head, body, &answer).await,
            None => Ok(wire::json(StatusCode::OK, &resource.echo(head, &answer))),
        }
    }

    fn resource(&self, head: &Parts) -> Option<&Resource> {
        let path = match head.uri.path() {
            "/" => ResourcePath::Root,
            path if path.starts_with('/') => ResourcePath::Proxy,
            _ => return None,
        };
        self.resources.iter().find(|resource| METHODS.contains(&head.method) && resource.path == path)
    }

    /// What the policy is judged by. The path stays as it was sent.
    fn method_arn(&self, head: &Parts) -> String {
        let path = head.uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        format!("arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/{}/{}/{path}", self.stage, head.method)
    }

    async fn authorize(
        &self,
        head: &Parts,
        resource: &Resource,
        arn: &str,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Arc<Answer>, Kind> {
        let now = (self.clock)();
        let key = match self.cache.look_up(head, now) {
            Lookup::Found(answer) => return Ok(answer),
            Lookup::Unidentified => return Err(Kind::Unauthorized),
            Lookup::Missing(key) => Some(key),
            Lookup::Off => None,
        };
        let event = self.event(head, resource, arn, peer, request_id);
        let answer = match self.authorizer.invoke(&event, now).await {
            Ok(answer) => answer,
            // The one error that means something; to the letter, as API Gateway has it.
            Err(Failure::Error(message)) if message == "Unauthorized" => return Err(Kind::Unauthorized),
            Err(failure) => {
                tracing::error!("the authorizer failed: {failure}");
                return Err(Kind::AuthorizerFailure);
            }
        };
        let Some(answer) = Answer::from_json(&answer).map(Arc::new) else {
            tracing::error!("the authorizer's answer is not valid");
            return Err(Kind::AuthorizerConfigurationError);
        };
        if let Some(key) = key {
            self.cache.keep(key, Arc::clone(&answer), now);
        }
        Ok(answer)
    }

    /// The authorizer's event, of type REQUEST.
    fn event(&self, head: &Parts, resource: &Resource, arn: &str, peer: SocketAddr, request_id: &str) -> Value {
        let headers = || head.headers.iter().map(|(name, value)| (name.as_str().to_string(), wire::text(value)));
        let query = || wire::query_pairs(head.uri.query().unwrap_or_default());
        let proxy = head.uri.path().strip_prefix('/').unwrap_or_default();
        let path_parameters = match resource.path {
            ResourcePath::Root => Value::Null,
            ResourcePath::Proxy => json!({"proxy": wire::percent_decoded(proxy)}),
        };
        json!({
            "type": "REQUEST",
            "methodArn": arn,
            "resource": resource.path.as_str(),
            "path": head.uri.path(),
            "httpMethod": head.method.as_str(),
            "headers": last_of_each(headers()),
            "multiValueHeaders": all_of_each(headers()),
            "queryStringParameters": last_of_each(query()),
            "multiValueQueryStringParameters": all_of_each(query()),
            "pathParameters": path_parameters,
            "stageVariables": null,
            "requestContext": {
                "path": format!("/{}{}", self.stage, head.uri.path()),
                "accountId": ACCOUNT_ID,
                "resourceId": match resource.path { ResourcePath::Root => "root", ResourcePath::Proxy => "proxy" },
                "stage": self.stage,
                "requestId": request_id,
                "identity": {"sourceIp": peer.ip().to_string()},
                "resourcePath": resource.path.as_str(),
                "httpMethod": head.method.as_str(),
                "apiId": API_ID,
            },
        })
    }
}

/// A map that holds the last of several values; `null` if there is none at all.
fn last_of_each(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let map: Map<String, Value> = pairs.map(|(name, value)| (name, Value::String(value))).collect();
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

/// A map that holds all values; `null` if there is none.
fn all_of_each(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut map = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    if map.is_empty() { Value::Null } else { json!(map) }
}

impl Resource {
    /// The value that a mapped header gets, if it gets one.
    fn mapped<'a>(source: &'a MappingSource, answer: &'a Answer) -> Option<&'a str> {
        let value = match source {
            MappingSource::Static(text) => text,
            MappingSource::Authorizer(name) => answer.context.get(name)?,
        };
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// What a registry would be told.
    fn echo<'a>(&'a self, head: &'a Parts, answer: &'a Answer) -> Echo<'a> {
        let told = |mapping: &'a HeaderMapping| match &mapping.source {
            MappingSource::Static(_) => None,
            source => Some((mapping.display_name.as_str(), Self::mapped(source, answer)?)),
        };
        let context = self.headers.iter().filter_map(told).collect();
        Echo { method: head.method.as_str(), path: head.uri.path(), context }
    }

    async fn forward(
        &self,
        client: &Client,
        head: &Parts,
        body: Upload,
        answer: &Answer,
    ) -> Result<Response<Body>, Kind> {
        let mut request = Request::new(());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = self.target(&head.uri).ok_or(Kind::BadRequest)?;
        *request.headers_mut() = self.upstream_headers(&head.headers, answer)?;
        let too_large = body.too_large();
        let request = request.map(|()| body.boxed_unsync());
        match tokio::time::timeout(self.timeout, client.send(request)).await {
            Ok(Ok(response)) => Ok(downstream(response)),
            Ok(Err(_)) if too_large.load(Ordering::Relaxed) => Err(Kind::RequestTooLarge),
            Ok(Err(error)) => {
                tracing::warn!("the upstream cannot be reached: {error}");
                Err(Kind::IntegrationFailure)
            }
            Err(_) => Err(Kind::IntegrationTimeout),
        }
    }

    /// The upstream's address for this request: its path and query as they were sent.
    fn target(&self, uri: &Uri) -> Option<Uri> {
        let path = uri.path().strip_prefix('/')?;
        let mut target = self.uri.replace("{proxy}", path);
        if let Some(query) = uri.query() {
            target.push('?');
            target.push_str(query);
        }
        target.parse().ok()
    }

    fn upstream_headers(&self, sent: &HeaderMap, answer: &Answer) -> Result<HeaderMap, Kind> {
        let mut headers = without_hop_by_hop(sent);
        // RFC 9112, section 6.1: where the body came in pieces, a length beside them is not to be believed.
        if sent.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        // What this gateway tells is its own to take away.
        for name in wire::FORWARDED {
            if let Some(value) = sent.get(name) {
                headers.insert(name, value.clone());
            }
        }
        // The upstream has its own; and `100 Continue` is between the client and this gateway.
        headers.remove(HOST);
        headers.remove(EXPECT);
        for mapping in &self.headers {
            headers.remove(&mapping.name);
            if let Some(value) = Self::mapped(&mapping.source, answer) {
                let value = HeaderValue::from_str(value).map_err(|_| Kind::AuthorizerConfigurationError)?;
                headers.insert(&mapping.name, value);
            }
        }
        Ok(headers)
    }
}

/// The upstream's answer as the client gets it; the body streams.
fn downstream(response: Response<Incoming>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
    *response.status_mut() = head.status;
    let mut headers = without_hop_by_hop(&head.headers);
    // API Gateway lets no challenge of an integration through under its own name.
    let challenges: Vec<HeaderValue> = headers.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
    headers.remove(WWW_AUTHENTICATE);
    for challenge in challenges {
        headers.append("x-amzn-remapped-www-authenticate", challenge);
    }
    *response.headers_mut() = headers;
    response
}

/// Headers less those about the connection alone. Repeated ones stay apart.
fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let listed: Vec<String> = headers.get_all(CONNECTION).iter().map(wire::text).collect();
    let listed: Vec<&str> = listed.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    let stays = |name: &HeaderName| {
        !HOP_BY_HOP.contains(&name.as_str()) && !listed.iter().any(|listed| listed.eq_ignore_ascii_case(name.as_str()))
    };
    headers.iter().filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::function::Handler;

    #[test]
    fn headers_of_the_connection_are_dropped_and_repeated_ones_stay_apart() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("accept", "a"),
            ("accept", "b"),
            ("transfer-encoding", "chunked"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let kept = without_hop_by_hop(&headers);
        let kept: Vec<_> = kept.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(kept, [("accept", "a"), ("accept", "b")]);
    }

    fn api() -> RestApi {
        let resource = |path, uri: &str| Resource { path, uri: uri.into(), headers: vec![], timeout: Duration::ZERO };
        let client = crate::dynamodb::client(1).unwrap();
        let authorizer = authorize::Function::new(&Default::default(), client).unwrap();
        RestApi {
            stage: "live".into(),
            resources: vec![
                resource(ResourcePath::Root, "http://up/"),
                resource(ResourcePath::Proxy, "http://up/{proxy}"),
            ],
            authorizer: Function::new(Handler::Authorizer(Arc::new(authorizer)), Duration::from_secs(1)),
            cache: AuthorizerCache::new(vec![], 0),
            responses: GatewayResponses::default(),
            upstream: None,
            clock: Arc::new(latchkey::clock::now),
            port: 3001,
        }
    }

    fn event(uri: &str) -> Value {
        let request = Request::put(uri).header("Accept", "a").header("Accept", "b");
        let request = request.header("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap()).body(()).unwrap();
        let (head, api) = (request.into_parts().0, api());
        let arn = api.method_arn(&head);
        api.event(&head, api.resource(&head).unwrap(), &arn, SocketAddr::from(([127, 0, 0, 1], 9)), "the-id")
    }

    #[test]
    fn the_authorizers_event_has_the_shape_of_api_gateways() {
        assert_eq!(
            event("/@acme%2fname/a%20b?q=1&q=a%20b&r="),
            json!({
                "type": "REQUEST",
                "methodArn": "arn:aws:execute-api:us-east-1:123456789012:registry/live/PUT/@acme%2fname/a%20b",
                "resource": "/{proxy+}",
                "path": "/@acme%2fname/a%20b",
                "httpMethod": "PUT",
                "headers": {"accept": "b", "x-name": "café"},
                "multiValueHeaders": {"accept": ["a", "b"], "x-name": ["café"]},
                "queryStringParameters": {"q": "a b", "r": ""},
                "multiValueQueryStringParameters": {"q": ["1", "a b"], "r": [""]},
                "pathParameters": {"proxy": "@acme/name/a b"},
                "stageVariables": null,
                "requestContext": {
                    "path": "/live/@acme%2fname/a%20b",
                    "accountId": "123456789012",
                    "resourceId": "proxy",
                    "stage": "live",
                    "requestId": "the-id",
                    "identity": {"sourceIp": "127.0.0.1"},
                    "resourcePath": "/{proxy+}",
                    "httpMethod": "PUT",
                    "apiId": "registry",
                },
            })
        );
    }

    #[test]
    fn the_root_has_a_resource_of_its_own() {
        let event = event("/");
        assert_eq!((event["resource"].as_str(), event["pathParameters"].is_null()), (Some("/"), true));
        assert_eq!(event["queryStringParameters"], Value::Null);
        assert_eq!(event["methodArn"], "arn:aws:execute-api:us-east-1:123456789012:registry/live/PUT/");
    }

    #[test]
    fn the_method_arn_keeps_odd_paths_as_they_were_sent() {
        for path in ["//x", "/x//y", "/x/", "/./x/..", "/%2E%2e/x", "/a;b\\c"] {
            let arn = event(path)["methodArn"].as_str().unwrap().to_string();
            assert_eq!(arn.split_once("/PUT").unwrap().1, path);
        }
    }

    #[test]
    fn the_path_and_query_are_appended_as_they_were_sent() {
        let resource = Resource {
            path: ResourcePath::Proxy,
            uri: "http://up/base/{proxy}".into(),
            headers: vec![],
            timeout: Duration::from_secs(1),
        };
        for sent in ["/@acme%2fx", "//x/../y?a=%20&a=b", "/x/", "/{proxy}?{proxy}", "/a?", "/./%2e"] {
            assert_eq!(resource.target(&sent.parse().unwrap()).unwrap().to_string(), format!("http://up/base{sent}"));
        }
    }

    #[test]
    fn an_answer_with_a_list_in_its_context_is_none() {
        let answer = |context: Value| {
            let policy = json!({"Version": "2012-10-17", "Statement": []});
            Answer::from_json(&json!({"principalId": "p", "policyDocument": policy, "context": context}))
        };
        assert!(answer(json!({"a": ["b"]})).is_none());
        assert_eq!(answer(json!({"a": 1, "b": true, "c": "d"})).unwrap().context.len(), 3);
        assert!(answer(Value::Null).is_some());
        assert!(Answer::from_json(&json!({"principalId": "p"})).is_none());
    }
}
