//! The OpenID Connect issuer that stands in for the deployment's own: it signs in anybody under any name.

use crate::grants::{Asking, Grants, Person};
use crate::options::Clock;
use crate::upload::Upload;
use crate::wire::{self, Body};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, PRAGMA};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use latchkey::clock::Timestamp;
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
    grants: Grants,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// `access_token` comes first: the printed curl lines cut it out by its place.
#[derive(Serialize)]
struct Session {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// RFC 6749, section 5.2.
struct OAuthError(&'static str, String);

fn invalid(description: impl Into<String>) -> OAuthError {
    OAuthError("invalid_request", description.into())
}

/// The fields of a form or a query; a field that is given twice is an error, an empty one is none.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    async fn of_body(request: Request<Incoming>) -> Result<Self, OAuthError> {
        let content_type = request.headers().get(CONTENT_TYPE).map(wire::text).unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(invalid("the body must be application/x-www-form-urlencoded"));
        }
        let (head, body) = request.into_parts();
        let body = Upload::new(&head.headers, body, MAX_FORM).read().await;
        body.map(|body| Self::of(&body)).map_err(|_| invalid("the body is longer than 16 KB, or broke off"))
    }

    fn get(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(invalid(format!("{name} is given twice"))),
            (value, _) => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)?.ok_or_else(|| invalid(format!("{name} is missing")))
    }

    /// Whoever signs in, under any name.
    fn person(&self) -> Result<Person, OAuthError> {
        let subject = self.get("username")?.ok_or_else(|| invalid("username is missing; any name will do"))?;
        if subject.chars().count() > MAX_SUBJECT {
            return Err(invalid("username is longer than 255 characters"));
        }
        let groups = self.get("groups")?.unwrap_or_default();
        let groups = groups.split([' ', ',']).filter(|group| !group.is_empty()).map(str::to_string).collect();
        Ok(Person { subject: subject.into(), groups })
    }
}

