//! Both gateways, where it shows whether they behave as API Gateway does.

use crate::harness::{Harness, Reply, Token};
use crate::upstream::{Pieces, Upstream};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::issuer::SigningKey;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const MB: usize = 1024 * 1024;

impl Harness {
    /// Alice's token for everything.
    async fn master(&self) -> Token {
        self.token("alice", json!({"name": "all", "scopes": ["write"]})).await
    }

    /// Claims that the management API accepts.
    fn claims(&self) -> Value {
        let now = self.now().as_secs();
        let issuer = format!("http://127.0.0.1:{}", self.stack.ports().identity);
        json!({"iss": issuer, "sub": "alice", "aud": "latchkey", "iat": now, "exp": now + 60})
    }
}

/// Writes these bytes to a port; what comes back until the connection ends.
async fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![];
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

async fn lists_tokens(stack: &Harness, session: &str) -> Reply {
    stack.api(Method::GET, "/tokens", Some(session), None).await
}

#[tokio::test]
async fn a_session_is_refused_unless_it_is_the_issuers_own_for_us_and_now() {
    let stack = Harness::start().await;
    let key = SigningKey::of_this_process().unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = stack.claims();
        claims[name] = value;
        claims
    };
    let now = stack.now().as_secs();
    assert_eq!(lists_tokens(&stack, &key.sign(&stack.claims())).await.status, 200);

    let unsigned = {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "kid": key.kid()})), part(&stack.claims()))
    };
    let symmetric = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.kid().into());
        let public = serde_json::to_vec(&key.public_keys()).unwrap();
        jsonwebtoken::encode(&header, &stack.claims(), &EncodingKey::from_secret(&public)).unwrap()
    };
    let foreign_key = {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid().into());
        jsonwebtoken::encode(&header, &stack.claims(), SigningKey::generate().unwrap().encoding()).unwrap()
    };
    for (what, session) in [
        ("no JWT", "alice".to_owned()),
        ("alg none", unsigned),
        ("HS256 with the public key", symmetric),
        ("a foreign key", foreign_key),
        ("a foreign issuer", key.sign(&with("iss", json!("https://issuer.example")))),
        ("a foreign audience", key.sign(&with("aud", json!("other")))),
        ("expired", key.sign(&with("exp", json!(now)))),
        ("not yet valid", key.sign(&with("nbf", json!(now + 1)))),
    ] {
        let reply = lists_tokens(&stack, &session).await;
        assert_eq!((reply.status, &reply.json), (401, &json!({"message": "Unauthorized"})), "{what}");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer scope=\"\" error=\"invalid_token\""), "{what}");
    }
}

#[tokio::test]
async fn a_session_ends_by_the_stacks_clock() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    stack.advance(3599);
    assert_eq!(lists_tokens(&stack, &alice).await.status, 200);
    stack.advance(1);
    assert_eq!(lists_tokens(&stack, &alice).await.status, 401);
}

#[tokio::test]
async fn without_a_session_the_management_api_says_bearer_and_off_its_routes_not_found() {
    let stack = Harness::start().await;
    let reply = stack.api(Method::GET, "/tokens", None, None).await;
    assert_eq!((reply.status, &reply.json), (401, &json!({"message": "Unauthorized"})));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    let alice = stack.session("alice").await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/favicon.ico"),
        (Method::GET, "/tokens/"),
        (Method::HEAD, "/tokens"),
        (Method::OPTIONS, "/tokens"),
        (Method::PATCH, "/tokens/x"),
        (Method::DELETE, "/tokens"),
    ] {
        for session in [None, Some(alice.as_str())] {
            assert_eq!(stack.api(method.clone(), path, session, None).await.status, 404, "{method} {path}");
        }
    }
    let reply = stack.api(Method::GET, "/favicon.ico", None, None).await;
    assert_eq!(reply.json, json!({"message": "Not Found"}));
}

