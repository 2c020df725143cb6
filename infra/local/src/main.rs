//! `cargo run`: starts the stack, says where it is, and stops it on Ctrl-C or SIGTERM.

use clap::Parser;
use lambda_http::tracing::subscriber::filter::LevelFilter;
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::tracing::subscriber::{fmt, registry};
use local::banner::banner;
use local::options::{Data, Options, Ports, Upstream};
use local::stack::Stack;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The whole of Latchkey on this machine. Settings are taken from the environment: `MAX_TOKEN_DAYS=30 cargo run`.
#[derive(Parser)]
#[command(name = "latchkey", version)]
struct Arguments {
    /// Port of the management API
    #[arg(long, default_value_t = 3000)]
    api_port: u16,
    /// Port of the registry
    #[arg(long, default_value_t = 3001)]
    registry_port: u16,
    /// Port of the OpenID Connect issuer
    #[arg(long, default_value_t = 3002)]
    identity_port: u16,
    /// Port of DynamoDB
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// The registry to guard; without it, requests that pass are echoed
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where data is kept between starts
    #[arg(long, value_name = "DIR", default_value = ".latchkey")]
    data_dir: PathBuf,
    /// Keep no data
    #[arg(long, conflicts_with = "data_dir")]
    in_memory: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // One line a request and an event; of the functions only what is amiss, and of libraries nothing that could hold a token.
    let filter = latchkey::log::targets(LevelFilter::WARN).with_target("local", LevelFilter::INFO);
    let lines = fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(io::stderr);
    registry().with(filter).with(lines).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let upstream: Option<Upstream> = match &arguments.upstream {
        Some(url) => Some(url.parse().map_err(|error| format!("--upstream {url:?}: {error}"))?),
        None => None,
    };
    let data = if arguments.in_memory { Data::Memory } else { Data::Dir(arguments.data_dir) };
    let ports = Ports {
        api: arguments.api_port,
        registry: arguments.registry_port,
        identity: arguments.identity_port,
        dynamodb: arguments.dynamodb_port,
    };
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment = std::env::vars_os().filter_map(text).collect();
    // Before anything runs, so that no signal is missed.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let options =
        Options { ports, upstream: upstream.clone(), data: data.clone(), environment, ..Options::in_memory() };
    let stack = Stack::start(options).await?;
    // Nobody has to read it.
    let _ = io::stdout().write_all(banner(stack.ports(), upstream.as_ref(), &data).as_bytes());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stack.shutdown().await;
    Ok(())
}
