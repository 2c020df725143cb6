//! The JWT authorizer of an HTTP API: sessions verified as API Gateway verifies them.

use crate::client::{Client, ClientError};
use crate::wire;
use http_body_util::BodyExt;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use latchkey::clock::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::RwLock;

/// "Currently, only RSA-based algorithms are supported", says API Gateway's developer guide. Naming them keeps out
/// `none` and the HMACs, with which anybody could sign who knows the public key.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

/// The claims of a session, all as text.
pub type Claims = BTreeMap<String, String>;

/// Whose sessions are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The issuer (`iss`).
    pub issuer: String,
    /// The audiences, one of which a session must be for.
    pub audience: Vec<String>,
}

/// Why a session is not accepted; its `Display` stands in the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no JWT, or not one signed with an algorithm that is allowed.
    Malformed,
    /// The issuer publishes no key of its `kid`.
    UnknownKey,
    /// The signature is not the issuer's.
    Signature,
    /// `iss` is another issuer.
    Issuer,
    /// `aud` (or, without it, `client_id`) is none of the audiences.
    Audience,
    /// `exp` is missing or past.
    Expired,
    /// `nbf` or `iat` is still to come.
    NotYet,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is malformed or its algorithm is not supported",
            Self::UnknownKey => "the issuer has no key of this kid",
            Self::Signature => "the signature is invalid",
            Self::Issuer => "the issuer is not the expected one",
            Self::Audience => "the token does not have a valid audience",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
        })
    }
}

/// Verifies a session against the issuer's keys. There is no leeway for clocks that differ.
pub fn verify(session: &str, keys: &JwkSet, accepted: &Accepted, now: Timestamp) -> Result<Claims, Refused> {
    let claims = signed(session, keys)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(Refused::Malformed)).transpose();
    #[allow(clippy::cast_precision_loss)] // Seconds until the year 9999 are exact in an f64.
    let now = now.as_secs() as f64;

    if text("iss") != Some(accepted.issuer.as_str()) {
        return Err(Refused::Issuer);
    }
    let accepts = |audience: &Value| accepted.audience.iter().any(|accepted| audience == accepted.as_str());
    let audience = match (claims.get("aud"), claims.get("client_id")) {
        (Some(Value::Array(several)), _) => several.iter().any(accepts),
        (Some(one), _) | (None, Some(one)) => accepts(one),
        (None, None) => false,
    };
    if !audience {
        return Err(Refused::Audience);
    }
    if time("exp")?.is_none_or(|exp| exp <= now) {
        return Err(Refused::Expired);
    }
    if [time("nbf")?, time("iat")?].into_iter().flatten().any(|start| start > now) {
        return Err(Refused::NotYet);
    }
    Ok(claims.iter().map(|(name, value)| (name.clone(), as_text(value))).collect())
}

/// The claims of a token with a good signature.
fn signed(session: &str, keys: &JwkSet) -> Result<Map<String, Value>, Refused> {
    let header = jsonwebtoken::decode_header(session).map_err(|_| Refused::Malformed)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refused::Malformed);
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Refused::UnknownKey)?;
    if key.common.key_algorithm.is_some_and(|algorithm| algorithm.to_string() != format!("{:?}", header.alg)) {
        return Err(Refused::Signature);
    }
    let key = DecodingKey::from_jwk(key).map_err(|_| Refused::UnknownKey)?;
    // The signature alone: the claims are ours to check, against the stack's clock.
    let mut signature = Validation::new(header.alg);
    signature.required_spec_claims.clear();
    signature.validate_exp = false;
    signature.validate_aud = false;
    match jsonwebtoken::decode(session, &key, &signature) {
        Ok(token) => Ok(token.claims),
        Err(_) => Err(Refused::Signature),
    }
}

/// A claim as API Gateway hands it on: text as it is, a list as `[a b]`, an object as `map[k:v]`.
fn as_text(claim: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(" ");
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", join(items.iter().map(as_text).collect())),
        Value::Object(fields) => {
            format!("map[{}]", join(fields.iter().map(|(name, value)| format!("{name}:{}", as_text(value))).collect()))
        }
        other => other.to_string(),
    }
}

/// Verifies sessions with keys that it fetches from the issuer.
pub struct JwtAuthorizer {
    accepted: Accepted,
    client: Client,
    keys: RwLock<JwkSet>,
}

/// Why a request is not let in.
#[derive(Debug)]
pub enum Denied {
    /// It carries no session.
    NoSession,
    /// Its session is not accepted.
    Refused(Refused),
    /// The issuer's keys cannot be had.
    NoKeys(String),
}

#[derive(Deserialize)]
struct Discovery {
    jwks_uri: String,
}

impl JwtAuthorizer {
    /// An authorizer for these sessions; it asks the issuer when the first one comes.
    pub fn new(accepted: Accepted) -> Result<Self, ClientError> {
        let client = Client::for_scheme(accepted.issuer.starts_with("https://"))?;
        Ok(Self { accepted, client, keys: RwLock::new(JwkSet { keys: vec![] }) })
    }

