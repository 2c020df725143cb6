//! What the two templates deploy, read into the pieces that a stack is made of.

use crate::authorizer_cache::IdentitySource;
use crate::gateway_response::{Definition, GatewayResponses};
use crate::jwt::Accepted;
use crate::rest_api::{HeaderMapping, MappingSource, Resource, ResourcePath};
use crate::template::{Evaluated, Template, TemplateError};
use crate::{ACCOUNT_ID, REGION};
use http::Method;
use http::header::HeaderName;
use latchkey::config::Environment;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// API Gateway's own limit for an integration of a REST API.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

/// Parameters of a template, by name.
pub type Parameters = BTreeMap<String, String>;

/// What `template.yaml` deploys.
pub struct Management {
    /// The table.
    pub table: Table,
    /// The functions by the names of their binaries.
    pub functions: BTreeMap<String, FunctionSettings>,
    /// The routes of the HTTP API.
    pub routes: Vec<RouteSettings>,
    /// The sessions that its authorizer accepts.
    pub accepted: Accepted,
    /// The authorizer's ARN, as the template puts it out.
    pub authorizer_arn: String,
}

/// A DynamoDB table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Table {
    /// Its name, which is not the template's to say.
    #[serde(skip)]
    pub name: String,
    /// Its attributes with their types.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// Its key.
    pub key_schema: Vec<KeyElement>,
    /// The attribute by which items go.
    pub time_to_live_specification: TimeToLive,
}

/// An attribute of a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AttributeDefinition {
    /// Its name.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// A part of a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct KeyElement {
    /// The attribute.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// How items go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TimeToLive {
    /// The attribute with the time, in epoch seconds.
    pub attribute_name: String,
    /// Whether they go at all.
    pub enabled: bool,
}

/// A function as the template sets it up.
#[derive(Debug)]
pub struct FunctionSettings {
    /// Its variables.
    pub environment: Environment,
    /// How long it may take.
    pub timeout: Duration,
}

/// A route of the HTTP API.
#[derive(Debug)]
pub struct RouteSettings {
    /// Its method.
    pub method: Method,
    /// Its path, with `{name}` for a segment.
    pub path: String,
    /// The binary behind it.
    pub function: String,
    /// Whether it is for sessions alone.
    pub authorized: bool,
}

