//! What the REST gateway answers by itself: the gateway responses of the template.

use crate::wire::{self, Body};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Why the gateway answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The authorizer's policy does not allow the request.
    AccessDenied,
    /// The authorizer's answer is not one.
    AuthorizerConfigurationError,
    /// The authorizer failed.
    AuthorizerFailure,
    /// The request is not one that can be passed on.
    BadRequest,
    /// The upstream cannot be reached.
    IntegrationFailure,
    /// The upstream does not answer in time.
    IntegrationTimeout,
    /// There is no such method.
    MissingAuthenticationToken,
    /// The body is over 10 MB.
    RequestTooLarge,
    /// The headers are over 10,240 bytes.
    HeadersTooLarge,
    /// The method ARN is over 1,600 bytes.
    UriTooLong,
    /// There is no credential, or none that is known.
    Unauthorized,
}

impl Kind {
    /// The gateway response's name, its status where the template gives none, and `$context.error.message`.
    ///
    /// API Gateway gives no message where an authorizer fails. The two errors without a name of their own are answered
    /// as any other of their class.
    fn defaults(self) -> (&'static str, StatusCode, Option<&'static str>) {
        match self {
            Self::AccessDenied => {
                ("ACCESS_DENIED", StatusCode::FORBIDDEN, Some("User is not authorized to access this resource"))
            }
            Self::AuthorizerConfigurationError => {
                ("AUTHORIZER_CONFIGURATION_ERROR", StatusCode::INTERNAL_SERVER_ERROR, None)
            }
            Self::AuthorizerFailure => ("AUTHORIZER_FAILURE", StatusCode::INTERNAL_SERVER_ERROR, None),
            Self::BadRequest => ("DEFAULT_4XX", StatusCode::BAD_REQUEST, Some("Bad Request")),
            Self::IntegrationFailure => {
                ("INTEGRATION_FAILURE", StatusCode::GATEWAY_TIMEOUT, Some("Network error communicating with endpoint"))
            }
            Self::IntegrationTimeout => {
                ("INTEGRATION_TIMEOUT", StatusCode::GATEWAY_TIMEOUT, Some("Endpoint request timed out"))
            }
            Self::MissingAuthenticationToken => {
                ("MISSING_AUTHENTICATION_TOKEN", StatusCode::FORBIDDEN, Some("Missing Authentication Token"))
            }
            Self::RequestTooLarge => ("REQUEST_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE, Some("Request Too Long")),
            Self::HeadersTooLarge => {
                ("DEFAULT_4XX", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Some("Request Header Fields Too Large"))
            }
            Self::UriTooLong => ("DEFAULT_4XX", StatusCode::URI_TOO_LONG, Some("Request-URI Too Long")),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED, Some("Unauthorized")),
        }
    }
}

/// The names that a template may give responses to.
const NAMES: [&str; 22] = [
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
    "WAF_CHALLENGE",
];

/// The variables of `$context` that gateway responses may use here, beside `authorizer.*`.
const VARIABLES: [&str; 9] = [
    "error.message",
    "error.messageString",
    "error.responseType",
    "httpMethod",
    "identity.sourceIp",
    "path",
    "requestId",
    "resourcePath",
    "stage",
];

/// Values of `$context`, by name without `$context.`.
pub type Variables = BTreeMap<String, String>;

/// A gateway response as a template spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    #[serde(default)]
    status_code: Option<Value>,
    #[serde(default)]
    response_parameters: BTreeMap<String, String>,
    #[serde(default)]
    response_templates: BTreeMap<String, String>,
}

/// All gateway responses of an API.
#[derive(Debug, Default)]
pub struct GatewayResponses(BTreeMap<String, GatewayResponse>);

#[derive(Debug)]
struct GatewayResponse {
    status: Option<StatusCode>,
    headers: Vec<(HeaderName, Source)>,
    template: Option<String>,
}

/// Where a header's value is from.
#[derive(Debug)]
enum Source {
    Static(String),
    Context(String),
}