#[tokio::test]
async fn the_issuer_says_what_is_wrong_with_a_sign_in() {
    let stack = Harness::start().await;
    let port = stack.stack.ports().identity;
    let form = "application/x-www-form-urlencoded";
    for (content_type, body, error) in [
        ("application/json", "{}", "invalid_request"),
        (form, "", "invalid_request"),
        (form, "grant_type=password", "invalid_request"),
        (form, "grant_type=password&username=", "invalid_request"),
        (form, "grant_type=password&username=a&username=b", "invalid_request"),
        (form, "grant_type=client_credentials&username=a", "unsupported_grant_type"),
    ] {
        let request = Request::post("/oauth2/token").header("content-type", content_type);
        let reply = crate::harness::send(port, request.body(Full::from(body)).unwrap()).await;
        assert_eq!((reply.status, &reply.json["error"]), (400, &json!(error)), "{body}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    for (method, path, status) in [
        (Method::GET, "/.well-known/openid-configuration", 200),
        (Method::GET, "/.well-known/jwks.json", 200),
        (Method::GET, "/oauth2/token", 405),
        (Method::POST, "/.well-known/jwks.json", 405),
        (Method::GET, "/favicon.ico", 404),
    ] {
        let request = Request::builder().method(&method).uri(path).body(Full::default()).unwrap();
        let reply = crate::harness::send(port, request).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(!reply.text().contains("\"d\""), "no private part of the key");
    }
}

#[tokio::test]
async fn groups_are_a_claim_of_the_session() {
    let stack = Harness::start().await;
    for groups in ["admins+staff", "admins,staff", "admins%2C+staff"] {
        let session = stack.session(&format!("alice&groups={groups}")).await;
        let claims = URL_SAFE_NO_PAD.decode(session.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["groups"]), (&json!("alice"), &json!(["admins", "staff"])));
    }
}

