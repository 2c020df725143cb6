//! The authorizer event, in any of the four shapes that API Gateway sends, cut down to what a decision needs.
//!
//! Sources: API Gateway developer guide, "Input to an API Gateway Lambda authorizer" (REST) and "Control access to HTTP
//! APIs with AWS Lambda authorizers" (1.0 and 2.0). Of an event's 30 to 60 fields this takes up to ten and of the
//! headers those that may carry a token and the client's name; the rest is passed over unparsed, and cannot fail.

use latchkey::credential::{Credentials, KEY_HEADERS};
use latchkey::decision::{Asked, Source};
use latchkey::last_use;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Which of the four shapes an event has. It decides what the answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// REST API, `TOKEN`: one header's value and the ARN.
    RestToken,
    /// REST API, `REQUEST`.
    RestRequest,
    /// HTTP API, payload 1.0.
    Http1,
    /// HTTP API, payload 2.0: the only one that may be answered with a bare yes or no.
    Http2,
}

/// An event as it arrives; every field may be missing.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    version: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    method_arn: Option<String>,
    route_arn: Option<String>,
    authorization_token: Option<String>,
    headers: Option<Headers>,
    multi_value_headers: Option<Headers>,
    query_string_parameters: Option<Parameters>,
    multi_value_query_string_parameters: Option<Parameters>,
    identity_source: Option<OneOrMany>,
    request_context: Option<RequestContext>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestContext {
    http: Option<Http>,
    identity: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    path: String,
    #[serde(default)]
    source_ip: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    source_ip: Option<String>,
}

/// The event is none that API Gateway sends to an authorizer: a wrong integration, not a wrong request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownShape(pub &'static str);

impl fmt::Display for UnknownShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an authorizer event of API Gateway: {}", self.0)
    }
}

/// What is to be judged, and for whom.
pub struct Request {
    /// Which answer is expected.
    pub shape: Shape,
    /// The ARN of the API's stage, up to before the slash of the method.
    pub stage_arn: String,
    /// Whether the gateway may give a yes to this request to one from another address: it keeps answers by identity
    /// sources, and the address is none of them.
    pub shared_by_addresses: bool,
    /// The request to the registry. An event of type `TOKEN` tells neither its query nor its sender.
    pub asked: Asked,
}

impl Event {
    /// Sorts an event into what is asked for and who may be asking.
    pub fn read(self) -> Result<(Request, Credentials), UnknownShape> {
        let shape = self.shape().ok_or(UnknownShape("no known combination of type, version and ARN"))?;
        let arn = self.method_arn.or(self.route_arn).unwrap_or_default();
        let (stage_arn, method, path) =
            split_arn(&arn).ok_or(UnknownShape("its ARN names no stage, method and path"))?;
        let (mut method, mut path) = (method.to_owned(), format!("/{path}"));
        let RequestContext { http, identity } = self.request_context.unwrap_or_default();
        let mut address = identity.and_then(|identity| identity.source_ip);
        if let Some(http) = http.filter(|_| shape == Shape::Http2) {
            // A 2.0 event tells method and path itself; its path begins with a named stage.
            let stage = stage_arn.rsplit('/').next().unwrap_or_default();
            let rest = http.path.strip_prefix('/').and_then(|path| path.strip_prefix(stage)).unwrap_or(&http.path);
            path = if rest.starts_with('/') { rest.into() } else { http.path.clone() };
            method = http.method;
            address = Some(http.source_ip);
        }
        let source = match address.as_deref().map(str::parse) {
            _ if shape == Shape::RestToken => Source::LeftToGateway,
            Some(Ok(address)) => Source::Address(address),
            _ => Source::Unknown,
        };
        let mut identity_sources = self.identity_source.map(OneOrMany::into_values).unwrap_or_default();
        if shape == Shape::Http1 {
            // Joined by commas, which no token and no address holds.
            identity_sources =
                identity_sources.iter().flat_map(|joined| joined.split(',')).map(str::to_owned).collect();
        }
        let shared_by_addresses =
            !identity_sources.is_empty() && !identity_sources.iter().any(|source| Some(source) == address.as_ref());

        let mut credentials = Credentials::default();
        if let Some(token) = self.authorization_token.filter(|_| shape == Shape::RestToken) {
            credentials.authorization.push(token.into());
        }
        let mut client = None;
        for (kept, value) in self.multi_value_headers.or(self.headers).unwrap_or_default().0 {
            match kept {
                Kept::Authorization => credentials.authorization.push(value.into()),
                Kept::Key => credentials.keys.push(value.into()),
                Kept::UserAgent => client = last_use::client(&value),
            }
        }
        if !identity_sources.is_empty() {
            // The gateway keeps the answer by these, and gives it to whoever sends the same: nothing else earns it.
            let counts = |value: &str| identity_sources.iter().any(|source| source == value);
            credentials.authorization.retain(|value| counts(value));
            credentials.keys.retain(|value| counts(value));
        }
        // Of both kinds of maps, the one with single values repeats the last of each list.
        let query = self.multi_value_query_string_parameters.or(self.query_string_parameters).unwrap_or_default().0;
        let asked = Asked { method, path, query, source, client };
        Ok((Request { shape, stage_arn: stage_arn.into(), shared_by_addresses, asked }, credentials))
    }

