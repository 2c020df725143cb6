//! What the gateways do beside the functions: limits, and the way to the registry and back.

use crate::harness::{Harness, send};
use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use local::options::{Options, Upstream};
use local::{server, wire};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// A registry that answers with what it was sent, and remembers the heads of requests.
pub struct Registry {
    pub port: u16,
    seen: Arc<Mutex<Vec<(Method, String, HeaderMap)>>>,
    _stop: watch::Sender<bool>,
}

impl Registry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::new(Mutex::new(vec![]));
        let kept = Arc::clone(&seen);
        server::serve(listener, stopped, move |request: Request<hyper::body::Incoming>, _| {
            let kept = Arc::clone(&kept);
            async move {
                let (head, body) = request.into_parts();
                let target = head.uri.path_and_query().unwrap().to_string();
                kept.lock().unwrap().push((head.method.clone(), target.clone(), head.headers.clone()));
                let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
                if target.contains("/moved") {
                    *response.status_mut() = StatusCode::FOUND;
                    response.headers_mut().insert("location", "https://elsewhere.example/x".parse().unwrap());
                }
                if target.contains("/closed") {
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                    response.headers_mut().insert("www-authenticate", "Bearer realm=\"upstream\"".parse().unwrap());
                }
                response.headers_mut().append("x-two", "1".parse().unwrap());
                response.headers_mut().append("x-two", "2".parse().unwrap());
                response
            }
        });
        Self { port, seen, _stop: stop }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/base", self.port)
    }

    pub fn last(&self) -> (Method, String, HeaderMap) {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    /// The targets of requests after the first so many.
    pub fn since(&self, first: usize) -> Vec<String> {
        self.seen.lock().unwrap().iter().skip(first).map(|(_, target, _)| target.clone()).collect()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub async fn front() -> (Registry, Harness, String) {
    let registry = Registry::start().await;
    let stack = Harness::start_before(&registry.url()).await;
    let token = stack.token("alice", json!({"name": "ci é", "scopes": ["write"]})).await;
    (registry, stack, token.text)
}

fn get(path: &str, token: &str) -> http::request::Builder {
    Request::get(path).header("authorization", format!("Bearer {token}"))
}

fn empty(request: http::request::Builder) -> Request<Full<Bytes>> {
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_address_without_a_route_is_not_found_and_says_nothing_else() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    for (method, path) in
        [(Method::GET, "/other"), (Method::PUT, "/tokens"), (Method::GET, "/tokens/"), (Method::DELETE, "/tokens/")]
    {
        let reply = stack.api(method.clone(), path, Some(&alice), None).await;
        assert_eq!((reply.status, &reply.json), (404, &json!({"message": "Not Found"})), "{method} {path}");
    }
}

#[tokio::test]
async fn the_registry_is_told_the_context_and_never_the_credential() {
    let (registry, stack, token) = front().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("u:{token}"));
    let forms = [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Basic {basic}")),
        ("authorization", token.clone()),
        ("x-api-key", token.clone()),
        ("x-nuget-apikey", token.clone()),
        ("x-jfrog-art-api", token.clone()),
        ("private-token", token.clone()),
    ];
    for (name, value) in forms {
        let request = Request::get("/x")
            .header(name, value)
            .header("x-latchkey-subject", "root")
            .header("X-Latchkey-Scopes", "write:*")
            .header("x-latchkey-token-id", "a")
            .header("x-latchkey-token-id", "b");
        assert_eq!(stack.registry_raw(empty(request)).await.status, 200, "{name}");
        let (_, _, headers) = registry.last();
        let all = format!("{headers:?}");
        assert!(!all.contains(&token) && !all.contains(&basic), "{name}: {all}");
        assert!(!headers.contains_key("authorization"), "{name}");
        assert_eq!(headers["x-latchkey-subject"], "alice");
        assert_eq!(headers["x-latchkey-token-name"], "ci%20%C3%A9");
        assert_eq!(headers["x-latchkey-scopes"], "write:*");
        assert_eq!(headers.get_all("x-latchkey-token-id").iter().count(), 1);
        assert_eq!(headers["x-latchkey-token-id"], token[3..46]);
    }
}

#[tokio::test]
async fn the_registry_can_be_given_a_credential_of_the_gateways_own() {
    let registry = Registry::start().await;
    let mut options = Options { upstream: Some(registry.url().parse::<Upstream>().unwrap()), ..Options::in_memory() };
    options.parameters.insert("UpstreamAuthorization".into(), "Bearer gateway".into());
    let stack = Harness::start_from(&[], options, "2027-01-05").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
    assert_eq!(registry.last().2["authorization"], "Bearer gateway");
}

#[tokio::test]
async fn paths_queries_and_repeated_headers_reach_the_registry_as_they_were_sent() {
    let (registry, stack, token) = front().await;
    for target in ["/@acme%2fx", "/@acme%2Fx?write=true&a=b&a=c", "/pypi/simple/", "/a%20b?q=%2e", "/"] {
        let request = get(target, &token).header("accept", "a/1").header("accept", "a/2");
        let reply = stack.registry_raw(empty(request)).await;
        assert_eq!(reply.status, 200, "{target}");
        let (_, seen, headers) = registry.last();
        assert_eq!(seen, format!("/base{target}"));
        assert_eq!(headers.get_all("accept").iter().collect::<Vec<_>>(), ["a/1", "a/2"], "apart");
        assert_eq!(reply.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"], "apart");
    }
    let before = registry.count();
    for refused in ["/npm/../x", "/npm//x", "/%2e%2e/x"] {
        assert_eq!(stack.registry_raw(empty(get(refused, &token))).await.status, 403, "{refused}");
    }
    assert_eq!(registry.count(), before, "a refused request does not reach the registry");
}

#[tokio::test]
async fn heads_redirects_and_the_registrys_own_refusals_pass() {
    let (registry, stack, token) = front().await;
    let head = Request::head("/x").header("authorization", &token);
    assert_eq!(stack.registry_raw(empty(head)).await.status, 200);
    assert_eq!(registry.last().0, Method::HEAD);
    let moved = stack.registry_raw(empty(get("/moved", &token))).await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("https://elsewhere.example/x")));
    let closed = stack.registry_raw(empty(get("/closed", &token))).await;
    assert_eq!((closed.status, closed.header("www-authenticate")), (401, None));
    assert_eq!(closed.header("x-amzn-remapped-www-authenticate"), Some("Bearer realm=\"upstream\""));
    let trace = Request::builder().method("TRACE").uri("/x").header("authorization", &token);
    assert_eq!(stack.registry_raw(empty(trace)).await.status, 403);
}