#[tokio::test]
async fn a_body_over_10_mb_is_413_however_it_is_sent() {
    let upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let (token, alice) = (stack.master().await.text, stack.session("alice").await);
    let ports = stack.stack.ports();
    for (port, path, credential) in [(ports.api, "/tokens", &alice), (ports.registry, "/x", &token)] {
        let head = |framing: &str| {
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\nConnection: close\r\n{framing}\r\n\r\n")
        };
        // By its announced length, with the body and, as curl does, waiting for leave to send it.
        let mut announced = head(&format!("Content-Length: {}", 10 * MB + 1)).into_bytes();
        announced.resize(announced.len() + 10 * MB + 1, b'x');
        let answer = raw(port, &announced).await;
        assert_eq!(status(&answer), "413", "{answer}");
        let waiting = raw(port, head(&format!("Expect: 100-continue\r\nContent-Length: {}", 10 * MB + 1)).as_bytes()).await;
        assert_eq!(status(&waiting), "413", "{waiting}");
        // Piece by piece.
        let mut chunked = head("Transfer-Encoding: chunked").into_bytes();
        for _ in 0..11 {
            chunked.extend_from_slice(format!("{MB:x}\r\n").as_bytes());
            chunked.resize(chunked.len() + MB, b'x');
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let answer = raw(port, &chunked).await;
        assert_eq!(status(&answer), "413", "{answer}");
    }
    let exactly = Request::post("/x").header("authorization", format!("Bearer {token}"));
    let reply = stack.registry_raw(exactly.body(Full::from(vec![b'x'; 10 * MB])).unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.only().body.len(), 10 * MB, "nothing that was too large got through whole");
}

#[tokio::test]
async fn headers_over_10240_bytes_are_431_and_a_method_arn_over_1600_is_414() {
    let stack = Harness::start().await;
    let token = stack.master().await.text;
    let ports = stack.stack.ports();
    let with_header = |path: &str, length: usize| {
        let token = &token;
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nX: {}\r\n\r\n", "x".repeat(length))
    };
    for port in [ports.api, ports.registry] {
        for length in [10_240, 100_000] {
            assert_eq!(status(&raw(port, with_header("/tokens", length).as_bytes()).await), "431", "{length}");
        }
        let many = format!("GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n", "a:\r\n".repeat(2_000));
        assert_eq!(status(&raw(port, many.as_bytes()).await), "431");
    }
    assert_eq!(status(&raw(ports.registry, with_header("/x", 9_000).as_bytes()).await), "200");
    let prefix = "arn:aws:execute-api:us-east-1:123456789012:registry/live/GET/".len();
    for (length, expected) in [(1_600 - prefix, "200"), (1_601 - prefix, "414"), (60_000, "414")] {
        let answer = raw(ports.registry, with_header(&format!("/{}", "a".repeat(length)), 1).as_bytes()).await;
        assert_eq!(status(&answer), expected, "{length}: {}", &answer[..100]);
    }
}

#[tokio::test]
async fn a_method_that_a_rest_api_does_not_have_is_403_without_asking_anybody() {
    let upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let token = stack.master().await.text;
    for method in ["TRACE", "PROPFIND", "get", "CONNECT"] {
        let target = if method == "CONNECT" { "example:80" } else { "/x" };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = raw(stack.stack.ports().registry, request.as_bytes()).await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("Missing Authentication Token"), "{answer}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_upstream_gets_the_request_as_it_was_sent_less_the_credential() {
    let upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let token = stack.token("alice", json!({"name": "my ci", "scopes": ["write:npm/@acme/*"]})).await;
    let mut request = Request::put("/npm/@acme%2fx/-/a%20b?q=%41&q=b").header("authorization", format!("Bearer {}", token.text));
    for (name, value) in [
        ("accept", "a"),
        ("accept", "b"),
        ("x-api-key", token.text.as_str()),
        ("x-nuget-apikey", "other"),
        ("private-token", "other"),
        ("x-jfrog-art-api", "other"),
        ("x-latchkey-subject", "mallory"),
        ("x-latchkey-subject", "root"),
        ("connection", "close, x-secret"),
        ("x-secret", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("x-forwarded-for", "6.6.6.6"),
    ] {
        request = request.header(name, value);
    }
    let reply = stack.registry_raw(request.body(Full::from("body")).unwrap()).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(reply.header("x-mine"), None, "a header of the upstream's connection");

    let got = upstream.only();
    assert_eq!((got.method.as_str(), got.target.as_str()), ("PUT", "/npm/@acme%2fx/-/a%20b?q=%41&q=b"));
    assert_eq!(got.body, "body");
    assert_eq!(got.all("accept"), ["a", "b"]);
    assert_eq!(got.all("host"), [upstream.url.trim_start_matches("http://")]);
    assert_eq!(got.all("content-length"), ["4"]);
    assert_eq!(got.all("x-latchkey-subject"), ["alice"]);
    assert_eq!(got.all("x-latchkey-token-id"), [&token.id]);
    assert_eq!(got.all("x-latchkey-token-name"), ["my%20ci"]);
    assert_eq!(got.all("x-latchkey-scopes"), ["write:npm/@acme/*"]);
    assert_eq!(got.all("x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    for gone in
        ["authorization", "x-api-key", "x-nuget-apikey", "private-token", "x-jfrog-art-api", "x-secret", "te", "expect"]
    {
        assert!(!got.headers.contains_key(gone), "{gone}");
    }
    assert!(!format!("{got:?}").contains(token.secret()));
}

#[tokio::test]
async fn an_upstream_can_be_told_who_sends_it() {
    let upstream = Upstream::start().await;
    let mut options = local::options::Options::in_memory();
    options.upstream = Some(format!("{}/base/", upstream.url).parse().unwrap());
    options.parameters.insert("UpstreamAuthorization".into(), "Basic Z2F0ZTpr".into());
    let stack = Harness::start_from(&[], options, "2027-01-05T12:00:00Z").await;
    let token = stack.master().await;
    assert_eq!(stack.registry(Method::GET, "/", Some(&token.text)).await.status, 200);
    let got = upstream.only();
    assert_eq!(got.target, "/base/");
    assert_eq!(got.all("authorization"), ["Basic Z2F0ZTpr"]);
}

#[tokio::test]
async fn odd_paths_reach_the_upstream_to_the_letter_or_not_at_all() {
    let upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let token = stack.master().await;
    for path in ["/@scope%2fname", "/@scope%2Fname", "/a+b", "/x/", "/a:b@c", "/~x/%7e"] {
        let before = upstream.count();
        let reply = stack.registry(Method::GET, path, Some(&token.text)).await;
        assert_eq!((reply.status, upstream.count()), (200, before + 1), "{path}");
    }
    assert_eq!(stack.registry(Method::GET, "/npm//../x", Some(&token.text)).await.status, 403);
}

#[tokio::test]
async fn answers_of_the_upstream_pass_as_they_are() {
    let upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let token = stack.master().await;
    let redirect = stack.registry(Method::GET, "/redirect", Some(&token.text)).await;
    assert_eq!((redirect.status, redirect.header("location")), (307, Some("http://elsewhere.example/x")));
    let challenge = stack.registry(Method::GET, "/challenge", Some(&token.text)).await;
    assert_eq!((challenge.status, challenge.header("www-authenticate")), (401, None));
    assert_eq!(challenge.header("x-amzn-remapped-www-authenticate"), Some("Basic realm=\"inner\""));
    let head = stack.registry(Method::HEAD, "/x", Some(&token.text)).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some("5")));
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let mut upstream = Upstream::start().await;
    let stack = Harness::start_before(&upstream.url).await;
    let token = stack.master().await;
    let stream = TcpStream::connect(("127.0.0.1", stack.stack.ports().registry)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    let (piece, pieces) = mpsc::unbounded_channel();
    let request = Request::put("/stream").header("host", "x").header("authorization", format!("Bearer {}", token.text));
    let answer = tokio::spawn(sender.send_request(request.body(Pieces(pieces)).unwrap()));
    piece.send(Bytes::from("first")).unwrap();
    assert_eq!(upstream.pieces.recv().await.unwrap(), "first", "before the second was sent");
    piece.send(Bytes::from("second")).unwrap();
    assert_eq!(upstream.pieces.recv().await.unwrap(), "second");
    drop(piece);

    let mut body = answer.await.unwrap().unwrap().into_body();
    let stream = upstream.stream.take().unwrap();
    stream.send(Bytes::from("one")).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one", "before the next was sent");
    stream.send(Bytes::from("two")).unwrap();
    drop(stream);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_504_in_the_gateways_own_form() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let stack = Harness::start_before(&nobody).await;
    let token = stack.master().await;
    let request = Request::put("/x").header("authorization", format!("Bearer {}", token.text));
    let reply = stack.registry_raw(request.body(Full::from(vec![b'x'; 5 * MB])).unwrap()).await;
    assert_eq!(reply.status, 504);
    assert_eq!(reply.json["errors"][0]["code"], "INTEGRATION_FAILURE");
    assert_eq!(reply.json["message"], "Network error communicating with endpoint");
}

#[tokio::test]
async fn without_an_upstream_requests_that_pass_are_echoed() {
    let stack = Harness::start().await;
    let token = stack.token("bob", json!({"name": "ci", "scopes": ["read"]})).await;
    let reply = stack.registry(Method::GET, "/npm/@a%2fb?x=1", Some(&token.text)).await;
    assert_eq!(
        reply.json,
        json!({"method": "GET", "path": "/npm/@a%2fb", "context": {
            "X-Latchkey-Token-Id": token.id,
            "X-Latchkey-Token-Name": "ci",
            "X-Latchkey-Subject": "bob",
            "X-Latchkey-Scopes": "read:*",
            "X-Latchkey-Expires-At": "2027-04-05T12:00:00Z",
        }})
    );
}

#[tokio::test]
async fn a_key_header_will_do_only_as_long_as_answers_are_not_cached() {
    for (seconds, expected) in [("0", 200), ("60", 401)] {
        let stack = Harness::start_caching("0", seconds).await;
        let token = stack.master().await;
        let request = || Request::put("/x").header("x-nuget-apikey", &token.text).body(Full::default()).unwrap();
        assert_eq!(stack.registry_raw(request()).await.status, expected, "{seconds}");
        stack.drop_table().await;
        // The authorizer would fail if it were asked.
        let unasked = if expected == 401 { 401 } else { 500 };
        assert_eq!(stack.registry_raw(request()).await.status, unasked, "{seconds}");
    }
}

#[tokio::test]
async fn a_cached_answer_is_matched_afresh_and_ends_with_its_time() {
    let stack = Harness::start_caching("0", "60").await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:npm/*"]})).await;
    let get = |path: &'static str| stack.registry(Method::GET, path, Some(&token.text));
    assert_eq!(get("/npm/x").await.status, 200);
    stack.drop_table().await;
    assert_eq!(get("/npm/y").await.status, 200, "from the cache");
    assert_eq!(get("/pypi/x").await.status, 403, "from the cache");
    let other = stack.registry(Method::GET, "/npm/x", Some(&stack.unknown_token())).await;
    assert_eq!(other.status, 500, "another credential is another key");
    stack.advance(60);
    assert_eq!(get("/npm/x").await.status, 500);
}

#[tokio::test]
async fn a_fault_is_500_in_each_gateways_form() {
    let stack = Harness::start().await;
    let (token, alice) = (stack.master().await, stack.session("alice").await);
    stack.drop_table().await;
    let reply = stack.registry(Method::GET, "/x", Some(&token.text)).await;
    assert_eq!((reply.status, &reply.json["errors"][0]["code"]), (500, &json!("AUTHORIZER_FAILURE")));
    assert_eq!(lists_tokens(&stack, &alice).await.status, 500);
}

#[tokio::test]
async fn a_stack_stops_although_a_client_keeps_its_connection() {
    let stack = Harness::start().await;
    let ports = stack.stack.ports();
    let mut idle = vec![];
    for port in [ports.api, ports.registry, ports.identity, ports.dynamodb] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The beginning of a request that never ends.
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").await.unwrap();
        idle.push(stream);
    }
    tokio::time::timeout(Duration::from_secs(10), stack.stack.shutdown()).await.unwrap();
    for port in [ports.api, ports.registry, ports.identity, ports.dynamodb] {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "{port}");
    }
}