    fn shape(&self) -> Option<Shape> {
        match (self.version.as_deref(), self.kind.as_deref(), &self.method_arn, &self.route_arn) {
            (Some("2.0"), _, _, Some(_)) => Some(Shape::Http2),
            (Some("1.0"), _, Some(_), _) => Some(Shape::Http1),
            (None, Some("REQUEST"), Some(_), _) => Some(Shape::RestRequest),
            (None, Some("TOKEN"), Some(_), _) => Some(Shape::RestToken),
            _ => None,
        }
    }
}

/// `arn:aws:execute-api:region:account:api/stage`, `METHOD` and `path` without its leading slash.
fn split_arn(arn: &str) -> Option<(&str, &str, &str)> {
    let mut slashes = arn.match_indices('/').map(|(at, _)| at);
    let (_, stage_end, method_end) = (slashes.next()?, slashes.next()?, slashes.next()?);
    let (stage_arn, rest) = arn.split_at_checked(stage_end)?;
    let (method, path) = rest.split_at_checked(method_end - stage_end)?;
    let known = stage_arn.starts_with("arn:") && stage_arn.contains(":execute-api:");
    // An ARN becomes part of a policy: wildcards in it would widen the grant.
    let plain = !stage_arn.contains(['*', '?']);
    (known && plain).then_some((stage_arn, method.strip_prefix('/')?, path.strip_prefix('/')?))
}

/// A header that may carry a token, or tells who sends it.
#[derive(Clone, Copy)]
enum Kept {
    Authorization,
    Key,
    UserAgent,
}

impl Kept {
    fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("authorization") {
            Some(Self::Authorization)
        } else if name.eq_ignore_ascii_case("user-agent") {
            Some(Self::UserAgent)
        } else {
            KEY_HEADERS.iter().any(|key| name.eq_ignore_ascii_case(key)).then_some(Self::Key)
        }
    }
}

/// A header's name, read in place: most are not kept.
struct Name(Option<Kept>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Kept::of(name)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The headers that are kept.
#[derive(Default)]
struct Headers(Vec<(Kept, String)>);

/// A map's names and values.
#[derive(Default)]
struct Parameters(Vec<(String, String)>);

/// A map's value: one string, or several, or none of our concern.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

impl OneOrMany {
    fn into_values(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
            Self::Other(_) => vec![],
        }
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = vec![];
                while let Some(Name(kept)) = map.next_key()? {
                    match kept {
                        Some(kept) => {
                            let values = map.next_value::<OneOrMany>()?.into_values();
                            headers.extend(values.into_iter().map(|value| (kept, value)));
                        }
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                let mut parameters = vec![];
                while let Some((name, value)) = map.next_entry::<String, OneOrMany>()? {
                    parameters.extend(value.into_values().into_iter().map(|value| (name.clone(), value)));
                }
                Ok(Parameters(parameters))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_split_into_stage_method_and_path() {
        let stage = "arn:aws:execute-api:eu-west-1:123456789012:abcdef/prod";
        assert_eq!(split_arn(&format!("{stage}/GET/")), Some((stage, "GET", "")));
        assert_eq!(split_arn(&format!("{stage}/PUT//npm//@a%2fx/")), Some((stage, "PUT", "/npm//@a%2fx/")));
        for wrong in ["", "arn", stage, &format!("{stage}/GET"), "arn:aws:execute-api:r:a:x/*/GET/", "x/y/GET/z"] {
            assert_eq!(split_arn(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_named_stage_is_no_part_of_the_path() {
        let event = |path: &str, stage: &str| {
            let arn = format!("arn:aws:execute-api:r:a:x/{stage}/GET/whatever");
            let event = serde_json::json!({
                "version": "2.0", "routeArn": arn, "requestContext": {"http": {"method": "PUT", "path": path}},
            });
            serde_json::from_value::<Event>(event).unwrap().read().unwrap().0
        };
        assert_eq!(event("/prod/npm/x", "prod").asked.path, "/npm/x");
        assert_eq!(event("/product/x", "prod").asked.path, "/product/x");
        assert_eq!(event("/npm/x", "$default").asked.path, "/npm/x");
        assert_eq!(event("/npm/x", "$default").asked.method, "PUT");
    }
}