#[tokio::test]
async fn bodies_stream_to_the_registry_and_back() {
    let (_registry, stack, token) = front().await;
    let (sender, mut chunks) = mpsc::channel::<Bytes>(1);
    let chunks = futures_of(move |context| chunks.poll_recv(context));
    let body: BoxBody<Bytes, std::convert::Infallible> = BodyExt::boxed(StreamBody::new(chunks));
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", stack.stack.ports().registry)).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::put("/x").header("host", "x").header("authorization", &token).body(body).unwrap();
    sender.send("one".into()).await.unwrap();
    let mut response = client.send_request(request).await.unwrap();
    // The registry echoes: the first piece is back before the second is sent.
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    sender.send("two".into()).await.unwrap();
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    drop(sender);
    assert!(response.frame().await.is_none());
}

/// A stream of frames from a poll function.
fn futures_of(
    poll: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Bytes>> + Send + Sync + Unpin + 'static,
) -> impl futures_core::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> + Send + Sync {
    struct Frames<F>(F);
    impl<F> futures_core::Stream for Frames<F>
    where
        F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Bytes>> + Unpin,
    {
        type Item = Result<Frame<Bytes>, std::convert::Infallible>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            (self.0)(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }
    Frames(poll)
}

#[tokio::test]
async fn a_body_of_10_mb_passes_and_one_byte_more_does_not() {
    let (registry, stack, token) = front().await;
    let most = wire::MAX_BODY;
    let put = |length: usize| {
        Request::put("/x").header("authorization", &token).body(Full::from(vec![b'x'; length])).unwrap()
    };
    let passed = stack.registry_raw(put(most)).await;
    assert_eq!((passed.status, passed.body.len()), (200, most));
    let refused = stack.registry_raw(put(most + 1)).await;
    assert_eq!(refused.status, 413);
    assert!(refused.json["message"].is_string());
    assert_eq!(registry.count(), 1);

    let alice = stack.session("alice").await;
    let refused = stack.api_raw(Method::POST, "/tokens", Some(&alice), vec![b' '; most + 1].into()).await;
    assert_eq!((refused.status, refused.json), (413, json!({"message": "Request Entity Too Large"})));
}

#[tokio::test]
async fn headers_of_9_kb_pass_and_more_than_10_240_bytes_do_not() {
    let (_registry, stack, token) = front().await;
    let with = |length: usize| empty(get("/x", &token).header("x-long", "a".repeat(length)));
    assert_eq!(stack.registry_raw(with(9_000)).await.status, 200);
    assert_eq!(stack.registry_raw(with(10_240)).await.status, 431);
    assert_eq!(stack.registry_raw(with(200_000)).await.status, 431);
    let long = format!("/{}", "a".repeat(1_700));
    assert_eq!(stack.registry_raw(empty(get(&long, &token))).await.status, 414);
}

#[tokio::test]
async fn an_unreachable_registry_is_a_fault_of_its_own() {
    let stack = Harness::start_before("http://127.0.0.1:1").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    let reply = stack.registry(Method::GET, "/x", Some(&token.text)).await;
    assert_eq!(reply.status, 504);
    assert_eq!(reply.json["errors"][0]["code"], "INTEGRATION_FAILURE");
}

#[tokio::test]
async fn with_a_gateway_cache_a_request_without_authorization_is_refused_unasked() {
    let stack = Harness::start_caching("0", "60").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    assert_eq!(stack.registry(Method::GET, "/x", None).await.status, 401);
    let key = Request::get("/x").header("x-api-key", &token.text);
    assert_eq!(stack.registry_raw(empty(key)).await.status, 401, "key headers are lost with a cache");
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
    // The answer is kept: the table is not asked again, and the cached grant is right on every route.
    stack.drop_table().await;
    assert_eq!(stack.registry(Method::GET, "/y/z", Some(&token.text)).await.status, 200);
    let refused = stack.registry(Method::PUT, "/y/z", Some(&token.text)).await;
    assert_eq!(refused.status, 403);
    assert!(refused.json["message"].as_str().unwrap().starts_with("Token ci grants read:*. This request needs more."));
    stack.advance(60);
    assert_eq!(stack.registry(Method::GET, "/x", Some(&token.text)).await.status, 500, "a fault is not cached");
}

#[tokio::test]
async fn the_issuer_publishes_what_an_openid_connect_client_looks_for() {
    let stack = Harness::start().await;
    let port = stack.stack.ports().identity;
    let discovery = send(port, empty(Request::get("/.well-known/openid-configuration"))).await;
    assert_eq!(discovery.json["issuer"], format!("http://127.0.0.1:{port}"));
    let keys = send(port, empty(Request::get("/.well-known/jwks.json"))).await;
    assert_eq!(keys.json["keys"][0]["kty"], "RSA");
    assert!(keys.json["keys"][0].get("d").is_none(), "the private half stays here");
    let wrong = Request::post("/oauth2/token").body(Full::from("grant_type=password")).unwrap();
    let wrong = send(port, wrong).await;
    assert_eq!((wrong.status, wrong.json["error"].as_str()), (400, Some("invalid_request")));
}
