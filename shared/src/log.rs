//! Logging, set up once in a function's `main`.

pub mod json;
mod text;

use crate::clock;
use json::JsonLines;
use lambda_http::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::tracing::subscriber::{fmt, registry};
use std::io;

/// Our own crates: they log no secret at any level.
const OURS: [&str; 13] = [
    "latchkey",
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
];

/// Starts logging to standard output, at the level of `AWS_LAMBDA_LOG_LEVEL` (`INFO`), as JSON where
/// `AWS_LAMBDA_LOG_FORMAT` says so, with metrics where `AWS_LAMBDA_FUNCTION_NAME` says whose they are.
///
/// The level is that of our own crates. Others stay at warnings whatever it says: the runtime and the SDK write whole
/// events and requests at `TRACE`, and an event holds the token.
pub fn init() {
    let variable = |name| std::env::var(name).ok();
    let level = variable("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let level: LevelFilter = level.unwrap_or(LevelFilter::INFO);
    let filter = targets(level);
    if variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        let function = variable("AWS_LAMBDA_FUNCTION_NAME");
        registry().with(filter).with(JsonLines::new(io::stdout, function.as_deref(), clock::now)).init();
    } else {
        registry().with(filter).with(fmt::layer().without_time().with_ansi(false)).init();
    }
}

/// Which log lines pass at this level.
pub fn targets(level: LevelFilter) -> Targets {
    // At INFO the runtime opens the span that puts the request id on our lines.
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("lambda_runtime", LevelFilter::INFO.min(level))
        // It writes each error of a handler once more, as ERROR: an everyday "Unauthorized" among them.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        .with_targets(OURS.map(|name| (name, level)))
}
