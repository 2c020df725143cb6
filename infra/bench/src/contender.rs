//! Who is measured, and how each is started.

use crate::Error;
use crate::dynamodb::DynamoDb;
use crate::event::{Events, TABLE};
use crate::prepare::Built;
use crate::runtime_api::RuntimeApi;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tokio::process::{Child, Command};

/// One of those that are compared.
pub struct Contender {
    /// As the table calls it.
    pub name: &'static str,
    /// Whether its starts are measured as well.
    pub starts: bool,
    role: Role,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where it runs: Lambda's `/var/task`.
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// What it does with an event.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Authorizes,
    Reads,
    Nothing,
}

/// A contender at work.
pub struct Running {
    /// The process, killed on drop.
    pub process: Child,
    /// Right before it was started.
    pub started: Instant,
    /// Through which it is asked.
    pub api: RuntimeApi,
}

/// Names that ratios are made of.
pub const LATCHKEY: &str = "Latchkey";
/// With `CACHE_SECONDS`.
pub const CACHED: &str = "Latchkey, cached";
/// In Node.js.
pub const NODE: &str = "Node.js";
/// In Python.
pub const PYTHON: &str = "Python";
/// A constant.
pub const BARE: &str = "bare Rust";
/// A read and nothing else.
pub const GET_ITEM: &str = "bare GetItem";
/// With the SDK's defaults.
pub const UNTUNED: &str = "untuned Rust";

/// Everybody.
pub fn all(built: &Built, dynamodb: &DynamoDb) -> Result<Vec<Contender>, Error> {
    let contender = |name, role, starts, program: &Path| {
        let contender = Contender {
            name,
            starts,
            role,
            program: program.into(),
            arguments: vec![],
            folder: std::env::temp_dir(),
            variables: vec![
                ("AWS_REGION", "us-east-1".into()),
                ("AWS_DEFAULT_REGION", "us-east-1".into()),
                ("AWS_ACCESS_KEY_ID", "local".into()),
                ("AWS_SECRET_ACCESS_KEY", "local".into()),
                ("AWS_SESSION_TOKEN", "local".into()),
                ("AWS_ENDPOINT_URL_DYNAMODB", format!("https://localhost:{}", dynamodb.tls_port)),
                ("TABLE_NAME", TABLE.into()),
            ],
        };
        // As many certificates as there are on a machine, where it is the machine's that are trusted.
        contender.with("SSL_CERT_FILE", dynamodb.bundle.path())
    };
    let (_, authorize) = built.functions.iter().find(|(name, _)| *name == "authorize").ok_or("no authorizer")?;
    let mut all = vec![
        contender(LATCHKEY, Role::Authorizes, true, authorize).with("AWS_CA_BUNDLE", dynamodb.own.path()),
        contender(CACHED, Role::Authorizes, false, authorize)
            .with("AWS_CA_BUNDLE", dynamodb.own.path())
            .with("CACHE_SECONDS", "300"),
        contender(UNTUNED, Role::Authorizes, true, &built.untuned),
    ];
    if let Some(node) = &built.node {
        let mut node_js =
            contender(NODE, Role::Authorizes, true, Path::new("node")).with("NODE_EXTRA_CA_CERTS", dynamodb.own.path());
        node_js.folder = node.task.clone();
        node_js.arguments = vec![node.client.display().to_string(), "authorize.handler".into()];
        all.push(node_js);
    }
    if let Some(python) = &built.python {
        let mut boto3 = contender(PYTHON, Role::Authorizes, true, &python.interpreter)
            .with("AWS_CA_BUNDLE", dynamodb.bundle.path());
        boto3.folder = python.task.clone();
        boto3.arguments = vec!["-m".into(), "awslambdaric".into(), "authorize.handler".into()];
        all.push(boto3);
    }
    all.push(
        contender(GET_ITEM, Role::Reads, true, &built.release.join("get_item"))
            .with("AWS_CA_BUNDLE", dynamodb.own.path()),
    );
    all.push(contender(BARE, Role::Nothing, true, &built.release.join("constant")));
    Ok(all)
}

impl Contender {
    fn with(mut self, name: &'static str, value: impl AsRef<Path>) -> Self {
        self.variables.push((name, value.as_ref().display().to_string()));
        self
    }

    /// What it is asked.
    pub fn event<'a>(&self, events: &'a Events) -> &'a Bytes {
        if self.role == Role::Reads { &events.get_item } else { &events.authorize }
    }

    /// Starts it, with what Lambda gives a function.
    pub async fn start(&self) -> Result<Running, Error> {
        let api = RuntimeApi::start().await?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "authorize")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorize")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/24/[$LATEST]0")
            .env("LAMBDA_TASK_ROOT", &self.folder)
            .env("_HANDLER", "authorize.handler")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let process = command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))?;
        Ok(Running { process, started, api })
    }
}

/// Every authorizer must give Latchkey's answer, or the comparison is of different things.
pub async fn check_answers(contenders: &[Contender], events: &Events) -> Result<(), Error> {
    let mut expected = None;
    for contender in contenders.iter().filter(|contender| contender.role == Role::Authorizes) {
        let of = |error| format!("{}: {error}", contender.name);
        let mut running = contender.start().await?;
        running.api.polled().await.map_err(of)?;
        let (_, answer) = running.api.invoke(contender.event(events)).await.map_err(of)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let expected = expected.get_or_insert_with(|| answer.clone());
        if *expected != answer {
            return Err(format!("{} answers\n{answer}\ninstead of\n{expected}", contender.name).into());
        }
    }
    Ok(())
}