    /// Verifies the session in an `Authorization` header: a token alone or behind `Bearer `.
    pub async fn authorize(&self, authorization: Option<&str>, now: Timestamp) -> Result<Claims, Denied> {
        let session = authorization.map(|value| match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => value.trim(),
        });
        let session = session.filter(|session| !session.is_empty()).ok_or(Denied::NoSession)?;
        match verify(session, &*self.keys.read().await, &self.accepted, now) {
            Err(Refused::UnknownKey) => {}
            verified => return verified.map_err(Denied::Refused),
        }
        // The issuer may have a new key since.
        let fetched = self.fetch_keys().await.map_err(Denied::NoKeys)?;
        let verified = verify(session, &fetched, &self.accepted, now);
        *self.keys.write().await = fetched;
        verified.map_err(Denied::Refused)
    }

    async fn fetch_keys(&self) -> Result<JwkSet, String> {
        let issuer = self.accepted.issuer.trim_end_matches('/');
        let discovery: Discovery = self.fetch(&format!("{issuer}/.well-known/openid-configuration")).await?;
        let keys: Value = self.fetch(&discovery.jwks_uri).await?;
        // Key by key: a set may hold some of kinds that are not known here.
        let keys = keys.get("keys").and_then(Value::as_array).ok_or("the issuer's key set has no keys")?;
        Ok(JwkSet { keys: keys.iter().filter_map(|key| Jwk::deserialize(key).ok()).collect() })
    }

    async fn fetch<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let request = http::Request::get(url).body(wire::full("")).map_err(|error| error.to_string())?;
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("{url} answers {}", response.status()));
        }
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| format!("{url}: {error}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::issuer::SigningKey;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn key() -> &'static SigningKey {
        SigningKey::of_this_process().unwrap()
    }

    fn check(session: &str) -> Result<Claims, Refused> {
        let accepted = Accepted { issuer: "https://issuer.example".into(), audience: vec!["latchkey".into()] };
        verify(session, &key().public_keys(), &accepted, Timestamp::from_secs(NOW))
    }

    /// Good claims, changed; `null` takes one away.
    fn claims(changes: Value) -> Value {
        let mut claims = json!({
            "iss": "https://issuer.example", "sub": "alice", "aud": "latchkey", "iat": NOW, "exp": NOW + 1,
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    fn refused(changes: Value) -> Option<Refused> {
        check(&key().sign(&claims(changes))).err()
    }

    #[test]
    fn a_good_session_gives_its_claims_as_text() {
        let changes = json!({"groups": ["admins", "staff"], "ok": true, "address": {"city": "Ghent"}});
        let read = check(&key().sign(&claims(changes))).unwrap();
        assert_eq!(read["sub"], "alice");
        assert_eq!(read["exp"], (NOW + 1).to_string());
        assert_eq!(read["groups"], "[admins staff]");
        assert_eq!(read["ok"], "true");
        assert_eq!(read["address"], "map[city:Ghent]");
    }

    #[test]
    fn a_session_holds_from_its_start_until_before_its_end() {
        assert_eq!(refused(json!({"exp": NOW})), Some(Refused::Expired));
        assert_eq!(refused(json!({"exp": null})), Some(Refused::Expired));
        assert_eq!(refused(json!({"nbf": NOW})), None);
        assert_eq!(refused(json!({"nbf": NOW + 1})), Some(Refused::NotYet));
        assert_eq!(refused(json!({"iat": NOW + 1})), Some(Refused::NotYet));
        assert_eq!(refused(json!({"exp": "tomorrow"})), Some(Refused::Malformed));
    }

    #[test]
    fn the_issuer_must_be_the_one_accepted() {
        assert_eq!(refused(json!({"iss": "https://issuer.example/"})), Some(Refused::Issuer));
        assert_eq!(refused(json!({"iss": null})), Some(Refused::Issuer));
    }

    #[test]
    fn the_audience_is_aud_and_only_without_it_client_id() {
        assert_eq!(refused(json!({"aud": ["other", "latchkey"]})), None);
        assert_eq!(refused(json!({"aud": null, "client_id": "latchkey"})), None);
        assert_eq!(refused(json!({"aud": "other"})), Some(Refused::Audience));
        assert_eq!(refused(json!({"aud": "other", "client_id": "latchkey"})), Some(Refused::Audience));
        assert_eq!(refused(json!({"aud": [], "client_id": "latchkey"})), Some(Refused::Audience));
        assert_eq!(refused(json!({"aud": null})), Some(Refused::Audience));
    }

    #[test]
    fn a_changed_session_is_refused() {
        let session = key().sign(&claims(json!({})));
        let mut parts = session.split('.').map(str::to_string).collect::<Vec<_>>();
        parts[1] = URL_SAFE_NO_PAD.encode(claims(json!({"sub": "bob"})).to_string());
        assert_eq!(check(&parts.join(".")), Err(Refused::Signature));
    }

    #[test]
    fn a_session_signed_with_another_key_is_refused() {
        let other = SigningKey::generate().unwrap();
        assert_eq!(check(&other.sign(&claims(json!({})))), Err(Refused::UnknownKey));
        // The same, under the name of the issuer's key.
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key().kid().into());
        let forged = jsonwebtoken::encode(&header, &claims(json!({})), other.encoding()).unwrap();
        assert_eq!(check(&forged), Err(Refused::Signature));
    }

    #[test]
    fn a_session_without_an_rsa_signature_is_refused() {
        let encode = |header: Value| {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&header), part(&claims(json!({}))))
        };
        let kid = key().kid();
        assert_eq!(check(&encode(json!({"alg": "none", "kid": kid}))), Err(Refused::Malformed));
        assert_eq!(check(&encode(json!({"alg": "RS256", "kid": kid}))), Err(Refused::Signature));
        // The public key, known to all, taken for a secret.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid.into());
        let public = serde_json::to_vec(&key().public_keys()).unwrap();
        let forged = jsonwebtoken::encode(&header, &claims(json!({})), &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(check(&forged), Err(Refused::Malformed));
    }

    #[test]
    fn a_session_must_name_its_key() {
        let forged = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(json!({})), key().encoding());
        assert_eq!(check(&forged.unwrap()), Err(Refused::UnknownKey));
    }

    #[test]
    fn what_is_no_jwt_is_refused() {
        for text in ["", ".", "..", "a.b.c", "alice", "é.é.é"] {
            assert_eq!(check(text), Err(Refused::Malformed), "{text}");
        }
    }
}