impl Issuer {
    /// An issuer at this address, whose sessions are for this audience.
    pub fn new(url: String, audience: String, key: SigningKey, clock: Clock) -> Self {
        Self { url, audience, key, clock, grants: Grants::default() }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let allowed: &[Method] = match request.uri().path() {
            "/.well-known/openid-configuration" | "/.well-known/jwks.json" | "/oauth2/logout" => &[Method::GET],
            "/oauth2/authorize" => &[Method::GET, Method::POST],
            "/oauth2/token" => &[Method::POST],
            _ => return wire::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
        };
        if !allowed.contains(request.method()) {
            let mut response = wire::json(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "method_not_allowed"}));
            let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            if let Ok(allowed) = HeaderValue::from_str(&allowed) {
                response.headers_mut().insert(ALLOW, allowed);
            }
            return response;
        }
        let mut response = match request.uri().path() {
            "/oauth2/authorize" => return self.authorize(request).await,
            "/oauth2/logout" => return log_out(&request),
            "/oauth2/token" => self.token(request).await,
            "/.well-known/jwks.json" => wire::json(StatusCode::OK, &self.key.public_keys()),
            _ => wire::json(StatusCode::OK, &self.discovery()),
        };
        // A page of any origin may ask for these: they take no cookie.
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url,
            "authorization_endpoint": at("/oauth2/authorize"),
            "token_endpoint": at("/oauth2/token"),
            "end_session_endpoint": at("/oauth2/logout"),
            "jwks_uri": at("/.well-known/jwks.json"),
            "grant_types_supported": ["authorization_code", "refresh_token", "password"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "groups"],
        })
    }

    /// The form for signing in, and what follows from it.
    async fn authorize(&self, request: Request<Incoming>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let asked = match self.asked(&query) {
            Ok(asked) => asked,
            Err(OAuthError(_, description)) => return page(StatusCode::BAD_REQUEST, "Not possible", &description),
        };
        if request.method() == Method::GET {
            return sign_in_form(&query, None);
        }
        let person = match Fields::of_body(request).await.and_then(|fields| fields.person()) {
            Ok(person) => person,
            Err(OAuthError(_, description)) => return sign_in_form(&query, Some(&description)),
        };
        let (state, redirect_uri) = (asked.state, asked.code.redirect_uri.clone());
        let code = self.grants.give_code(person, asked.code, (self.clock)());
        let mut answer = form_urlencoded::Serializer::new(String::new());
        answer.append_pair("code", &code);
        state.map(|state| answer.append_pair("state", &state));
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        redirect(&format!("{redirect_uri}{separator}{}", answer.finish()))
    }

    fn asked(&self, query: &str) -> Result<Asked, OAuthError> {
        let fields = Fields::of(query.as_bytes());
        if fields.required("client_id")? != self.audience {
            return Err(invalid(format!("client_id is unknown; the one client is {}", self.audience)));
        }
        let redirect_uri = fields.required("redirect_uri")?;
        if !is_loopback(redirect_uri) {
            return Err(invalid("redirect_uri must be on this machine, such as http://127.0.0.1:3000/"));
        }
        if fields.required("response_type")? != "code" {
            return Err(invalid("response_type must be code"));
        }
        if fields.required("code_challenge_method")? != "S256" {
            return Err(invalid("code_challenge_method must be S256"));
        }
        Ok(Asked {
            state: fields.get("state")?.map(str::to_string),
            code: Asking {
                redirect_uri: redirect_uri.into(),
                challenge: fields.required("code_challenge")?.into(),
                nonce: fields.get("nonce")?.map(str::to_string),
            },
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
        let fields = Fields::of_body(request).await?;
        let now = (self.clock)();
        let invalid_grant = |what: &str| OAuthError("invalid_grant", format!("the {what} is unknown, used or too old"));
        match fields.get("grant_type")? {
            Some("password") => Ok(self.session(&fields.person()?, now, None, None)),
            Some("authorization_code") => {
                let (code, verifier) = (fields.required("code")?, fields.required("code_verifier")?);
                let (person, asking) =
                    self.grants.take_code(code, now).ok_or_else(|| invalid_grant("authorization code"))?;
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
                if URL_SAFE_NO_PAD.encode(digest) != asking.challenge {
                    return Err(OAuthError("invalid_grant", "code_verifier does not match code_challenge".into()));
                }
                if fields.required("redirect_uri")? != asking.redirect_uri {
                    return Err(OAuthError("invalid_grant", "redirect_uri is another than before".into()));
                }
                let refresh = self.grants.give_refresh(person.clone());
                Ok(self.session(&person, now, Some(asking.nonce.as_deref()), Some(refresh)))
            }
            Some("refresh_token") => {
                let given = fields.required("refresh_token")?;
                let person = self.grants.take_refresh(given).ok_or_else(|| invalid_grant("refresh token"))?;
                let refresh = self.grants.give_refresh(person.clone());
                Ok(self.session(&person, now, Some(None), Some(refresh)))
            }
            Some(_) => {
                let known = "the supported grant_types are password, authorization_code and refresh_token";
                Err(OAuthError("unsupported_grant_type", known.into()))
            }
            None => Err(invalid("grant_type is missing; password, for one")),
        }
    }

    /// A session, with an ID token if one was asked for, for this nonce.
    fn session(
        &self,
        person: &Person,
        now: Timestamp,
        id_token: Option<Option<&str>>,
        refresh_token: Option<String>,
    ) -> Session {
        let claims = |nonce| Claims {
            iss: &self.url,
            sub: &person.subject,
            aud: &self.audience,
            iat: now.as_secs(),
            exp: now.as_secs() + SESSION_SECONDS,
            groups: &person.groups,
            nonce,
        };
        Session {
            access_token: self.key.sign(&claims(None)),
            token_type: "Bearer",
            expires_in: SESSION_SECONDS,
            id_token: id_token.map(|nonce| self.key.sign(&claims(nonce))),
            refresh_token,
        }
    }
}

/// A valid request for an authorization code.
struct Asked {
    state: Option<String>,
    code: Asking,
}

/// Only pages on this machine: whoever is sent there is signed in under any name.
fn is_loopback(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    host.is_some_and(|host| matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

fn log_out(request: &Request<Incoming>) -> Response<Body> {
    let fields = Fields::of(request.uri().query().unwrap_or_default().as_bytes());
    match fields.get("post_logout_redirect_uri") {
        Ok(Some(back)) if is_loopback(back) => redirect(back),
        _ => page(StatusCode::OK, "Signed out", "You can close this page."),
    }
}

fn redirect(to: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(to) else {
        return page(StatusCode::BAD_REQUEST, "Not possible", "redirect_uri holds characters that no address has");
    };
    let mut response = Response::new(wire::full(""));
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location);
    response
}

fn sign_in_form(query: &str, wrong: Option<&str>) -> Response<Body> {
    let wrong = wrong.map(|wrong| format!("<p role=\"alert\">{}</p>", escaped(wrong))).unwrap_or_default();
    let form = format!(
        "{wrong}<form method=\"post\" action=\"/oauth2/authorize?{}\"><p><label>Name (any will do)<br>\
         <input name=\"username\" autocomplete=\"username\" required autofocus></label></p>\
         <p><label>Groups (if any, apart by spaces)<br><input name=\"groups\"></label></p>\
         <p><button>Sign in</button></p></form>",
        escaped(query)
    );
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    html(status, "Sign in", &form)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    html(status, title, &format!("<p>{}</p>", escaped(text)))
}

fn html(status: StatusCode, title: &str, body: &str) -> Response<Body> {
    let mut response = Response::new(wire::full(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>:root{{color-scheme:light dark;font:1rem/1.5 system-ui}}\
         main{{max-width:20rem;margin:4rem auto}}input,button{{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}}\
         </style><main><h1>{title}</h1>{body}</main>"
    )));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
