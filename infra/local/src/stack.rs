//! The whole system, started and stopped.

use crate::authorizer_cache::AuthorizerCache;
use crate::client::Client;
use crate::deployment::{FunctionDefinition, Latchkey, Registry};
use crate::dynamodb::DynamoDbError;
use crate::event_bus::{EventBus, Rule, Target};
use crate::events::Events;
use crate::function::{Function, Handler, HandlerError};
use crate::http_api::{HttpApi, Route};
use crate::issuer::{Issuer, SigningKey};
use crate::jwt::JwtAuthorizer;
use crate::options::{Data, Options, Ports};
use crate::rest_api::RestApi;
use crate::stream::{Stream, StreamError};
use crate::{dynamodb, server};
use dynoxide::Database;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The audience of the issuer's sessions.
const AUDIENCE: &str = "latchkey";

/// What stands for the registry in the template where requests are echoed: nothing is ever sent there.
const NO_UPSTREAM: &str = "http://upstream.invalid";

/// The database in the data directory.
const DATABASE_FILE: &str = "dynamodb.sqlite";

/// The issuer's key in the data directory.
const KEY_FILE: &str = "issuer-key.pem";

/// A running system.
pub struct Stack {
    ports: Ports,
    functions: BTreeMap<String, Function>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    events: Arc<Events>,
    database: Database,
    dynamodb_stop: watch::Sender<bool>,
    dynamodb: JoinHandle<()>,
}

/// Why a stack did not start. Nothing of it runs then.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// What a start may fail with says all there is to say.
fn failed(error: impl fmt::Display) -> StartError {
    StartError(error.to_string())
}

impl Stack {
    /// Starts everything; when this returns, every port answers.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (api, api_port) = bind("--api-port", options.ports.api).await?;
        let (registry, registry_port) = bind("--registry-port", options.ports.registry).await?;
        let (identity, identity_port) = bind("--identity-port", options.ports.identity).await?;
        let (dynamodb, dynamodb_port) = bind("--dynamodb-port", options.ports.dynamodb).await?;
        let ports = Ports { api: api_port, registry: registry_port, identity: identity_port, dynamodb: dynamodb_port };

        let issuer_url = format!("http://127.0.0.1:{identity_port}");
        let registry_url = format!("http://127.0.0.1:{registry_port}");
        let console_url = format!("http://127.0.0.1:{api_port}");
        let deployment = Deployment::new(&options, &issuer_url, &registry_url, &console_url)?;
        let client = dynamodb::client(dynamodb_port).map_err(failed)?;
        let functions = functions(&deployment.latchkey.functions, &client)?;

        let data = data_dir(&options.data)?;
        let key = match &data {
            Some(dir) => SigningKey::in_file(&dir.join(KEY_FILE)).map_err(failed)?,
            None => SigningKey::of_this_process().map_err(failed)?.clone(),
        };
        let database = dynamodb::open(data.map(|dir| dir.join(DATABASE_FILE)).as_deref()).map_err(failed)?;

        let http_api = Arc::new(http_api(&deployment, &functions, &options, api_port)?);
        let issuer =
            Arc::new(Issuer::new(issuer_url, deployment.latchkey.audience().into(), key, Arc::clone(&options.clock)));
        let (stop, stopped) = watch::channel(false);
        let (dynamodb_stop, dynamodb_stopped) = watch::channel(false);
        let dynamodb = dynamodb::serve(dynamodb, database.clone(), dynamodb_stopped);
        let table = &deployment.latchkey.table;
        dynamodb::ensure_table(&client, table).await.map_err(failed)?;
        // What was written before was handed on when the stack before this one stopped. If that was killed, its last
        // moments were not: no place in the stream is kept for their sake.
        let stream = Stream::at_end(database.clone(), table.name.clone()).await.map_err(failed)?;
        let events = Arc::new(events(deployment.latchkey, &functions, stream, &options)?);
        // DynamoDB deletes what is past its time some day; here that is at the next start, and makes events.
        dynamodb::sweep(database.clone()).await.map_err(failed)?;

