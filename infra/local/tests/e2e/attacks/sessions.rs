//! Sessions that are forged, stolen from elsewhere or over.

use crate::harness::{Harness, Reply};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::issuer::SigningKey;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// What forgers work with: the issuer's key, of which they know the public half, and claims that would be good.
struct Forger {
    stack: Harness,
    key: &'static SigningKey,
    good: Value,
}

impl Forger {
    async fn new() -> Self {
        let stack = Harness::start().await;
        let issuer = format!("http://127.0.0.1:{}", stack.stack.ports().identity);
        let now = stack.now().as_secs();
        let good = json!({"iss": issuer, "sub": "alice", "aud": "latchkey", "iat": now, "exp": now + 60});
        Self { stack, key: SigningKey::of_this_process().unwrap(), good }
    }

    /// The good claims with one that is changed, signed by the issuer.
    fn with(&self, field: &str, value: Value) -> String {
        let mut claims = self.good.clone();
        claims[field] = value;
        self.key.sign(&claims)
    }

    /// The good claims behind this header, with this signature.
    fn spelled(&self, header: &Value, signature: &str) -> String {
        format!("{}.{}.{signature}", encoded(header), encoded(&self.good))
    }

    /// The good claims behind this header, signed with this key.
    fn signed(&self, header: &Header, key: &EncodingKey) -> String {
        jsonwebtoken::encode(header, &self.good, key).unwrap()
    }

    fn header(&self, algorithm: Algorithm) -> Header {
        Header { kid: Some(self.key.kid().into()), ..Header::new(algorithm) }
    }

    async fn list(&self, session: &str) -> Reply {
        self.stack.api(Method::GET, "/tokens", Some(session), None).await
    }

    async fn refused(&self, case: &str, session: &str) {
        let reply = self.list(session).await;
        assert_eq!(reply.status, 401, "{case}: {reply:?}");
        assert_eq!(reply.json, json!({"message": "Unauthorized"}), "{case}");
        assert!(reply.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{case}");
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_session_without_a_signature_is_refused() {
    let forger = Forger::new().await;
    assert_eq!(forger.list(&forger.key.sign(&forger.good)).await.status, 200, "the good one");
    let signature = forger.key.sign(&forger.good).rsplit('.').next().unwrap().to_owned();
    for algorithm in ["none", "None", "NONE", "nOnE", "", "null", "rs256", "RS256 ", "RS0"] {
        for signature in ["", &signature] {
            let header = json!({"alg": algorithm, "typ": "JWT", "kid": forger.key.kid()});
            forger.refused(&format!("alg {algorithm:?}"), &forger.spelled(&header, signature)).await;
        }
    }
    for header in
        [json!({"kid": forger.key.kid()}), json!({"alg": null}), json!({"alg": ["RS256"]}), json!([]), json!(1)]
    {
        forger.refused("no algorithm", &forger.spelled(&header, &signature)).await;
    }
    let cut = forger.key.sign(&forger.good).rsplit_once('.').unwrap().0.to_owned();
    for (case, session) in
        [("two parts", cut.clone()), ("an empty one", format!("{cut}.")), ("four", format!("{cut}.{signature}.x"))]
    {
        forger.refused(case, &session).await;
    }
}

#[tokio::test]
async fn a_session_signed_with_the_public_key_as_a_secret_is_refused() {
    let forger = Forger::new().await;
    let public = serde_json::to_value(forger.key.public_keys()).unwrap();
    let modulus = public["keys"][0]["n"].as_str().unwrap();
    let known: [&[u8]; 4] = [
        &serde_json::to_vec(&public).unwrap(),
        &serde_json::to_vec(&public["keys"][0]).unwrap(),
        modulus.as_bytes(),
        &URL_SAFE_NO_PAD.decode(modulus).unwrap(),
    ];
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in known.iter().chain([&&b""[..]]) {
            let session = forger.signed(&forger.header(algorithm), &EncodingKey::from_secret(secret));
            forger.refused(&format!("{algorithm:?}"), &session).await;
        }
    }
}

#[tokio::test]
async fn a_session_that_brings_or_names_its_own_key_is_refused_and_nothing_is_fetched_for_it() {
    let forger = Forger::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}", listener.local_addr().unwrap());
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let own = SigningKey::generate().unwrap();
    let jwk = own.public_keys().keys.remove(0);
    for kid in [forger.key.kid(), own.kid()] {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::RS256) };
        for (case, header) in [
            ("another key", header.clone()),
            ("jwk", Header { jwk: Some(jwk.clone()), ..header.clone() }),
            ("jku", Header { jku: Some(format!("{elsewhere}/keys")), ..header.clone() }),
            ("x5u", Header { x5u: Some(format!("{elsewhere}/cert.pem")), ..header.clone() }),
            ("x5c", Header { x5c: Some(vec!["MIIB".into()]), ..header }),
        ] {
            forger.refused(case, &forger.signed(&header, own.encoding())).await;
        }
    }
    for kid in ["", "/dev/null", "../../dev/null", "' OR '1'='1", "0", "*", &format!("{elsewhere}/keys"), "a\0b"] {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::RS256) };
        forger.refused(kid, &forger.signed(&header, forger.key.encoding())).await;
    }
    forger.refused("no kid", &forger.signed(&Header::new(Algorithm::RS256), forger.key.encoding())).await;
    assert_eq!(fetched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_session_whose_claims_or_header_were_edited_is_refused() {
    let forger = Forger::new().await;
    let good = forger.key.sign(&forger.good);
    let parts: Vec<_> = good.split('.').collect();
    for (field, value) in [("sub", json!("bob")), ("exp", json!(9_999_999_999_i64)), ("groups", json!(["admins"]))] {
        let mut claims = forger.good.clone();
        claims[field] = value;
        forger.refused(field, &format!("{}.{}.{}", parts[0], encoded(&claims), parts[2])).await;
    }
    let header = json!({"typ": "JWT", "alg": "RS512", "kid": forger.key.kid()});
    forger.refused("another algorithm", &format!("{}.{}.{}", encoded(&header), parts[1], parts[2])).await;
    let signature = forger.with("sub", json!("bob")).rsplit('.').next().unwrap().to_owned();
    forger.refused("another session's signature", &format!("{}.{}.{signature}", parts[0], parts[1])).await;
    for (case, session) in [
        ("padded", format!("{good}=")),
        ("one character more", format!("{good}A")),
        ("quoted", format!("\"{good}\"")),
        ("twice", format!("{good}, {good}")),
    ] {
        forger.refused(case, &session).await;
    }
}

#[tokio::test]
async fn a_session_of_another_issuer_audience_or_time_is_refused() {
    let forger = Forger::new().await;
    let now = forger.stack.now().as_secs();
    let accepted = forger.with("aud", json!(["other", "latchkey"]));
    assert_eq!(forger.list(&accepted).await.status, 200, "one of several audiences");
    let issuer = forger.good["iss"].as_str().unwrap();
    for (field, value) in [
        ("exp", json!(now)),
        ("exp", json!(now - 1)),
        ("exp", Value::Null),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("nbf", json!(now + 1)),
        ("iat", json!(now + 1)),
        ("iss", json!("https://issuer.example")),
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!(format!("{issuer}@evil.example"))),
        ("iss", json!([issuer])),
        ("iss", Value::Null),
        // As an ID token of another client has it.
        ("aud", json!("other")),
        ("aud", json!("Latchkey")),
        ("aud", json!("latchkey ")),
        ("aud", json!([])),
        ("aud", json!({"latchkey": "latchkey"})),
        ("aud", Value::Null),
    ] {
        forger.refused(&format!("{field}: {value}"), &forger.with(field, value.clone())).await;
    }
    let mut of_another_client = forger.good.clone();
    (of_another_client["aud"], of_another_client["client_id"]) = (json!("other"), json!("latchkey"));
    forger.refused("client_id beside a foreign aud", &forger.key.sign(&of_another_client)).await;
    let good = forger.key.sign(&forger.good);
    forger.stack.advance(60);
    forger.refused("it ends with its time", &good).await;
}