/// A gateway response that is not supported here.
#[derive(Debug)]
pub struct Unsupported(String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl GatewayResponses {
    /// Reads and checks the gateway responses of a template.
    pub fn new(definitions: BTreeMap<String, Definition>) -> Result<Self, Unsupported> {
        let read = |(name, definition): (String, Definition)| {
            if !NAMES.contains(&name.as_str()) {
                return Err(Unsupported(format!("{name}: there is no gateway response of this name")));
            }
            let response = GatewayResponse::new(definition).map_err(|why| Unsupported(format!("{name}: {why}")))?;
            Ok((name, response))
        };
        definitions.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The answer of this kind. `variables` is what `$context` holds beside `error.*`.
    pub fn render(&self, kind: Kind, variables: &Variables) -> Response<Body> {
        let (name, status, message) = kind.defaults();
        let class = if status.is_client_error() { "DEFAULT_4XX" } else { "DEFAULT_5XX" };
        let mut variables = variables.clone();
        variables.insert("error.message".into(), message.unwrap_or_default().into());
        variables.insert("error.messageString".into(), json!(message).to_string());
        variables.insert("error.responseType".into(), name.into());

        let Some(defined) = self.0.get(name).or_else(|| self.0.get(class)) else {
            return wire::json(status, &json!({"message": message}));
        };
        // DEFAULT_4XX and DEFAULT_5XX leave each error its own status, unless they give one.
        let mut response = match &defined.template {
            Some(template) => Response::new(wire::full(substituted(template, &variables))),
            None => wire::json(status, &json!({"message": message})),
        };
        *response.status_mut() = defined.status.unwrap_or(status);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, source) in &defined.headers {
            let value = match source {
                Source::Static(text) => Some(text),
                Source::Context(variable) => variables.get(variable),
            };
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl GatewayResponse {
    fn new(definition: Definition) -> Result<Self, String> {
        let status = match definition.status_code {
            None => None,
            Some(code) => {
                let text = code.as_str().map_or_else(|| code.to_string(), str::to_string);
                Some(text.parse().map_err(|_| format!("{text} is no status"))?)
            }
        };
        let mut headers = vec![];
        for (parameter, source) in definition.response_parameters {
            let name = parameter
                .strip_prefix("gatewayresponse.header.")
                .and_then(|name| HeaderName::try_from(name).ok())
                .ok_or_else(|| format!("{parameter} is none of gatewayresponse.header.*"))?;
            let source = match source.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
                Some(text) if HeaderValue::from_str(text).is_ok() => Source::Static(text.into()),
                None if source.strip_prefix("context.").is_some_and(is_variable) => {
                    Source::Context(source.trim_start_matches("context.").into())
                }
                _ => {
                    return Err(format!(
                        "{parameter} is from {source}, which is neither a text in quotes nor a known context.*"
                    ));
                }
            };
            headers.push((name, source));
        }
        let mut templates = definition.response_templates;
        let template = templates.remove("application/json");
        if let Some(other) = templates.keys().next() {
            return Err(format!("a template for {other}; only application/json is supported"));
        }
        if let Some(template) = &template {
            check(template)?;
        }
        Ok(Self { status, headers, template })
    }
}

fn is_variable(name: &str) -> bool {
    name.strip_prefix("authorizer.").is_some_and(|name| !name.is_empty()) || VARIABLES.contains(&name)
}

/// Pieces of a template: plain text, and names after `$`.
fn pieces(template: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(template);
    std::iter::from_fn(move || {
        let (text, behind) = match rest?.split_once('$') {
            None => return rest.take().map(|text| (text, None)),
            Some(halves) => halves,
        };
        let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(behind.len());
        // A full stop behind a variable ends a sentence.
        let name = behind.get(..end).unwrap_or_default().trim_end_matches('.');
        rest = behind.get(name.len()..);
        Some((text, Some(name)))
    })
}

fn check(template: &str) -> Result<(), String> {
    for name in pieces(template).filter_map(|(_, name)| name) {
        if !name.strip_prefix("context.").is_some_and(is_variable) {
            return Err(format!("${name} is no variable that is known here"));
        }
    }
    // Gateway responses know no Velocity: `#set` and the like would be sent as they stand.
    Ok(())
}

/// The template with its variables put in as they are: API Gateway escapes none but `error.messageString`, which is
/// JSON by itself, quotes included. One that has no value is empty.
fn substituted(template: &str, variables: &Variables) -> String {
    let value = |name: &str| variables.get(name.trim_start_matches("context.")).map_or("", String::as_str).to_string();
    pieces(template).map(|(text, name)| format!("{text}{}", name.map(value).unwrap_or_default())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn responses(definitions: Value) -> Result<GatewayResponses, String> {
        GatewayResponses::new(serde_json::from_value(definitions).unwrap()).map_err(|why| why.to_string())
    }

    async fn body(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn without_a_definition_the_gateway_has_its_own_words() {
        let responses = responses(json!({})).unwrap();
        let denied = responses.render(Kind::Unauthorized, &Variables::new());
        assert_eq!(denied.status(), 401);
        assert_eq!(body(denied).await, r#"{"message":"Unauthorized"}"#);
        assert_eq!(body(responses.render(Kind::AuthorizerFailure, &Variables::new())).await, r#"{"message":null}"#);
    }

    #[tokio::test]
    async fn a_definition_gives_status_headers_and_body() {
        let responses = responses(json!({"ACCESS_DENIED": {
            "statusCode": 403,
            "responseParameters": {
                "gatewayresponse.header.X-Fixed": "'a \"b\"'",
                "gatewayresponse.header.X-Why": "context.authorizer.message",
                "gatewayresponse.header.X-Absent": "context.authorizer.absent",
            },
            "responseTemplates": {"application/json": "{\"m\":\"$context.authorizer.message.\",\"s\":$context.error.messageString}"},
        }}))
        .unwrap();
        let variables = Variables::from([("authorizer.message".to_string(), "too narrow".to_string())]);
        let response = responses.render(Kind::AccessDenied, &variables);
        assert_eq!(response.headers().get("x-fixed").unwrap(), "a \"b\"");
        assert_eq!(response.headers().get("x-why").unwrap(), "too narrow");
        assert!(!response.headers().contains_key("x-absent"));
        assert_eq!(body(response).await, r#"{"m":"too narrow.","s":"User is not authorized to access this resource"}"#);
    }

    #[tokio::test]
    async fn errors_without_a_definition_take_that_of_their_class_and_keep_their_status() {
        let template = json!({"responseTemplates": {"application/json": "$context.error.responseType"}});
        let responses = responses(json!({"DEFAULT_5XX": template})).unwrap();
        let response = responses.render(Kind::IntegrationFailure, &Variables::new());
        assert_eq!(response.status(), 504);
        assert_eq!(body(response).await, "INTEGRATION_FAILURE");
    }

    #[test]
    fn what_the_gateway_would_not_know_is_an_error() {
        for wrong in [
            json!({"DEFAULT_3XX": {}}),
            json!({"UNAUTHORIZED": {"statusCode": "many"}}),
            json!({"UNAUTHORIZED": {"responseParameters": {"header.X": "'a'"}}}),
            json!({"UNAUTHORIZED": {"responseParameters": {"gatewayresponse.header.X": "a"}}}),
            json!({"UNAUTHORIZED": {"responseTemplates": {"text/html": "a"}}}),
            json!({"UNAUTHORIZED": {"responseTemplates": {"application/json": "$input.body"}}}),
        ] {
            assert!(responses(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