        let rest_api = Arc::new(rest_api(deployment.registry, &functions, &options, registry_port)?);
        let mut servers = events.run(&stopped);
        servers.extend([
            server::serve(identity, stopped.clone(), move |request, _| {
                let issuer = Arc::clone(&issuer);
                async move { issuer.answer(request).await }
            }),
            server::serve(api, stopped.clone(), move |request, peer| {
                let api = Arc::clone(&http_api);
                async move { api.answer(request, peer).await }
            }),
            server::serve(registry, stopped, move |request, peer| {
                let api = Arc::clone(&rest_api);
                async move { api.answer(request, peer).await }
            }),
        ]);
        Ok(Self { ports, functions, stop, servers, events, database, dynamodb_stop, dynamodb })
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Waits for what functions that have answered are still doing.
    pub async fn settled(&self) {
        for function in self.functions.values() {
            function.settled().await;
        }
    }

    /// The latest 1,000 events, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.events.latest()
    }

    /// Returns once everything that has been written so far is handed on as events.
    pub async fn settle_events(&self) -> Result<(), StreamError> {
        self.events.settle().await
    }

    /// Calls every function that has a schedule, by the stack's clock; while the stack runs, the system's calls them too.
    pub async fn tick(&self) {
        self.events.tick().await;
    }

    /// Deletes what is past its time, by the system's clock, as DynamoDB does some day.
    pub async fn sweep(&self) -> Result<(), DynamoDbError> {
        dynamodb::sweep(self.database.clone()).await
    }

    /// Stops everything: the gateways first, so that what they have begun can still reach the table; then what they have
    /// written is handed on.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for server in self.servers {
            let _ = server.await;
        }
        let _ = tokio::time::timeout(server::GRACE, self.events.settle()).await;
        self.dynamodb_stop.send_replace(true);
        let mut dynamodb = self.dynamodb;
        // A client of its own that keeps a request open is not waited for.
        if tokio::time::timeout(server::GRACE, &mut dynamodb).await.is_err() {
            dynamodb.abort();
        }
    }
}

async fn bind(flag: &str, port: u16) -> Result<(TcpListener, u16), StartError> {
    let unusable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            StartError(format!("port {port} is in use on 127.0.0.1; choose another with {flag}"))
        }
        _ => StartError(format!("port {port} ({flag}) cannot be used: {error}")),
    };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(unusable)?;
    let port = listener.local_addr().map_err(unusable)?.port();
    Ok((listener, port))
}

/// The data directory, which only its owner may enter.
fn data_dir(data: &Data) -> Result<Option<PathBuf>, StartError> {
    let Data::Dir(dir) = data else { return Ok(None) };
    let unusable =
        |error| StartError(format!("the data directory {} (--data-dir) cannot be used: {error}", dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    writable(dir).map_err(unusable)?;
    Ok(Some(dir.clone()))
}

fn writable(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".writable-{}", std::process::id()));
    std::fs::write(&probe, "")?;
    std::fs::remove_file(&probe)
}

/// What the templates deploy, with what one machine gives them for parameters.
struct Deployment {
    latchkey: Latchkey,
    registry: Registry,
}

impl Deployment {
    fn new(options: &Options, issuer_url: &str, registry_url: &str, console_url: &str) -> Result<Self, StartError> {
        let given = |own: &[(&str, &str)]| -> BTreeMap<String, String> {
            let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            own.chain(options.parameters.clone()).collect()
        };
        let parameters = given(&[
            ("Issuer", issuer_url),
            ("Audience", AUDIENCE),
            ("RegistryUrl", registry_url),
            ("ConsoleUrl", console_url),
        ]);
        let latchkey = Latchkey::new(&parameters, &options.environment).map_err(failed)?;
        let upstream = options.upstream.as_ref().map_or(NO_UPSTREAM, |upstream| upstream.url());
        // The gateway tells of the console as the authorizer does.
        let console = options.environment.get("CONSOLE_URL").map_or(console_url, |url| url.trim());
        let registry = Registry::new(&given(&[
            ("UpstreamUrl", upstream),
            ("AuthorizerFunctionArn", &latchkey.authorizer_arn),
            ("ConsoleUrl", console),
        ]))
        .map_err(failed)?;
        Ok(Self { latchkey, registry })
    }
}