#[tokio::test]
async fn a_token_is_no_session_and_a_session_no_token() {
    let stack = Harness::start().await;
    let token = stack.token("alice", json!({"name": "all", "scopes": ["write"]})).await;
    let alice = stack.session("alice").await;
    for (method, path) in [
        (Method::GET, "/tokens".to_owned()),
        (Method::POST, "/tokens".into()),
        (Method::GET, format!("/tokens/{}", token.id)),
        (Method::PATCH, format!("/tokens/{}", token.id)),
        (Method::DELETE, format!("/tokens/{}", token.id)),
        (Method::POST, format!("/tokens/{}/rotate", token.id)),
        (Method::DELETE, "/tokens?subject=alice".into()),
    ] {
        assert_eq!(stack.api(method.clone(), &path, Some(&token.text), None).await.status, 401, "{method} {path}");
    }
    for path in ["/", "/npm/x"] {
        assert_eq!(stack.registry(Method::GET, path, Some(&alice)).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_session_counts_in_one_authorization_header_and_nowhere_else() {
    let stack = Harness::start().await;
    let alice = stack.session("alice").await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        crate::harness::send(stack.stack.ports().api, request.body(Full::default()).unwrap()).await.status
    };
    let bearer = format!("Bearer {alice}");
    assert_eq!(ask("/tokens", &[("authorization", &bearer)]).await, 200);
    for name in ["cookie", "x-authorization", "proxy-authorization", "x-amzn-oidc-data", "x-forwarded-authorization"] {
        assert_eq!(ask("/tokens", &[(name, &bearer)]).await, 401, "{name}");
    }
    assert_eq!(ask("/tokens", &[("cookie", &format!("session={alice}; access_token={alice}"))]).await, 401);
    assert_eq!(ask(&format!("/tokens?access_token={alice}&authorization=Bearer+{alice}"), &[]).await, 401);
    for other in ["Bearer x", "Basic YTpi", ""] {
        for pair in [[bearer.as_str(), other], [other, &bearer]] {
            let headers = pair.map(|value| ("authorization", value));
            assert_eq!(ask("/tokens", &headers).await, 401, "two lines are no session: {other:?}");
        }
    }
    for scheme in ["Basic", "Digest", "Token", "Bearer Bearer", "Bearer\t"] {
        assert_eq!(ask("/tokens", &[("authorization", &format!("{scheme} {alice}"))]).await, 401, "{scheme}");
    }
}
