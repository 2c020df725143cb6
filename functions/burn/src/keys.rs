//! The keys that GitHub signs its reports with.

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnector;
use http_body_util::{BodyExt, Limited};
use latchkey::clock::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long keys are used before they are read again.
const KEPT_SECONDS: i64 = 24 * 3600;
/// How long they are not read again, whatever comes: made-up names of keys must not make us ask on and on.
const PAUSE_SECONDS: i64 = 60;
/// How long reading them may take. The function has 25 s.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes they may have. GitHub's are under 2,000.
const MOST_BYTES: usize = 65_536;

/// What stands before the point in the encoding of every P-256 key (RFC 5480, section 2): algorithm and curve.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// GitHub's keys, as far as this instance knows them.
pub struct Keys {
    url: String,
    /// Certificates in PEM that are trusted instead of the system's.
    roots: Option<Vec<u8>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: BTreeMap<String, Key>,
    /// When they were read.
    read_at: Option<Timestamp>,
    /// When they were last asked for, and whether they came.
    asked: Option<(Timestamp, bool)>,
}

/// A point on P-256, uncompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 65]);

/// The keys cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub struct NoKeys;

#[derive(Deserialize)]
struct List {
    public_keys: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    key_identifier: String,
    key: String,
    is_current: bool,
}

impl Keys {
    /// Those at this address, which is first asked when a report comes.
    pub fn new(url: String, roots: Option<Vec<u8>>) -> Self {
        Self { url, roots, known: Mutex::default() }
    }

    /// The key of this name, if it is one that GitHub signs with now.
    pub async fn current(&self, identifier: &str, now: Timestamp) -> Result<Option<Key>, NoKeys> {
        // Over the reading, too: whoever comes meanwhile waits for it and asks no second time.
        let mut known = self.known.lock().await;
        if !(known.is_fresh(now) && known.keys.contains_key(identifier)) && known.may_ask(now) {
            match self.read().await {
                Ok(keys) => *known = Known { keys, read_at: Some(now), asked: Some((now, true)) },
                Err(error) => {
                    tracing::error!(error, "GitHub's keys could not be read");
                    known.asked = Some((now, false));
                }
            }
        }
        match known.keys.get(identifier) {
            _ if !known.is_fresh(now) => Err(NoKeys),
            Some(key) => Ok(Some(*key)),
            // It may be one of those that did not come.
            None if known.asked.is_some_and(|(_, came)| !came) => Err(NoKeys),
            None => Ok(None),
        }
    }

    async fn read(&self) -> Result<BTreeMap<String, Key>, &'static str> {
        let body = tokio::time::timeout(TIMEOUT, self.get()).await.map_err(|_| "no answer in time")?;
        let body = body.map_err(|error| {
            tracing::debug!(%error, "reading GitHub's keys");
            "no answer"
        })?;
        parse(&body)
    }

    async fn get(&self) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let roots = match &self.roots {
            Some(roots) => TrustStore::empty().with_pem_certificate(roots.clone()),
            None => TrustStore::default(),
        };
        let tls = TlsContext::builder().with_trust_store(roots).build()?;
        // Made anew each day: most instances never need it, and the system's certificates take time to read.
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build();
        let mut request = HttpRequest::get(&self.url)?;
        // GitHub refuses requests that do not say whose they are.
        request.headers_mut().insert("user-agent", "latchkey");
        request.headers_mut().insert("accept", "application/json");
        let response = connector.call(request).await?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()).into());
        }
        Ok(Limited::new(response.into_body(), MOST_BYTES).collect().await?.to_bytes().into())
    }
}

impl Known {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.read_at.is_some_and(|at| now.as_secs() - at.as_secs() < KEPT_SECONDS)
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        self.asked.is_none_or(|(at, _)| now.as_secs() - at.as_secs() >= PAUSE_SECONDS)
    }
}

impl Key {
    fn from_pem(pem: &str) -> Option<Self> {
        let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
        info.strip_prefix(&P256)?.try_into().ok().map(Self)
    }

    /// Whether this is its signature of these bytes (ECDSA with SHA-256, DER).
    pub fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0).verify(bytes, signature).is_ok()
    }
}

/// The keys that are current, and of a kind that we know.
fn parse(body: &[u8]) -> Result<BTreeMap<String, Key>, &'static str> {
    let list: List = serde_json::from_slice(body).map_err(|_| "not a list of keys")?;
    let current = list.public_keys.into_iter().filter(|listed| listed.is_current);
    let keys: BTreeMap<_, _> =
        current.filter_map(|listed| Some((listed.key_identifier, Key::from_pem(&listed.key)?))).collect();
    if keys.is_empty() { Err("no current key of P-256 in the list") } else { Ok(keys) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    fn pair() -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random).unwrap()
    }

    fn pem(pair: &EcdsaKeyPair) -> String {
        let der = [&P256[..], pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
    }

    #[test]
    fn a_key_knows_its_signature_of_these_very_bytes() {
        let (one, other) = (pair(), pair());
        let signature = one.sign(&SystemRandom::new(), b"[]").unwrap();
        let key = Key::from_pem(&pem(&one)).unwrap();
        assert!(key.signed(b"[]", signature.as_ref()));
        assert!(!key.signed(b"[ ]", signature.as_ref()));
        assert!(!key.signed(b"[]", &[]));
        assert!(!Key::from_pem(&pem(&other)).unwrap().signed(b"[]", signature.as_ref()));
    }

    /// The sample request of GitHub's documentation, and the key of the name that it gives.
    #[test]
    fn githubs_own_sample_is_signed_by_githubs_own_key() {
        let key = "-----BEGIN PUBLIC KEY-----\n\
                   MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\n\
                   AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n\
                   -----END PUBLIC KEY-----\n";
        let signature =
            "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";
        let body = r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        assert!(Key::from_pem(key).unwrap().signed(body.as_bytes(), &signature));
    }

    #[test]
    fn only_current_keys_of_the_known_kind_are_taken() {
        let (current, stale) = (pair(), pair());
        let other_kind = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----";
        let listed = |name: &str, key: &str, is_current: bool| json!({"key_identifier": name, "key": key, "is_current": is_current, "more": 1});
        let list = json!({"public_keys": [
            listed("current", &pem(&current), true),
            listed("stale", &pem(&stale), false),
            listed("other kind", other_kind, true),
            listed("no key", "hello", true),
        ]});
        let keys = parse(list.to_string().as_bytes()).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["current"]);
        for nothing in ["", "{}", "[]", r#"{"public_keys": []}"#, r#"{"public_keys": [{"key": 1}]}"#] {
            assert!(parse(nothing.as_bytes()).is_err(), "{nothing}");
        }
    }
}
