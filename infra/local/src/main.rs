//! `cargo run`: the whole of Latchkey on this machine.

use clap::Parser;
use lambda_http::tracing::subscriber::filter::LevelFilter;
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::tracing::subscriber::{fmt, registry};
use latchkey::clock;
use latchkey::log;
use local::banner;
use local::options::{Data, Options, Ports, Upstream};
use local::stack::{Stack, StartError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The whole of Latchkey on this machine: management API, registry, sign-in and DynamoDB, on 127.0.0.1.
///
/// Settings of the functions (MAX_TOKEN_DAYS, CACHE_SECONDS, …) are taken from the environment.
#[derive(Parser)]
#[command(name = "latchkey", version)]
struct Arguments {
    /// Where the management API listens; 0 is any free port, here and below
    #[arg(long, default_value_t = 3000)]
    api_port: u16,
    /// Where the registry's gateway listens
    #[arg(long, default_value_t = 3001)]
    registry_port: u16,
    /// Where the OpenID Connect issuer listens
    #[arg(long, default_value_t = 3002)]
    identity_port: u16,
    /// Where DynamoDB listens
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// The registry behind the gateway; without it, requests that pass are echoed
    #[arg(long, value_name = "URL")]
    upstream: Option<Upstream>,
    /// Where data is kept
    #[arg(long, value_name = "DIR", default_value = ".latchkey")]
    data_dir: PathBuf,
    /// Keep no data
    #[arg(long, conflicts_with = "data_dir")]
    in_memory: bool,
}

impl Arguments {
    fn options(self) -> Options {
        Options {
            ports: Ports {
                api: self.api_port,
                registry: self.registry_port,
                identity: self.identity_port,
                dynamodb: self.dynamodb_port,
            },
            upstream: self.upstream,
            data: if self.in_memory { Data::Memory } else { Data::Dir(self.data_dir) },
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            parameters: Default::default(),
            clock: Arc::new(clock::now),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = log::targets(LevelFilter::INFO).with_target("local", LevelFilter::INFO);
    registry().with(filter).with(fmt::layer().with_writer(io::stderr).with_target(false)).init();
    match run(Arguments::parse().options()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "latchkey: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), StartError> {
    let upstream = options.upstream.clone();
    let stack = Stack::start(options).await?;
    // Nobody may be reading.
    let _ = write!(io::stdout(), "{}", banner::text(&stack.ports(), upstream.as_ref()));
    stop_signal().await;
    stack.shutdown().await;
    Ok(())
}

/// Ctrl-C, or what a service manager sends.
async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
