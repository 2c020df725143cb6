//! The OpenID Connect issuer that stands in for the deployment's own: it signs in anybody under any name.

use crate::options::Clock;
use crate::upload::Upload;
use crate::wire::{self, Body};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

/// How long a session lasts.
const SESSION_SECONDS: i64 = 3_600;

/// What a sign-in form may hold.
const MAX_FORM: usize = 16 * 1024;

/// OpenID Connect Core 1.0, section 2: `sub` has at most 255 characters.
const MAX_SUBJECT: usize = 255;

/// The issuer's key. RSA, since the JWT authorizers of API Gateway take nothing else.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    public: Jwk,
    kid: String,
}

/// Why there is no signing key.
#[derive(Debug)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_pem(new_pem()?.as_bytes())
    }

    /// The key of every stack of this process that keeps its data in memory: making one takes a while.
    pub fn of_this_process() -> Result<&'static Self, KeyError> {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        match KEY.get() {
            Some(key) => Ok(key),
            None => {
                let key = Self::generate()?;
                Ok(KEY.get_or_init(|| key))
            }
        }
    }

    /// The key in this file, which is made if it is not there, so that sessions outlive a restart.
    pub fn in_file(path: &Path) -> Result<Self, KeyError> {
        let failed = |error: &dyn fmt::Display| KeyError(format!("{}: {error}", path.display()));
        match std::fs::read(path) {
            Ok(pem) => Self::from_pem(&pem).map_err(|error| failed(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = new_pem()?;
                let mut file = std::fs::OpenOptions::new();
                let mut file = file.write(true).create_new(true).mode(0o600).open(path).map_err(|e| failed(&e))?;
                file.write_all(pem.as_bytes()).map_err(|error| failed(&error))?;
                Self::from_pem(pem.as_bytes())
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let wrong = |error| KeyError(format!("no RSA key: {error}"));
        let encoding = EncodingKey::from_rsa_pem(pem).map_err(wrong)?;
        let mut public = Jwk::from_encoding_key(&encoding, Algorithm::RS256).map_err(wrong)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(wrong)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { encoding, public, kid })
    }

    /// The public half, as it is published.
    pub fn public_keys(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// The name of the key: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private half.
    pub fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    /// A JWT of these claims, empty should they not serialise.
    pub fn sign(&self, claims: &impl Serialize) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap_or_default()
    }
}

fn new_pem() -> Result<String, KeyError> {
    let failed = |_| KeyError("no RSA key could be made".into());
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in STANDARD.encode(der.as_ref()).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// The issuer.
pub struct Issuer {
    url: String,
    audience: String,
    key: SigningKey,
    clock: Clock,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<&'a str>,
}

/// `access_token` comes first: the printed curl lines cut it out by its place.
#[derive(Serialize)]
struct Session {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

/// RFC 6749, section 5.2.
struct OAuthError(&'static str, String);

impl Issuer {
    /// An issuer at this address, whose sessions are for this audience.
    pub fn new(url: String, audience: String, key: SigningKey, clock: Clock) -> Self {
        Self { url, audience, key, clock }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let allowed = match request.uri().path() {
            "/.well-known/openid-configuration" | "/.well-known/jwks.json" => Method::GET,
            "/oauth2/token" => Method::POST,
            _ => return wire::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
        };
        if *request.method() != allowed {
            let mut response = wire::json(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "method_not_allowed"}));
            if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
                response.headers_mut().insert(http::header::ALLOW, allowed);
            }
            return response;
        }
        match request.uri().path() {
            "/oauth2/token" => self.token(request).await,
            "/.well-known/jwks.json" => wire::json(StatusCode::OK, &self.key.public_keys()),
            _ => wire::json(StatusCode::OK, &self.discovery()),
        }
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url,
            "token_endpoint": at("/oauth2/token"),
            "jwks_uri": at("/.well-known/jwks.json"),
            "grant_types_supported": ["password"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "groups"],
        })
    }

    async fn token(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = match self.sign_in(request).await {
            Ok(session) => wire::json(StatusCode::OK, &session),
            Err(OAuthError(error, description)) => {
                wire::json(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}))
            }
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
        response
    }

    async fn sign_in(&self, request: Request<Incoming>) -> Result<Session, OAuthError> {
        let invalid = |description: &str| OAuthError("invalid_request", description.into());
        let content_type = request.headers().get(CONTENT_TYPE).map(wire::text).unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(invalid("the body must be application/x-www-form-urlencoded"));
        }
        let (head, body) = request.into_parts();
        let body = Upload::new(&head.headers, body, MAX_FORM).read().await;
        let body = body.map_err(|_| invalid("the body is longer than 16 KB, or broke off"))?;
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(&body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let field = |name: &str| {
            let mut values = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (Some(_), Some(_)) => Err(invalid(&format!("{name} is given twice"))),
                (value, _) => Ok(value.filter(|value| !value.is_empty())),
            }
        };
        match field("grant_type")? {
            Some("password") => {}
            Some(_) => {
                return Err(OAuthError("unsupported_grant_type", "the one supported grant_type is password".into()));
            }
            None => return Err(invalid("grant_type is missing; it must be password")),
        }
        let subject = field("username")?.ok_or_else(|| invalid("username is missing; any name will do"))?;
        if subject.chars().count() > MAX_SUBJECT {
            return Err(invalid("username is longer than 255 characters"));
        }
        let groups = field("groups")?.unwrap_or_default();
        let groups = groups.split([' ', ',']).filter(|group| !group.is_empty()).collect();
        let now = (self.clock)().as_secs();
        Ok(Session {
            access_token: self.key.sign(&Claims {
                iss: &self.url,
                sub: subject,
                aud: &self.audience,
                iat: now,
                exp: now + SESSION_SECONDS,
                groups,
            }),
            token_type: "Bearer",
            expires_in: SESSION_SECONDS,
        })
    }
}
