//! What the two templates deploy, as far as it shows on one machine.
//!
//! What changes nothing here is named here, so that anything new in a template is an error until somebody has decided
//! what it means on one machine.

use crate::authorizer_cache::IdentitySource;
use crate::cors::Cors;
use crate::event_pattern::EventPattern;
use crate::gateway_response::{Definition, GatewayResponses};
use crate::input_template::InputTemplate;
use crate::jwt::Accepted;
use crate::pipe::{self, Pipe};
use crate::rest_api::{HeaderMapping, MappingSource, Resource, ResourcePath};
use crate::schedule::{Kind, Rate, Schedule};
use crate::template::{Evaluated, Template, TemplateError};
use crate::{ACCOUNT_ID, REGION, template};
use http::header::HeaderName;
use http::{HeaderValue, Method};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const TEMPLATE: (&str, &str) = ("infra/template.yaml", include_str!("../../template.yaml"));
const REGISTRY: (&str, &str) = ("infra/registry.yaml", include_str!("../../registry.yaml"));

/// Resources of which nothing shows on one machine: permissions that nobody checks; logs, alarms and undelivered events
/// that nobody keeps.
const WITHOUT_EFFECT: [&str; 6] = [
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
];

/// The table, the functions and the management API.
#[derive(Debug)]
pub struct Latchkey {
    /// The one table.
    pub table: Table,
    /// The functions, by their names in the template.
    pub functions: BTreeMap<String, FunctionDefinition>,
    /// What the management API answers.
    pub routes: Vec<RouteDefinition>,
    /// What becomes events of the bus.
    pub pipes: Vec<Pipe>,
    /// Which of them functions hear.
    pub rules: Vec<RuleDefinition>,
    /// Which functions are called by the clock.
    pub schedules: Vec<ScheduleDefinition>,
    /// Whom it lets in.
    pub sessions: Accepted,
    /// Which pages of other origins may call it.
    pub cors: Cors,
    /// The function that decides for registries, for [`Registry::new`].
    pub authorizer_arn: String,
}

/// A DynamoDB table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Names and types of the key attributes.
    pub attributes: Vec<(String, String)>,
    /// Names of the key attributes and `HASH` or `RANGE`.
    pub key: Vec<(String, String)>,
    /// The attribute after whose time an item is deleted.
    pub ttl: Option<String>,
    /// Whether it must be unprotected before it can be deleted.
    pub deletion_protection: bool,
    /// Whether what is written to it can be read from a stream.
    pub stream: bool,
}

/// A Lambda function.
#[derive(Debug)]
pub struct FunctionDefinition {
    /// The binary that it runs.
    pub binary: String,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A route of the management API.
#[derive(Debug)]
pub struct RouteDefinition {
    /// Its method; `None` is `ANY`.
    pub method: Option<Method>,
    /// Its path.
    pub path: String,
    /// The function behind it, by its name in the template.
    pub function: String,
    /// Whether anybody may call it, or a session alone.
    pub open: bool,
}

/// What a function hears from the bus.
#[derive(Debug)]
pub struct RuleDefinition {
    /// The events that are meant.
    pub pattern: EventPattern,
    /// The function, by its name in the template.
    pub function: String,
}

/// When a function is called by the clock.
#[derive(Debug)]
pub struct ScheduleDefinition {
    /// When, and by whom.
    pub schedule: Schedule,
    /// The function, by its name in the template.
    pub function: String,
}

/// The gateway in front of a registry.
#[derive(Debug)]
pub struct Registry {
    /// Its stage.
    pub stage: String,
    /// What it passes on, and how.
    pub resources: Vec<Resource>,
    /// The function that decides, by its name in the other template.
    pub authorizer: String,
    /// What its cache goes by.
    pub identity_sources: Vec<IdentitySource>,
    /// How long its cache keeps an answer.
    pub cache_seconds: u32,
    /// What it answers by itself.
    pub responses: GatewayResponses,
}

/// What the table's stream and the bus are called: there is one of each.
const STREAM_ARN: &str = "the table's stream";
const BUS_NAME: &str = "the bus";
const BUS_ARN: &str = "the bus's ARN";

fn arn_of(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}")
}

/// The one alias that functions have. On one machine there is one version, so it changes nothing.
const ALIAS: &str = ":live";

fn unsupported(evaluated: &Evaluated<'_>, resource: &template::Resource<'_>) -> TemplateError {
    let place = format!("Resources.{}.Type", resource.id);
    evaluated.error(place, format!("the resource type {} is not supported", resource.kind))
}

