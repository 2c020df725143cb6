//! The functions as Lambda runs them: release bootstraps under a Lambda Runtime API, against the local DynamoDB.
//!
//! `LATCHKEY_BOOTSTRAPS` names the folder that `cargo lambda build --release` filled (`target/lambda`). Without it these
//! tests say so and do nothing: building the bootstraps takes cargo-lambda and minutes.

use crate::events::{self, DECISION, SETTINGS, STATUS};
use crate::harness::{self, Harness};
use lambda_simulator::{InvocationStatus, Simulator};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A bootstrap at work. Its log goes to a file, to be searched afterwards.
struct Bootstrap {
    runtime: Simulator,
    process: Child,
    log: tempfile::NamedTempFile,
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LATCHKEY_BOOTSTRAPS").map(PathBuf::from);
    if folder.is_none() {
        harness::not_run(
            "the bootstraps under a Lambda Runtime API. Build them with `cargo lambda build --release`, then set \
             LATCHKEY_BOOTSTRAPS to the absolute path of target/lambda.",
        );
    }
    folder
}

impl Bootstrap {
    async fn start(function: &str, stack: &Harness, settings: &[(&str, &str)]) -> Option<Self> {
        let path = folder()?.join(function).join("bootstrap");
        let runtime = Simulator::builder().function_name(function).build().await.unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let process = Command::new(&path)
            .env_clear()
            .envs(runtime.lambda_env_vars())
            .env("AWS_LAMBDA_RUNTIME_API", runtime.runtime_api_url().trim_start_matches("http://"))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_ENDPOINT_URL_DYNAMODB", stack.dynamodb_url())
            // The most verbose that an operator can set.
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .env("RUST_LOG", "trace")
            .envs(settings.iter().copied())
            .stdout(log.reopen().unwrap())
            .stderr(Stdio::from(log.reopen().unwrap()))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Some(Self { runtime, process, log })
    }

    /// The function's answer, or the message of its error.
    async fn invoke(&self, event: Value) -> Result<Value, String> {
        let id = self.runtime.enqueue_payload(event).await;
        let state = self.runtime.wait_for_invocation_complete(&id, Duration::from_secs(20)).await.unwrap();
        match state.status {
            InvocationStatus::Success => Ok(state.response.unwrap().payload),
            _ => Err(state.error.unwrap().error_message),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Events whose answers are those of the samples' date: a bootstrap goes by the system's clock.
const DATED: [&str; 3] = ["change/sooner", "change/prolonged", "rotate/new-end"];

#[tokio::test]
async fn each_management_bootstrap_answers_its_events() {
    for (function, expected) in STATUS {
        let events = events::events(function);
        let mut log = String::new();
        for (name, status) in expected {
            if DATED.contains(&format!("{function}/{name}").as_str()) {
                continue;
            }
            // Each its own table: what one event does is not for the next to find.
            let stack = Harness::start_now().await;
            events::keep_records(&stack).await;
            let Some(bootstrap) = Bootstrap::start(function, &stack, &SETTINGS).await else { return };
            let answer = bootstrap.invoke(events[*name].clone()).await.unwrap();
            assert_eq!(answer["statusCode"], *status, "{function}/{name}: {answer}\n{}", bootstrap.log());
            log.push_str(&bootstrap.log());
        }
        assert_no_secret(function, &log);
    }
}

#[tokio::test]
async fn the_authorizers_bootstrap_answers_its_events() {
    let stack = Harness::start_now().await;
    events::keep_records(&stack).await;
    let Some(bootstrap) = Bootstrap::start("authorize", &stack, &[]).await else { return };
    let events = events::events("authorize");
    for (name, expected) in DECISION {
        // The records were kept as of now, not as of the sample's date.
        let expected = expected.map(|message| message.split(" on 2027").next().unwrap());
        let answer = bootstrap.invoke(events[name].clone()).await;
        match (expected, answer) {
            (Ok(message), Ok(answer)) => {
                assert!(answer["context"]["message"].as_str().unwrap().contains(message), "{name}: {answer}");
            }
            (Err(expected), Err(error)) => assert!(error.contains(expected), "{name}: {error}"),
            (_, answer) => panic!("{name}: {answer:?}\n{}", bootstrap.log()),
        }
    }
    assert_no_secret("authorize", &bootstrap.log());
}

#[tokio::test]
async fn the_bootstrap_of_reminders_takes_its_events() {
    let stack = Harness::start_now().await;
    let Some(bootstrap) = Bootstrap::start("remind", &stack, &[]).await else { return };
    for (name, event) in events::events("remind") {
        assert_eq!(bootstrap.invoke(event).await, Ok(Value::Null), "{name}");
    }
}

#[tokio::test]
async fn a_bootstrap_with_wrong_settings_names_them_all_and_takes_no_event() {
    let stack = Harness::start_now().await;
    let wrong = [("TOKEN_PREFIX", "LK"), ("MAX_TOKEN_DAYS", "none")];
    let Some(mut bootstrap) = Bootstrap::start("authorize", &stack, &wrong).await else { return };
    let status = tokio::task::spawn_blocking(move || (bootstrap.process.wait().unwrap(), bootstrap)).await.unwrap();
    assert!(!status.0.success());
    let log = status.1.log();
    assert!(log.contains("TOKEN_PREFIX") && log.contains("MAX_TOKEN_DAYS"), "{log}");
}

/// The samples' tokens are in the events; their secrets must be in no log.
fn assert_no_secret(function: &str, log: &str) {
    let events = format!("{:?}", events::events(function));
    assert!(!log.is_empty());
    let secrets = events.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() == 49);
    for secret in secrets {
        assert!(!log.contains(&secret[..43]), "{function} logs a secret");
    }
}
