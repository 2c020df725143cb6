//! Everything at work: ports are taken, the templates read, the functions set up, and then requests are answered.

use crate::authorizer_cache::AuthorizerCache;
use crate::client::Client;
use crate::deployment::{FunctionSettings, Management, Parameters, Registry};
use crate::function::HttpHandler::{Generate, List, Revoke};
use crate::function::{Function, Handler};
use crate::http_api::{HttpApi, Route};
use crate::issuer::{Issuer, SigningKey};
use crate::jwt::JwtAuthorizer;
use crate::options::{Data, Options, Ports};
use crate::rest_api::RestApi;
use crate::template::Template;
use crate::{dynamodb, server};
use aws_sdk_dynamodb::Client as DynamoDb;
use latchkey::config::ConfigError;
use std::fmt;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const TEMPLATE: &str = include_str!("../../template.yaml");
const REGISTRY: &str = include_str!("../../registry.yaml");

/// The client that sessions are for.
const AUDIENCE: &str = "latchkey";

/// A running stack. Dropped, it stops at once; [`Stack::shutdown`] lets it finish what is under way.
pub struct Stack {
    ports: Ports,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a stack does not start; one line, but for settings, which are named one a line.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn failed(error: impl fmt::Display) -> StartError {
    StartError(error.to_string())
}

impl Stack {
    /// Starts everything. When it returns, every port answers.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (api, api_port) = listen(options.ports.api, "--api-port").await?;
        let (registry, registry_port) = listen(options.ports.registry, "--registry-port").await?;
        let (identity, identity_port) = listen(options.ports.identity, "--identity-port").await?;
        let (dynamodb, dynamodb_port) = listen(options.ports.dynamodb, "--dynamodb-port").await?;
        let ports = Ports { api: api_port, registry: registry_port, identity: identity_port, dynamodb: dynamodb_port };
        let issuer_url = format!("http://127.0.0.1:{identity_port}");

        let mut given = Parameters::from([
            ("Issuer".into(), issuer_url.clone()),
            ("Audience".into(), AUDIENCE.into()),
            ("UpstreamUrl".into(), options.upstream.as_ref().map_or("http://no-upstream", |up| up.url()).into()),
        ]);
        // The one setting that both templates have.
        given.extend(options.environment.get("CONSOLE_URL").map(|url| ("ConsoleUrl".into(), url.clone())));
        given.extend(options.parameters.clone());
        let template = Template::parse("infra/template.yaml", TEMPLATE).map_err(failed)?;
        let management = Management::read(&template, &given, &options.environment).map_err(failed)?;
        given.insert("AuthorizerFunctionArn".into(), management.authorizer_arn.clone());
        let template = Template::parse("infra/registry.yaml", REGISTRY).map_err(failed)?;
        let front = Registry::read(&template, &given, &management.authorizer_arn).map_err(failed)?;

        let client = dynamodb::client(dynamodb_port);
        let function = |binary: &str| {
            let settings = management.functions.get(binary);
            let settings = settings.ok_or_else(|| failed(format!("infra/template.yaml has no function {binary}")))?;
            set_up(binary, settings, client.clone())
        };
        let routes = management.routes.iter().map(|route| {
            Ok(Route {
                method: route.method.clone(),
                path: route.path.clone(),
                function: function(&route.function)?,
                authorized: route.authorized,
            })
        });
        let http_api = HttpApi {
            routes: routes.collect::<Result<_, StartError>>()?,
            authorizer: JwtAuthorizer::new(management.accepted).map_err(failed)?,
            clock: options.clock.clone(),
            port: api_port,
        };
        let upstream = options.upstream.as_ref().map(|upstream| Client::for_scheme(upstream.is_https()));
        let rest_api = RestApi {
            stage: front.stage,
            resources: front.resources,
            authorizer: function("authorize")?,
            cache: AuthorizerCache::new(front.identity_sources, front.cache_seconds),
            responses: front.responses,
            upstream: upstream.transpose().map_err(failed)?,
            clock: options.clock.clone(),
            port: registry_port,
        };
        let key = signing_key(&options.data)?;
        let issuer = Issuer::new(issuer_url, AUDIENCE.into(), key, options.clock.clone());

        let (stop, stopped) = watch::channel(false);
        let database = dynamodb::serve(&options.data, dynamodb, stopped.clone()).map_err(failed)?;
        let (http_api, rest_api, issuer) = (Arc::new(http_api), Arc::new(rest_api), Arc::new(issuer));
        let mut stack = Self { ports, stop, tasks: vec![database] };
        dynamodb::create(&client, &management.table).await.map_err(failed)?;
        stack.tasks.push(server::serve(identity, stopped.clone(), move |request, _| {
            let issuer = Arc::clone(&issuer);
            async move { issuer.answer(request).await }
        }));
        stack.tasks.push(server::serve(api, stopped.clone(), move |request, peer| {
            let api = Arc::clone(&http_api);
            async move { api.answer(request, peer).await }
        }));
        stack.tasks.push(server::serve(registry, stopped, move |request, peer| {
            let api = Arc::clone(&rest_api);
            async move { api.answer(request, peer).await }
        }));
        Ok(stack)
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Takes no more requests, and returns when those under way are answered, or after [`server::GRACE`].
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        for mut task in std::mem::take(&mut self.tasks) {
            // The database may still have an idle connection open.
            if tokio::time::timeout(server::GRACE * 2, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(port: u16, flag: &str) -> Result<(TcpListener, u16), StartError> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(|error| failed(format!("port {port} cannot be had ({flag}): {error}")))?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

fn signing_key(data: &Data) -> Result<SigningKey, StartError> {
    match data {
        Data::Memory => SigningKey::of_this_process().cloned().map_err(failed),
        Data::Dir(folder) => {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| failed(format!("{} cannot be used (--data-dir): {error}", folder.display())))?;
            SigningKey::in_file(&folder.join("issuer.pem")).map_err(failed)
        }
    }
}

fn set_up(binary: &str, settings: &FunctionSettings, client: DynamoDb) -> Result<Function, StartError> {
    let environment = &settings.environment;
    let wrong = |error: ConfigError| failed(format!("{binary}: {error}"));
    let handler = match binary {
        "generate" => Handler::Http(Generate(generate::Function::new(environment, client).map_err(wrong)?)),
        "list" => Handler::Http(List(list::Function::new(environment, client).map_err(wrong)?)),
        "revoke" => Handler::Http(Revoke(revoke::Function::new(environment, client).map_err(wrong)?)),
        "authorize" => Handler::Authorizer(authorize::Function::new(environment, client).map_err(wrong)?),
        _ => return Err(failed(format!("infra/template.yaml has a function {binary} that is not known here"))),
    };
    Ok(Function::new(handler, settings.timeout))
}