/// A number, which a parameter turns into text.
fn number<'de, D: Deserializer<'de>, N: std::str::FromStr>(deserializer: D) -> Result<N, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    text.parse().map_err(|_| serde::de::Error::custom(format!("{text} is not a whole number in its range")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TableProperties {
    billing_mode: BillingMode,
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeySchemaElement>,
    time_to_live_specification: Option<TimeToLive>,
    stream_specification: Option<StreamSpecification>,
    #[serde(default)]
    deletion_protection_enabled: bool,
}

/// Provisioned capacity would be a limit, which is not kept here.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum BillingMode {
    PayPerRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamSpecification {
    stream_view_type: StreamViewType,
}

/// Pipes look at both.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StreamViewType {
    NewAndOldImages,
}

const TABLE_WITHOUT_EFFECT: [&str; 2] = ["PointInTimeRecoverySpecification", "SSESpecification"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FunctionProperties {
    #[serde(deserialize_with = "number")]
    timeout: u64,
    #[serde(default)]
    environment: FunctionEnvironment,
    #[serde(default)]
    events: BTreeMap<String, FunctionEvent>,
    #[serde(rename = "AutoPublishAlias")]
    _alias: Option<Alias>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Alias {
    Live,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FunctionEnvironment {
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "Type", content = "Properties")]
enum FunctionEvent {
    HttpApi(HttpApiEvent),
    EventBridgeRule(RuleEvent),
    Schedule(ScheduleEvent),
    ScheduleV2(ScheduleV2Event),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiEvent {
    api_id: String,
    method: String,
    path: String,
    auth: Option<RouteAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RouteAuth {
    authorizer: NoAuthorizer,
}

#[derive(Deserialize)]
enum NoAuthorizer {
    #[serde(rename = "NONE")]
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleEvent {
    event_bus_name: String,
    pattern: Value,
    #[serde(rename = "DeadLetterConfig")]
    _dead_letter_config: Option<Value>,
    #[serde(rename = "RetryPolicy")]
    _retry_policy: Option<Value>,
}

/// One that rests would have to rest here.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Enabled {
    Enabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScheduleEvent {
    schedule: Rate,
    #[serde(rename = "State")]
    _state: Option<Enabled>,
    #[serde(rename = "Description")]
    _description: Option<String>,
    #[serde(rename = "DeadLetterConfig")]
    _dead_letter_config: Option<Value>,
    #[serde(rename = "RetryPolicy")]
    _retry_policy: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScheduleV2Event {
    schedule_expression: Rate,
    #[serde(rename = "Description")]
    _description: Option<String>,
    #[serde(rename = "DeadLetterConfig")]
    _dead_letter_config: Option<Value>,
    #[serde(rename = "RetryPolicy")]
    _retry_policy: Option<Value>,
    #[serde(rename = "RoleArn")]
    _role_arn: Option<String>,
}

const FUNCTION_WITHOUT_EFFECT: [&str; 12] = [
    "Architectures",
    "AutoPublishAliasAllProperties",
    "CodeUri",
    "DeadLetterQueue",
    "DeploymentPreference",
    "Description",
    "Handler",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "VersionDescription",
];

/// A bus's name shows nowhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBusProperties {}

const EVENT_BUS_WITHOUT_EFFECT: [&str; 2] = ["Description", "Name"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipeProperties {
    source: String,
    source_parameters: PipeSourceParameters,
    target: String,
    target_parameters: PipeTargetParameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipeSourceParameters {
    #[serde(rename = "DynamoDBStreamParameters")]
    stream: PipeStreamParameters,
    filter_criteria: FilterCriteria,
}

/// Nothing that a pipe reads on one machine fails, so nothing is tried again; and it reads one record after the other.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipeStreamParameters {
    starting_position: StartingPosition,
    #[serde(rename = "BatchSize")]
    _batch_size: Option<Value>,
    #[serde(rename = "OnPartialBatchItemFailure")]
    _on_partial_batch_item_failure: Option<Value>,
    #[serde(rename = "MaximumRetryAttempts")]
    _maximum_retry_attempts: Option<Value>,
    #[serde(rename = "MaximumRecordAgeInSeconds")]
    _maximum_record_age_in_seconds: Option<Value>,
    #[serde(rename = "DeadLetterConfig")]
    _dead_letter_config: Option<Value>,
}

/// Of a stream that begins with the pipe, as here, that is everything.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StartingPosition {
    TrimHorizon,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    pattern: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipeTargetParameters {
    #[serde(rename = "EventBridgeEventBusParameters")]
    bus: PipeBusParameters,
    input_template: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipeBusParameters {
    source: String,
    detail_type: String,
}

const PIPE_WITHOUT_EFFECT: [&str; 2] = ["Description", "RoleArn"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiProperties {
    stage_name: DefaultStage,
    auth: HttpApiAuth,
    cors_configuration: Cors,
}

/// Any other stage would be a part of every path.
#[derive(Deserialize)]
enum DefaultStage {
    #[serde(rename = "$default")]
    Default,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiAuth {
    default_authorizer: String,
    authorizers: BTreeMap<String, JwtAuthorizerDefinition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct JwtAuthorizerDefinition {
    identity_source: SessionSource,
    jwt_configuration: JwtConfiguration,
}

#[derive(Deserialize)]
enum SessionSource {
    #[serde(rename = "$request.header.Authorization")]
    Authorization,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtConfiguration {
    issuer: String,
    audience: Vec<String>,
}

const HTTP_API_WITHOUT_EFFECT: [&str; 5] =
    ["AccessLogSettings", "DefaultRouteSettings", "Description", "FailOnWarnings", "RouteSettings"];

impl Latchkey {
    /// Reads `template.yaml`. Settings override the variables that it gives its functions.
    pub fn new(
        parameters: &BTreeMap<String, String>,
        settings: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        Self::read(TEMPLATE.1, parameters, settings)
    }

    fn read(
        text: &str,
        parameters: &BTreeMap<String, String>,
        settings: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let template = Template::parse(TEMPLATE.0, text)?;
        let mut evaluated = template.evaluate(parameters)?;
        if let Some(kind) = evaluated.globals().find(|kind| *kind != "Function") {
            return Err(evaluated.error(format!("Globals.{kind}"), "this is not supported"));
        }
        let table_name = settings.get("TABLE_NAME").map(|name| name.trim()).filter(|name| !name.is_empty());
        let table_name = table_name.unwrap_or("latchkey").to_string();
        let resources = evaluated.resources()?;
        for resource in &resources {
            match resource.kind.as_str() {
                "AWS::DynamoDB::Table" => {
                    evaluated.define(resource.id, table_name.as_str());
                    evaluated.define(format!("{}.StreamArn", resource.id), STREAM_ARN);
                }
                "AWS::Events::EventBus" => {
                    evaluated.define(resource.id, BUS_NAME);
                    evaluated.define(format!("{}.Arn", resource.id), BUS_ARN);
                }
                "AWS::SQS::Queue" => evaluated.define(format!("{}.Arn", resource.id), resource.id),
                "AWS::Serverless::Function" => {
                    evaluated.define(format!("{}.Arn", resource.id), arn_of(resource.id));
                    evaluated.define(format!("{}.Alias", resource.id), arn_of(resource.id) + ALIAS);
                }
                _ => evaluated.define(resource.id, resource.id),
            }
        }

        let (mut table, mut sessions, mut functions, mut routes) = (None, None, BTreeMap::new(), vec![]);
        let (mut apis, mut cors, mut bus) = (vec![], None, None);
        let (mut pipes, mut rules, mut schedules) = (vec![], vec![], vec![]);
        for resource in &resources {
            let place = format!("Resources.{}", resource.id);
            let twice = || evaluated.error(&place, format!("a second {} is not supported", resource.kind));
            match resource.kind.as_str() {
                "AWS::DynamoDB::Table" => {
                    let properties = evaluated.properties(resource, None, &TABLE_WITHOUT_EFFECT)?;
                    let first = table.replace(Table::new(table_name.clone(), properties)).is_none();
                    first.then_some(()).ok_or_else(twice)?;
                }
                "AWS::Serverless::HttpApi" => {
                    let properties: HttpApiProperties =
                        evaluated.properties(resource, None, &HTTP_API_WITHOUT_EFFECT)?;
                    apis.push(resource.id);
                    cors = Some(properties.cors_configuration.clone());
                    let first = sessions.replace(properties.accepted(&evaluated, &place)?).is_none();
                    first.then_some(()).ok_or_else(twice)?;
                }
                "AWS::Serverless::Function" => {
                    let properties: FunctionProperties =
                        evaluated.properties(resource, Some("Function"), &FUNCTION_WITHOUT_EFFECT)?;
                    for (name, event) in &properties.events {
                        let place = format!("{place}.Properties.Events.{name}");
                        let scheduled = |rate: Rate, kind| ScheduleDefinition {
                            schedule: Schedule { name: format!("{}{name}", resource.id), every: rate.0, kind },
                            function: resource.id.into(),
                        };
                        match event {
                            FunctionEvent::HttpApi(event) => {
                                routes.push(event.route(resource.id, &evaluated, &place)?);
                            }
                            FunctionEvent::EventBridgeRule(event) => {
                                rules.push(event.rule(resource.id, &evaluated, &place)?);
                            }
                            FunctionEvent::Schedule(event) => schedules.push(scheduled(event.schedule, Kind::Rule)),
                            FunctionEvent::ScheduleV2(event) => {
                                schedules.push(scheduled(event.schedule_expression, Kind::Scheduler));
                            }
                        }
                    }
                    let function = properties.function(resource, &evaluated, settings)?;
                    functions.insert(resource.id.to_string(), function);
                }
                "AWS::Events::EventBus" => {
                    let properties: EventBusProperties =
                        evaluated.properties(resource, None, &EVENT_BUS_WITHOUT_EFFECT)?;
                    bus.replace(properties).is_none().then_some(()).ok_or_else(twice)?;
                }
                "AWS::Pipes::Pipe" => {
                    let properties: PipeProperties = evaluated.properties(resource, None, &PIPE_WITHOUT_EFFECT)?;
                    pipes.push(properties.pipe(resource.id, &evaluated, &format!("{place}.Properties"))?);
                }
                kind if WITHOUT_EFFECT.contains(&kind) => {}
                _ => return Err(unsupported(&evaluated, resource)),
            }
        }
        let missing = |what: &str| evaluated.error("Resources", format!("there is no {what}"));
        Ok(Self {
            table: table.ok_or_else(|| missing("AWS::DynamoDB::Table"))?,
            sessions: sessions.ok_or_else(|| missing("AWS::Serverless::HttpApi"))?,
            cors: cors.ok_or_else(|| missing("AWS::Serverless::HttpApi"))?,
            functions,
            routes,
            pipes,
            rules,
            schedules,
            authorizer_arn: evaluated.output("AuthorizerFunctionArn")?,
        })
    }

    /// The audience that sessions are for, so that the issuer makes them for it.
    pub fn audience(&self) -> &str {
        self.sessions.audience.first().map_or("", String::as_str)
    }
}

impl Table {
    fn new(name: String, properties: TableProperties) -> Self {
        let BillingMode::PayPerRequest = properties.billing_mode;
        let attributes = properties.attribute_definitions.into_iter();
        let key = properties.key_schema.into_iter();
        let ttl = properties.time_to_live_specification.filter(|ttl| ttl.enabled);
        Self {
            name,
            attributes: attributes.map(|attribute| (attribute.attribute_name, attribute.attribute_type)).collect(),
            key: key.map(|element| (element.attribute_name, element.key_type)).collect(),
            ttl: ttl.map(|ttl| ttl.attribute_name),
            deletion_protection: properties.deletion_protection_enabled,
            stream: matches!(
                properties.stream_specification,
                Some(StreamSpecification { stream_view_type: StreamViewType::NewAndOldImages })
            ),
        }
    }
}

impl FunctionProperties {
    fn function(
        self,
        resource: &template::Resource<'_>,
        evaluated: &Evaluated<'_>,
        settings: &BTreeMap<String, String>,
    ) -> Result<FunctionDefinition, TemplateError> {
        let metadata = evaluated.metadata(resource)?;
        let binary = metadata.pointer("/BuildProperties/Binary").and_then(Value::as_str).ok_or_else(|| {
            let place = format!("Resources.{}.Metadata.BuildProperties.Binary", resource.id);
            evaluated.error(place, "it names no binary")
        })?;
        let mut environment = self.environment.variables;
        for (name, value) in &mut environment {
            if let Some(given) = settings.get(name) {
                value.clone_from(given);
            }
        }
        Ok(FunctionDefinition { binary: binary.into(), environment, timeout: Duration::from_secs(self.timeout) })
    }
}

impl HttpApiEvent {
    fn route(&self, function: &str, evaluated: &Evaluated<'_>, place: &str) -> Result<RouteDefinition, TemplateError> {
        let method = Method::from_bytes(self.method.as_bytes()).ok();
        let method = method
            .filter(|method| method.as_str() == self.method.to_ascii_uppercase())
            .ok_or_else(|| evaluated.error(place, format!("the method {} is not supported", self.method)))?;
        let method = Some(method).filter(|method| method.as_str() != "ANY");
        if !self.path.starts_with('/') || self.path.trim_end_matches("+}").contains('+') {
            return Err(evaluated.error(place, format!("the path {} is not supported", self.path)));
        }
        if self.api_id.is_empty() {
            return Err(evaluated.error(place, "it names no API"));
        }
        let open = matches!(self.auth, Some(RouteAuth { authorizer: NoAuthorizer::None }));
        Ok(RouteDefinition { method, path: self.path.clone(), function: function.into(), open })
    }
}

impl RuleEvent {
    fn rule(&self, function: &str, evaluated: &Evaluated<'_>, place: &str) -> Result<RuleDefinition, TemplateError> {
        if self.event_bus_name != BUS_NAME {
            let problem = format!("the bus {} is not the template's own", self.event_bus_name);
            return Err(evaluated.error(format!("{place}.EventBusName"), problem));
        }
        let pattern = EventPattern::new(&self.pattern);
        let pattern = pattern.map_err(|error| evaluated.error(format!("{place}.Pattern"), error.to_string()))?;
        Ok(RuleDefinition { pattern, function: function.into() })
    }
}

impl PipeProperties {
    fn pipe(self, name: &str, evaluated: &Evaluated<'_>, place: &str) -> Result<Pipe, TemplateError> {
        let StartingPosition::TrimHorizon = self.source_parameters.stream.starting_position;
        if self.source != STREAM_ARN {
            return Err(evaluated.error(format!("{place}.Source"), "it is not the table's stream"));
        }
        if self.target != BUS_ARN {
            return Err(evaluated.error(format!("{place}.Target"), "it is not the bus"));
        }
        let filters = self.source_parameters.filter_criteria.filters.iter().map(|filter| pipe::filter(&filter.pattern));
        let filters = filters.collect::<Result<_, _>>();
        let template = InputTemplate::new(&self.target_parameters.input_template);
        let at = |field: &str, problem: String| evaluated.error(format!("{place}.{field}"), problem);
        Ok(Pipe {
            name: name.into(),
            filters: filters.map_err(|problem| at("SourceParameters.FilterCriteria", problem))?,
            template: template.map_err(|error| at("TargetParameters.InputTemplate", error.to_string()))?,
            source: self.target_parameters.bus.source,
            detail_type: self.target_parameters.bus.detail_type,
        })
    }
}

impl HttpApiProperties {
    fn accepted(mut self, evaluated: &Evaluated<'_>, place: &str) -> Result<Accepted, TemplateError> {
        let DefaultStage::Default = self.stage_name;
        let place = format!("{place}.Properties.Auth");
        let chosen = self.auth.authorizers.remove(&self.auth.default_authorizer);
        let Some(JwtAuthorizerDefinition { identity_source: SessionSource::Authorization, jwt_configuration }) = chosen
        else {
            return Err(evaluated.error(place, format!("there is no authorizer {}", self.auth.default_authorizer)));
        };
        if jwt_configuration.audience.is_empty() {
            return Err(evaluated.error(place, "its audience is empty"));
        }
        Ok(Accepted { issuer: jwt_configuration.issuer, audience: jwt_configuration.audience })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RestApiProperties {
    stage_name: String,
    definition_body: OpenApi,
}

const REST_API_WITHOUT_EFFECT: [&str; 4] =
    ["AccessLogSetting", "EndpointConfiguration", "MethodSettings", "TracingEnabled"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenApi {
    #[serde(rename = "openapi")]
    _version: String,
    #[serde(rename = "info")]
    _info: Value,
    paths: BTreeMap<String, PathItem>,
    components: Components,
    #[serde(rename = "x-amazon-apigateway-binary-media-types")]
    binary_media_types: Vec<AnyMediaType>,
    #[serde(rename = "x-amazon-apigateway-gateway-responses", default)]
    gateway_responses: BTreeMap<String, Definition>,
}

/// Bodies pass as they are; any other type would have the gateway convert some of them.
#[derive(Deserialize)]
enum AnyMediaType {
    #[serde(rename = "*/*")]
    Any,
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
    #[serde(rename = "parameters")]
    _parameters: Option<Value>,
    security: Vec<BTreeMap<String, Vec<String>>>,
    #[serde(rename = "x-amazon-apigateway-integration")]
    integration: Integration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Integration {
    #[serde(rename = "type")]
    kind: IntegrationType,
    http_method: AnyMethod,
    uri: String,
    #[serde(rename = "passthroughBehavior")]
    _passthrough_behavior: Option<String>,
    #[serde(default)]
    request_parameters: BTreeMap<String, String>,
    timeout_in_millis: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IntegrationType {
    HttpProxy,
}

#[derive(Deserialize)]
enum AnyMethod {
    #[serde(rename = "ANY")]
    Any,
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
    _kind: String,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "in")]
    _place: String,
    #[serde(rename = "x-amazon-apigateway-authtype")]
    kind: AuthType,
    #[serde(rename = "x-amazon-apigateway-authorizer")]
    authorizer: AuthorizerDefinition,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthType {
    Custom,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuthorizerDefinition {
    #[serde(rename = "type")]
    kind: AuthorizerType,
    authorizer_uri: String,
    #[serde(deserialize_with = "number")]
    authorizer_result_ttl_in_seconds: u32,
    #[serde(default)]
    identity_source: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthorizerType {
    Request,
}

/// What API Gateway gives an integration that names no time of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(29_000);

impl Registry {
    /// Reads `registry.yaml`.
    pub fn new(parameters: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let template = Template::parse(REGISTRY.0, REGISTRY.1)?;
        let evaluated = template.evaluate(parameters)?;
        if let Some(kind) = evaluated.globals().next() {
            return Err(evaluated.error(format!("Globals.{kind}"), "this is not supported"));
        }
        let mut registry = None;
        for resource in &evaluated.resources()? {
            match resource.kind.as_str() {
                "AWS::Serverless::Api" => {
                    let properties: RestApiProperties =
                        evaluated.properties(resource, None, &REST_API_WITHOUT_EFFECT)?;
                    let place = format!("Resources.{}.Properties.DefinitionBody", resource.id);
                    let read = Self::read(properties, &evaluated, &place)?;
                    if registry.replace(read).is_some() {
                        return Err(evaluated.error(place, "a second API is not supported"));
                    }
                }
                kind if WITHOUT_EFFECT.contains(&kind) => {}
                _ => return Err(unsupported(&evaluated, resource)),
            }
        }
        registry.ok_or_else(|| evaluated.error("Resources", "there is no AWS::Serverless::Api"))
    }

    fn read(properties: RestApiProperties, evaluated: &Evaluated<'_>, place: &str) -> Result<Self, TemplateError> {
        let mut api = properties.definition_body;
        if !matches!(api.binary_media_types.as_slice(), [AnyMediaType::Any]) {
            let place = format!("{place}.x-amazon-apigateway-binary-media-types");
            return Err(evaluated.error(place, "it must be */* alone"));
        }
        let Some((scheme, SecurityScheme { kind: AuthType::Custom, authorizer, .. })) =
            api.components.security_schemes.pop_first().filter(|_| api.components.security_schemes.is_empty())
        else {
            return Err(evaluated.error(format!("{place}.components.securitySchemes"), "there must be one"));
        };
        let AuthorizerType::Request = authorizer.kind;
        let authorizer_place = format!("{place}.components.securitySchemes.{scheme}.x-amazon-apigateway-authorizer");
        let function = authorizer.authorizer_uri.split_once("/functions/").and_then(|(_, arn)| {
            let arn = arn.strip_suffix("/invocations")?;
            let function = arn.strip_prefix(&arn_of(""))?;
            Some(function.strip_suffix(ALIAS).unwrap_or(function))
        });
        let Some(function) = function else {
            let problem = format!("{} is no function of {}", authorizer.authorizer_uri, TEMPLATE.0);
            return Err(evaluated.error(format!("{authorizer_place}.authorizerUri"), problem));
        };
        let sources = authorizer.identity_source.split(',').map(str::trim).filter(|source| !source.is_empty());
        let identity_sources = sources
            .map(str::parse::<IdentitySource>)
            .collect::<Result<_, _>>()
            .map_err(|error| evaluated.error(format!("{authorizer_place}.identitySource"), error.to_string()))?;
        let mut resources = vec![];
        for (path, PathItem { any }) in api.paths {
            let place = format!("{place}.paths.{path}.x-amazon-apigateway-any-method");
            if !matches!(any.security.as_slice(), [one] if one.len() == 1 && one.contains_key(&scheme)) {
                return Err(evaluated.error(format!("{place}.security"), format!("it must be {scheme} alone")));
            }
            let read = read_resource(&path, any.integration);
            resources.push(read.map_err(|problem| evaluated.error(place, problem))?);
        }
        let responses = GatewayResponses::new(api.gateway_responses).map_err(|error| {
            evaluated.error(format!("{place}.x-amazon-apigateway-gateway-responses"), error.to_string())
        })?;
        Ok(Self {
            stage: properties.stage_name,
            resources,
            authorizer: function.into(),
            identity_sources,
            cache_seconds: authorizer.authorizer_result_ttl_in_seconds,
            responses,
        })
    }
}

fn read_resource(path: &str, integration: Integration) -> Result<Resource, String> {
    let (IntegrationType::HttpProxy, AnyMethod::Any) = (integration.kind, integration.http_method);
    let path = match path {
        "/" => ResourcePath::Root,
        "/{proxy+}" => ResourcePath::Proxy,
        other => return Err(format!("the path {other} is neither / nor /{{proxy+}}")),
    };
    let fits = match path {
        ResourcePath::Root => integration.uri.ends_with('/') && !integration.uri.contains('{'),
        ResourcePath::Proxy => integration.uri.ends_with("/{proxy}") && integration.uri.matches('{').count() == 1,
    };
    if !fits {
        return Err(format!("the integration's uri {} does not end with the request's path", integration.uri));
    }
    let mut headers = vec![];
    let mut passes_path = path == ResourcePath::Root;
    for (parameter, source) in integration.request_parameters {
        if parameter == "integration.request.path.proxy" && source == "method.request.path.proxy" {
            passes_path = true;
            continue;
        }
        let mapping = header_mapping(&parameter, &source);
        headers.push(mapping.ok_or_else(|| format!("the mapping {parameter}: {source} is not supported"))?);
    }
    if !passes_path {
        return Err("the path parameter proxy is not mapped".into());
    }
    let timeout = integration.timeout_in_millis.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    Ok(Resource { path, uri: integration.uri, headers, timeout })
}

fn header_mapping(parameter: &str, source: &str) -> Option<HeaderMapping> {
    let display_name = parameter.strip_prefix("integration.request.header.")?.to_string();
    let name = HeaderName::try_from(&display_name).ok()?;
    let quoted = source.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let source = match quoted {
        Some(text) if HeaderValue::from_str(text).is_ok() => MappingSource::Static(text.into()),
        Some(_) => return None,
        None => MappingSource::Authorizer(source.strip_prefix("context.authorizer.")?.into()),
    };
    Some(HeaderMapping { display_name, name, source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    const ISSUER: [(&str, &str); 2] = [("Issuer", "http://issuer"), ("Audience", "latchkey")];

    #[test]
    fn our_templates_are_understood() {
        let latchkey = Latchkey::new(&map(&ISSUER), &BTreeMap::new()).unwrap();
        let binaries: Vec<_> = latchkey.functions.values().map(|function| function.binary.as_str()).collect();
        assert_eq!(
            binaries,
            [
                "authorize",
                "burn",
                "change",
                "console",
                "current",
                "generate",
                "introspect",
                "list",
                "remind",
                "revoke",
                "rotate",
                "verify",
            ]
        );
        let open: Vec<_> = latchkey.routes.iter().filter(|route| route.open).map(|route| route.path.as_str()).collect();
        assert_eq!((latchkey.routes.len(), open.len()), (18, 11), "{open:?}");
        assert_eq!((latchkey.table.ttl.as_deref(), latchkey.table.stream), (Some("purge_at"), true));
        let pipes: Vec<_> = latchkey.pipes.iter().map(|pipe| pipe.name.as_str()).collect();
        assert_eq!(pipes, ["Changes", "Purges"]);
        let parameters = [("UpstreamUrl", "http://up"), ("AuthorizerFunctionArn", latchkey.authorizer_arn.as_str())];
        let registry = Registry::new(&map(&parameters)).unwrap();
        assert_eq!(registry.resources.len(), 2);
        assert!(latchkey.functions.contains_key(&registry.authorizer));
        assert!(latchkey.authorizer_arn.ends_with(":function:Authorize:live"), "{}", latchkey.authorizer_arn);
        assert_eq!((registry.cache_seconds, registry.identity_sources), (0, vec![]));
    }

    /// The template with one more event of a function.
    fn with_event(event: &str) -> Result<Latchkey, String> {
        let route = "      Events:\n        Route:";
        let text = TEMPLATE.1.replacen(route, &format!("      Events:\n        More: {event}\n        Route:"), 1);
        Latchkey::read(&text, &map(&ISSUER), &BTreeMap::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_function_hears_events_of_the_bus_and_is_called_by_the_clock() {
        let rule = "{Type: EventBridgeRule, Properties: {EventBusName: !Ref Events, Pattern: {source: [latchkey]}}}";
        let rules = with_event(rule).unwrap().rules;
        let rule = rules.iter().find(|rule| rule.function == "Generate").unwrap();
        assert!(rule.pattern.matches(&serde_json::json!({"source": "latchkey"})));
        for (event, kind) in [
            ("{Type: Schedule, Properties: {Schedule: rate(15 minutes)}}", Kind::Rule),
            ("{Type: ScheduleV2, Properties: {ScheduleExpression: rate(15 minutes)}}", Kind::Scheduler),
        ] {
            let schedules = with_event(event).unwrap().schedules;
            let scheduled = schedules.iter().find(|scheduled| scheduled.function == "Generate").unwrap();
            assert_eq!(scheduled.schedule.name, "GenerateMore");
            assert_eq!((scheduled.schedule.every, scheduled.schedule.kind), (Duration::from_secs(900), kind));
        }
    }

    #[test]
    fn events_that_would_not_come_on_one_machine_are_an_error() {
        for (event, error) in [
            ("{Type: SQS, Properties: {}}", "unknown variant `SQS`"),
            ("{Type: Schedule, Properties: {Schedule: cron(0 3 * * ? *)}}", "cron(0 3 * * ? *) is not supported"),
            ("{Type: Schedule, Properties: {Schedule: rate(15 minutes), Input: x}}", "unknown field `Input`"),
            (
                "{Type: EventBridgeRule, Properties: {EventBusName: default, Pattern: {}}}",
                "Events.More.EventBusName: the bus default is not the template's own",
            ),
            (
                "{Type: EventBridgeRule, Properties: {EventBusName: !Ref Events, Pattern: {a: [{suffix: b}]}}}",
                "Events.More.Pattern: a: {\"suffix\":\"b\"} is not supported",
            ),
        ] {
            let said = with_event(event).unwrap_err();
            assert!(said.contains(error), "{event}: {said}");
        }
    }

    #[test]
    fn a_pipe_that_would_do_something_else_here_is_an_error() {
        for (part, other, error) in [
            ("Source: !If [NamesStream", "Source: !If [MakesTable", "Resources.Changes.Properties.Source"),
            ("Target: !GetAtt Events.Arn", "Target: other", "Resources.Changes.Properties.Target"),
            ("StartingPosition: TRIM_HORIZON", "StartingPosition: LATEST", "unknown variant `LATEST`"),
            ("anything-but", "anything-else", "FilterCriteria: dynamodb.NewImage.last_event.S: "),
            ("<$.dynamodb.NewImage.name.S>", "<aws.pipes.pipe-name>", "InputTemplate: the placeholder"),
        ] {
            let text = TEMPLATE.1.replacen(part, other, 1);
            let said = Latchkey::read(&text, &map(&ISSUER), &BTreeMap::new()).unwrap_err().to_string();
            assert!(said.contains(error), "{part}: {said}");
        }
    }

    #[test]
    fn a_setting_overrides_the_template_where_the_function_has_it() {
        let settings = map(&[("MAX_TOKEN_DAYS", "7"), ("TABLE_NAME", "other"), ("PATH", "/bin")]);
        let latchkey = Latchkey::new(&map(&ISSUER), &settings).unwrap();
        let list = &latchkey.functions["List"].environment;
        assert_eq!(list["MAX_TOKEN_DAYS"], "7");
        assert!(!list.contains_key("PATH"));
        assert!(!latchkey.functions["Console"].environment.contains_key("TABLE_NAME"));
        assert_eq!((latchkey.table.name.as_str(), list["TABLE_NAME"].as_str()), ("other", "other"));
    }

    #[test]
    fn a_cache_time_brings_its_identity_source() {
        let arn = arn_of("Authorize");
        let parameters =
            [("UpstreamUrl", "http://up"), ("AuthorizerFunctionArn", arn.as_str()), ("AuthorizerCacheSeconds", "60")];
        let registry = Registry::new(&map(&parameters)).unwrap();
        assert_eq!(registry.cache_seconds, 60);
        assert_eq!(registry.identity_sources, [IdentitySource::Header("authorization".into())]);
    }

    #[test]
    fn a_mapping_from_elsewhere_is_refused() {
        let mapped = |parameter: &str, source: &str| header_mapping(parameter, source).is_some();
        assert!(mapped("integration.request.header.X", "''"));
        assert!(mapped("integration.request.header.X", "context.authorizer.y"));
        assert!(!mapped("integration.request.header.X", "method.request.header.Y"));
        assert!(!mapped("integration.request.querystring.X", "''"));
        assert!(!mapped("integration.request.header.X", "plain"));
    }
}
