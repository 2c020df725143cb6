//! The console: the page where people make, list, rotate, change and revoke their tokens, and the files that belong to it.
//!
//! The files in `page/` are embedded as they are; what a deployment sets goes into the document and the style sheet, once,
//! at start.

use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request};
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::HttpResponse;
use serde_json::json;
use sha2::{Digest, Sha256};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The modules, by the names under which the page asks for them.
const MODULES: [(&str, &str); 18] = [
    ("addresses.js", include_str!("../page/addresses.js")),
    ("administrator.js", include_str!("../page/administrator.js")),
    ("api.js", include_str!("../page/api.js")),
    ("app.js", include_str!("../page/app.js")),
    ("card.js", include_str!("../page/card.js")),
    ("change.js", include_str!("../page/change.js")),
    ("created.js", include_str!("../page/created.js")),
    ("dom.js", include_str!("../page/dom.js")),
    ("draft.js", include_str!("../page/draft.js")),
    ("expiry.js", include_str!("../page/expiry.js")),
    ("field.js", include_str!("../page/field.js")),
    ("form.js", include_str!("../page/form.js")),
    ("generate.js", include_str!("../page/generate.js")),
    ("list.js", include_str!("../page/list.js")),
    ("permissions.js", include_str!("../page/permissions.js")),
    ("rotate.js", include_str!("../page/rotate.js")),
    ("session.js", include_str!("../page/session.js")),
    ("words.js", include_str!("../page/words.js")),
];

/// The function: its files.
pub struct Function {
    files: Vec<File>,
    content_security_policy: HeaderValue,
}

struct File {
    path: String,
    content_type: &'static str,
    etag: HeaderValue,
    content: String,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let (issuer, origins) = (read.oidc_issuer(), read.oidc_origins());
        let lifetime = read.lifetime();
        let logo = read.console_logo();
        let title = read.console_title();
        let resources = read.resources();
        let config = json!({
            "issuer": issuer,
            "clientId": read.oidc_client_id(),
            "title": title,
            "logo": logo,
            "defaultDays": read.default_token_days(&lifetime),
            "maxDays": lifetime.max_days,
            "allowNoExpiry": lifetime.allow_no_expiry,
            "adminGroup": read.admin_group(),
            "resources": resources.iter().map(|(label, resource)| json!([label, resource.as_str()])).collect::<Vec<_>>(),
        });
        let [red, green, blue] = read.console_accent();
        let accent = format!("#{red:02x}{green:02x}{blue:02x}");
        let document = include_str!("../page/index.html")
            .replace("{{title}}", &escaped(&title))
            .replace("{{config}}", &escaped(&config.to_string()));
        let style = include_str!("../page/style.css")
            .replace("{{accent}}", &accent)
            .replace("{{on-accent}}", on_accent([red, green, blue]));
        let mut files = vec![
            File::new("/".into(), "text/html; charset=utf-8", document),
            File::new("/console/style.css".into(), "text/css; charset=utf-8", style),
            File::new("/console/icon.svg".into(), "image/svg+xml", include_str!("../page/icon.svg").into()),
        ];
        let modules = MODULES.iter();
        files.extend(modules.map(|(name, text)| File::new(format!("/console/{name}"), JAVASCRIPT, (*text).into())));
        let connect: Vec<_> =
            [issuer.as_str()].into_iter().chain(origins.iter().map(String::as_str)).map(origin).collect();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {}; connect-src 'self' {}; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
            logo.as_deref().map(origin).unwrap_or_default(),
            connect.join(" "),
        );
        // Addresses are checked to be of harmless ASCII.
        let content_security_policy =
            HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        read.finish(Self { files, content_security_policy })
    }

    /// Answers one request.
    pub fn handle(&self, request: &Request) -> HttpResponse {
        let path = request.uri().path();
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            return self.answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Body::from("Not found.\n"));
        };
        tracing::debug!(path, "file");
        let known = request.headers().get_all(IF_NONE_MATCH).iter().any(|known| matches(known, &file.etag));
        let mut response = match known {
            true => self.answer(StatusCode::NOT_MODIFIED, file.content_type, Body::Empty),
            false => self.answer(StatusCode::OK, file.content_type, Body::from(file.content.clone())),
        };
        response.headers_mut().insert(ETAG, file.etag.clone());
        response
    }

    fn answer(&self, status: StatusCode, content_type: &'static str, body: Body) -> HttpResponse {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.content_security_policy.clone());
        for (name, value) in [
            (CONTENT_TYPE, content_type),
            // Asked for again at every visit, sent again only after a change.
            (CACHE_CONTROL, "no-cache"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // The address holds the code of a sign-in for a moment.
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl File {
    fn new(path: String, content_type: &'static str, content: String) -> Self {
        let hash = Sha256::digest(&content);
        let tag: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // Hexadecimal digits in quotes are a header's value.
        let etag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { path, content_type, etag, content }
    }
}

/// Weak comparison (RFC 9110, section 13.1.2): a proxy that compresses may have weakened our tag.
fn matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Text as it may stand in a document and between quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or(url)
}

/// Black or white: whichever can be read on this colour (WCAG 2.2, relative luminance).
fn on_accent(colour: [u8; 3]) -> &'static str {
    let linear = |channel: u8| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = colour.map(linear);
    // Where black and white have the same contrast: (L + 0.05)² = 0.05 × 1.05.
    if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 { "#000000" } else { "#ffffff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_the_accent_can_be_read() {
        assert_eq!(on_accent([0x34, 0x51, 0xc6]), "#ffffff");
        assert_eq!(on_accent([0xff, 0xd0, 0x00]), "#000000");
    }

    #[test]
    fn an_origin_is_an_address_without_its_path() {
        assert_eq!(
            origin("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"),
            "https://cognito-idp.eu-west-1.amazonaws.com"
        );
        assert_eq!(origin("http://127.0.0.1:3002"), "http://127.0.0.1:3002");
    }

    #[test]
    fn a_tag_is_known_in_a_list_and_weakened() {
        let tag = HeaderValue::from_static("\"a\"");
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches(&HeaderValue::from_static(known), &tag), "{known}");
        }
        assert!(!matches(&HeaderValue::from_static("\"b\""), &tag));
    }
}