/// What `registry.yaml` deploys.
pub struct Registry {
    /// The one stage.
    pub stage: String,
    /// Its resources.
    pub resources: Vec<Resource>,
    /// What the gateway's cache goes by.
    pub identity_sources: Vec<IdentitySource>,
    /// How long it keeps an answer, in seconds; 0 is not at all.
    pub cache_seconds: u32,
    /// What the gateway answers by itself.
    pub responses: GatewayResponses,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FunctionProperties {
    environment: EnvironmentProperty,
    timeout: u64,
    #[serde(default)]
    events: BTreeMap<String, Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EnvironmentProperty {
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "Type", content = "Properties")]
enum Event {
    HttpApi(HttpApiEvent),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiEvent {
    api_id: String,
    method: String,
    path: String,
    auth: Option<EventAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventAuth {
    authorizer: NoAuthorizer,
}

/// What a route can say in place of the API's own authorizer.
#[derive(Deserialize)]
enum NoAuthorizer {
    #[serde(rename = "NONE")]
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiProperties {
    stage_name: String,
    auth: HttpApiAuth,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiAuth {
    default_authorizer: String,
    authorizers: BTreeMap<String, JwtAuthorizerProperty>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct JwtAuthorizerProperty {
    identity_source: String,
    jwt_configuration: JwtConfiguration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtConfiguration {
    issuer: String,
    audience: Vec<String>,
}

/// Properties that say how AWS is to run, keep or watch a thing, and change nothing about what it does.
const TABLE_WITHOUT_EFFECT: [&str; 4] =
    ["BillingMode", "PointInTimeRecoverySpecification", "SSESpecification", "DeletionProtectionEnabled"];
const FUNCTION_WITHOUT_EFFECT: [&str; 8] =
    ["Architectures", "CodeUri", "Description", "Handler", "LoggingConfig", "MemorySize", "Role", "Runtime"];
const HTTP_API_WITHOUT_EFFECT: [&str; 4] =
    ["AccessLogSettings", "DefaultRouteSettings", "Description", "FailOnWarnings"];
const REST_API_WITHOUT_EFFECT: [&str; 4] =
    ["AccessLogSetting", "EndpointConfiguration", "MethodSettings", "TracingEnabled"];
/// Resources that are about running on AWS alone.
const KINDS_WITHOUT_EFFECT: [&str; 4] =
    ["AWS::CloudWatch::Alarm", "AWS::IAM::Role", "AWS::Lambda::Permission", "AWS::Logs::LogGroup"];

impl Management {
    /// Reads a template with these parameters. Variables of the functions that `settings` names get its values; names
    /// that no function has are left alone.
    pub fn read(template: &Template, given: &Parameters, settings: &Parameters) -> Result<Self, TemplateError> {
        let mut evaluated = template.evaluate(given)?;
        let resources = evaluated.resources()?;
        for resource in &resources {
            match resource.kind.as_str() {
                "AWS::DynamoDB::Table" => evaluated.define(resource.id, "latchkey"),
                "AWS::Serverless::Function" => {
                    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}", resource.id);
                    evaluated.define(format!("{}.Arn", resource.id), arn);
                }
                _ => evaluated.define(resource.id, resource.id),
            }
        }
        let (mut table, mut accepted, mut functions, mut routes) = (None, None, BTreeMap::new(), vec![]);
        for resource in &resources {
            let place = format!("Resources.{}", resource.id);
            match resource.kind.as_str() {
                "AWS::DynamoDB::Table" => {
                    table = Some(evaluated.properties::<Table>(resource, None, &TABLE_WITHOUT_EFFECT)?);
                }
                "AWS::Serverless::HttpApi" => {
                    let api: HttpApiProperties = evaluated.properties(resource, None, &HTTP_API_WITHOUT_EFFECT)?;
                    accepted = Some(session(&evaluated, api, &place)?);
                }
                "AWS::Serverless::Function" => {
                    let metadata = evaluated.metadata(resource)?;
                    let binary = metadata.pointer("/BuildProperties/Binary").and_then(Value::as_str);
                    let binary = binary.ok_or_else(|| evaluated.error(&place, "its Metadata names no Binary"))?;
                    let function: FunctionProperties =
                        evaluated.properties(resource, Some("Function"), &FUNCTION_WITHOUT_EFFECT)?;
                    for (_, Event::HttpApi(route)) in function.events {
                        routes.push(route.settings(&evaluated, binary, &place)?);
                    }
                    let mut variables = function.environment.variables;
                    for (name, value) in &mut variables {
                        if let Some(own) = settings.get(name) {
                            value.clone_from(own);
                        }
                    }
                    if let (Some(table), Some(name)) = (&mut table, variables.get("TABLE_NAME")) {
                        table.name.clone_from(name);
                    }
                    let timeout = Duration::from_secs(function.timeout);
                    let settings = FunctionSettings { environment: variables.into_iter().collect(), timeout };
                    functions.insert(binary.to_string(), settings);
                }
                kind if KINDS_WITHOUT_EFFECT.contains(&kind) => {}
                kind => return Err(evaluated.error(place, format!("{kind} is not supported"))),
            }
        }
        Ok(Self {
            table: table.ok_or_else(|| evaluated.error("Resources", "there is no table"))?,
            functions,
            routes,
            accepted: accepted.ok_or_else(|| evaluated.error("Resources", "there is no HTTP API"))?,
            authorizer_arn: evaluated.output("AuthorizerFunctionArn")?,
        })
    }
}

/// The sessions of the HTTP API's one authorizer, which every route has.
fn session(evaluated: &Evaluated<'_>, api: HttpApiProperties, place: &str) -> Result<Accepted, TemplateError> {
    let mut authorizers = api.auth.authorizers;
    let authorizer = authorizers.remove(&api.auth.default_authorizer);
    match authorizer {
        Some(authorizer)
            if authorizers.is_empty()
                && api.stage_name == "$default"
                && authorizer.identity_source == "$request.header.Authorization" =>
        {
            let JwtConfiguration { issuer, audience } = authorizer.jwt_configuration;
            Ok(Accepted { issuer, audience })
        }
        _ => {
            Err(evaluated
                .error(place, "only the stage $default with one JWT authorizer over Authorization is supported"))
        }
    }
}

impl HttpApiEvent {
    fn settings(self, evaluated: &Evaluated<'_>, binary: &str, place: &str) -> Result<RouteSettings, TemplateError> {
        let method = self.method.to_ascii_uppercase().parse();
        let method = method.map_err(|_| evaluated.error(place, format!("{:?} is no method", self.method)))?;
        if self.api_id.is_empty() || !self.path.starts_with('/') {
            return Err(evaluated.error(place, "its route needs an API and a path"));
        }
        let authorized = !matches!(self.auth, Some(EventAuth { authorizer: NoAuthorizer::None }));
        Ok(RouteSettings { method, path: self.path, function: binary.into(), authorized })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RestApiProperties {
    stage_name: String,
    definition_body: OpenApi,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenApi {
    #[serde(rename = "openapi")]
    _version: String,
    #[serde(rename = "info")]
    _info: Value,
    paths: BTreeMap<String, PathItem>,
    components: Components,
    /// All bodies pass as they are here.
    #[serde(rename = "x-amazon-apigateway-binary-media-types")]
    _binary_media_types: Vec<String>,
    #[serde(rename = "x-amazon-apigateway-gateway-responses")]
    gateway_responses: BTreeMap<String, Definition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathItem {
    #[serde(rename = "x-amazon-apigateway-any-method")]
    any: Operation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    #[serde(rename = "parameters", default)]
    _parameters: Vec<Value>,
    security: Vec<BTreeMap<String, Vec<String>>>,
    #[serde(rename = "x-amazon-apigateway-integration")]
    integration: Integration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Integration {
    r#type: String,
    http_method: String,
    uri: String,
    #[serde(rename = "passthroughBehavior")]
    _passthrough_behavior: String,
    request_parameters: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Components {
    security_schemes: BTreeMap<String, SecurityScheme>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecurityScheme {
    #[serde(rename = "type")]
    _type: String,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "in")]
    _in: String,
    #[serde(rename = "x-amazon-apigateway-authtype")]
    authtype: String,
    #[serde(rename = "x-amazon-apigateway-authorizer")]
    authorizer: AuthorizerProperty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuthorizerProperty {
    r#type: String,
    authorizer_uri: String,
    /// A number, which is text once it has been a parameter.
    authorizer_result_ttl_in_seconds: String,
    #[serde(default)]
    identity_source: String,
}

impl Registry {
    /// Reads a template with these parameters; its authorizer must be the one with this ARN.
    pub fn read(template: &Template, given: &Parameters, authorizer_arn: &str) -> Result<Self, TemplateError> {
        let mut evaluated = template.evaluate(given)?;
        let resources = evaluated.resources()?;
        for resource in &resources {
            evaluated.define(resource.id, resource.id);
            evaluated.define(format!("{}.Arn", resource.id), resource.id);
        }
        let mut registry = None;
        for resource in &resources {
            let place = format!("Resources.{}.Properties.DefinitionBody", resource.id);
            match resource.kind.as_str() {
                "AWS::Serverless::Api" => {
                    let api: RestApiProperties = evaluated.properties(resource, None, &REST_API_WITHOUT_EFFECT)?;
                    registry = Some(api.read(&evaluated, authorizer_arn, &place)?);
                }
                kind if KINDS_WITHOUT_EFFECT.contains(&kind) => {}
                kind => return Err(evaluated.error(place, format!("{kind} is not supported"))),
            }
        }
        registry.ok_or_else(|| evaluated.error("Resources", "there is no REST API"))
    }
}

impl RestApiProperties {
    fn read(self, evaluated: &Evaluated<'_>, authorizer_arn: &str, place: &str) -> Result<Registry, TemplateError> {
        let body = self.definition_body;
        let schemes: Vec<_> = body.components.security_schemes.into_iter().collect();
        let Ok([(scheme, SecurityScheme { authtype, authorizer, .. })]) = <[_; 1]>::try_from(schemes) else {
            return Err(evaluated.error(place, "it has not one security scheme"));
        };
        let ours = authorizer.authorizer_uri.contains(&format!("/functions/{authorizer_arn}/"));
        if authtype != "custom" || authorizer.r#type != "request" || !ours {
            return Err(evaluated.error(place, "only a request authorizer with Latchkey's function is supported"));
        }
        let resources = body.paths.into_iter().map(|(path, item)| {
            let place = format!("{place}.paths.{path}");
            let guarded = matches!(item.any.security.as_slice(), [one] if one.contains_key(&scheme));
            if !guarded {
                return Err(evaluated.error(place, "it is not guarded by the authorizer"));
            }
            item.any.integration.resource(evaluated, &path, &place)
        });
        let sources = authorizer.identity_source.split(',').map(str::trim).filter(|source| !source.is_empty());
        let ttl = authorizer.authorizer_result_ttl_in_seconds;
        Ok(Registry {
            stage: self.stage_name,
            resources: resources.collect::<Result<_, _>>()?,
            identity_sources: sources
                .map(|source| {
                    source.parse().map_err(|error: crate::authorizer_cache::UnknownIdentitySource| {
                        evaluated.error(place, error.to_string())
                    })
                })
                .collect::<Result<_, _>>()?,
            cache_seconds: ttl.parse().map_err(|_| evaluated.error(place, format!("{ttl:?} is no TTL")))?,
            responses: GatewayResponses::new(body.gateway_responses)
                .map_err(|error| evaluated.error(place, error.to_string()))?,
        })
    }
}

impl Integration {
    fn resource(self, evaluated: &Evaluated<'_>, path: &str, place: &str) -> Result<Resource, TemplateError> {
        let path = match path {
            "/" => ResourcePath::Root,
            "/{proxy+}" => ResourcePath::Proxy,
            _ => return Err(evaluated.error(place, "only / and /{proxy+} are supported")),
        };
        if self.r#type != "http_proxy" || self.http_method != "ANY" {
            return Err(evaluated.error(place, "only an http_proxy integration of ANY method is supported"));
        }
        let mut headers = vec![];
        for (target, source) in self.request_parameters {
            if let Some(name) = target.strip_prefix("integration.request.header.") {
                headers.push(header_mapping(name, &source).map_err(|problem| evaluated.error(place, problem))?);
            } else if target != "integration.request.path.proxy" || source != "method.request.path.proxy" {
                return Err(evaluated.error(place, format!("the mapping {target}: {source} is not supported")));
            }
        }
        Ok(Resource { path, uri: self.uri, headers, timeout: INTEGRATION_TIMEOUT })
    }
}

fn header_mapping(name: &str, source: &str) -> Result<HeaderMapping, String> {
    let quoted = source.strip_prefix('\'').and_then(|source| source.strip_suffix('\''));
    let source = match (quoted, source.strip_prefix("context.authorizer.")) {
        (Some(text), _) => MappingSource::Static(text.into()),
        (None, Some(key)) => MappingSource::Authorizer(key.into()),
        (None, None) => return Err(format!("the source {source} of header {name} is not supported")),
    };
    let header = HeaderName::try_from(name).map_err(|_| format!("{name} is no header"))?;
    Ok(HeaderMapping { display_name: name.into(), name: header, source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../template.yaml");

    fn read(text: &str, settings: &[(&str, &str)]) -> Result<Management, String> {
        let parameters = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let given: Parameters = parameters(&[("Issuer", "http://issuer"), ("Audience", "a")]);
        let template = Template::parse("template.yaml", text).map_err(|error| error.to_string())?;
        Management::read(&template, &given, &parameters(settings)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_deploys_four_functions_and_three_routes() {
        let management = read(TEMPLATE, &[]).unwrap();
        assert_eq!(management.functions.keys().collect::<Vec<_>>(), ["authorize", "generate", "list", "revoke"]);
        assert_eq!(management.routes.len(), 3);
        assert_eq!(management.table.name, "latchkey");
        assert_eq!(management.accepted.issuer, "http://issuer");
    }

    #[test]
    fn a_setting_overrides_the_templates_value() {
        assert_eq!(read(TEMPLATE, &[("TABLE_NAME", "mine"), ("UNHEARD_OF", "x")]).unwrap().table.name, "mine");
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_it() {
        for (from, to, named) in [
            ("BillingMode:", "BillingModus:", "BillingModus"),
            ("Type: AWS::Logs::LogGroup", "Type: AWS::SQS::Queue", "AWS::SQS::Queue"),
            ("    Timeout: 5", "    Timeout: 5\n    Layers: []", "Layers"),
            ("!GetAtt Tokens.Arn", "!ImportValue x", "ImportValue"),
        ] {
            let error = read(&TEMPLATE.replacen(from, to, 1), &[]).err().unwrap();
            assert!(error.contains(named), "{to}: {error}");
        }
    }
}