/// Every function with its settings, or everything that is wrong with any of them.
fn functions(
    definitions: &BTreeMap<String, FunctionDefinition>,
    client: &aws_sdk_dynamodb::Client,
) -> Result<BTreeMap<String, Function>, StartError> {
    let mut functions = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for (name, definition) in definitions {
        let environment = definition.environment.clone().into_iter().collect();
        match Handler::of(&definition.binary, &environment, client.clone()) {
            Ok(handler) => {
                functions.insert(name.clone(), Function::new(handler, definition.timeout));
            }
            // Several functions share a setting; it is named once.
            Err(HandlerError::Settings(error)) => wrong.extend(error.to_string().lines().skip(1).map(str::to_string)),
            Err(HandlerError::UnknownBinary) => {
                return Err(StartError(format!("the function {name} runs an unknown binary, {}", definition.binary)));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(functions);
    }
    Err(StartError(format!("wrong settings:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"))))
}

fn function(functions: &BTreeMap<String, Function>, name: &str) -> Result<Function, StartError> {
    functions.get(name).cloned().ok_or_else(|| StartError(format!("there is no function {name}")))
}

/// What becomes of what is written from this place in the stream on.
fn events(
    latchkey: Latchkey,
    functions: &BTreeMap<String, Function>,
    stream: Stream,
    options: &Options,
) -> Result<Events, StartError> {
    let target = |name: String| Ok::<_, StartError>(Target { function: function(functions, &name)?, name });
    let rules = latchkey.rules.into_iter();
    let rules = rules.map(|rule| Ok::<_, StartError>(Rule { pattern: rule.pattern, target: target(rule.function)? }));
    let schedules = latchkey.schedules.into_iter();
    let schedules = schedules.map(|scheduled| Ok::<_, StartError>((scheduled.schedule, target(scheduled.function)?)));
    Ok(Events::new(
        stream,
        latchkey.pipes,
        EventBus::new(rules.collect::<Result<_, _>>()?),
        schedules.collect::<Result<_, _>>()?,
        Arc::clone(&options.clock),
    ))
}

fn http_api(
    deployment: &Deployment,
    functions: &BTreeMap<String, Function>,
    options: &Options,
    port: u16,
) -> Result<HttpApi, StartError> {
    let route = |definition: &crate::deployment::RouteDefinition| {
        Ok(Route {
            method: definition.method.clone(),
            path: definition.path.clone(),
            function: function(functions, &definition.function)?,
            open: definition.open,
        })
    };
    Ok(HttpApi {
        routes: deployment.latchkey.routes.iter().map(route).collect::<Result<_, StartError>>()?,
        cors: deployment.latchkey.cors.clone(),
        authorizer: JwtAuthorizer::new(deployment.latchkey.sessions.clone()).map_err(failed)?,
        clock: Arc::clone(&options.clock),
        port,
    })
}

fn rest_api(
    registry: Registry,
    functions: &BTreeMap<String, Function>,
    options: &Options,
    port: u16,
) -> Result<RestApi, StartError> {
    let upstream = options.upstream.as_ref();
    Ok(RestApi {
        authorizer: function(functions, &registry.authorizer)?,
        stage: registry.stage,
        resources: registry.resources,
        cache: AuthorizerCache::new(registry.identity_sources, registry.cache_seconds),
        responses: registry.responses,
        upstream: upstream.map(|upstream| Client::for_scheme(upstream.is_https())).transpose().map_err(failed)?,
        clock: Arc::clone(&options.clock),
        port,
    })
}
