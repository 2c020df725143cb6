//! `cargo run` as a person meets it: what it prints, how it stops, and what it says when it cannot start.

use local::options::{Data, Options};
use local::stack::Stack;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const FREE_PORTS: [&str; 8] =
    ["--api-port", "0", "--registry-port", "0", "--identity-port", "0", "--dynamodb-port", "0"];

fn latchkey(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.args(FREE_PORTS).args(arguments).env_remove("MAX_TOKEN_DAYS").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0));
    String::from_utf8(stderr).unwrap()
}

/// Starts it, and reads what it prints until it is ready.
fn started(arguments: &[&str]) -> (Child, Vec<String>) {
    let mut child = latchkey(arguments).spawn().unwrap();
    let mut lines = vec![];
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.last().is_some_and(|line: &String| line.starts_with("curl -sS -X DELETE")) {
        lines.push(stdout.next().expect("it prints three lines").unwrap());
    }
    (child, lines)
}

fn stop(mut child: Child, signal: &str) -> String {
    let since = Instant::now();
    Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() && since.elapsed() < Duration::from_secs(8), "{status} after {:?}", since.elapsed());
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    log
}

#[test]
fn the_three_printed_lines_work_as_pasted() {
    let (child, lines) = started(&["--in-memory"]);
    let pasted = &lines[lines.len() - 3..];
    if Command::new("curl").arg("--version").output().is_ok() {
        let output = Command::new("sh").args(["-c", &pasted.join("\n")]).output().unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), 3, "{answers:?} {}", String::from_utf8_lossy(&output.stderr));
        assert!(answers[0].starts_with(r#"{"id":""#), "{}", answers[0]);
        assert!(answers[1].contains(r#""X-Latchkey-Subject":"alice""#), "{}", answers[1]);
        assert_eq!(answers[2], "204");
        let log = stop(child, "INT");
        assert!(log.contains("api POST /tokens 201\n") && log.contains("registry GET /hello 200\n"), "{log}");
        assert_eq!(log.lines().count(), 3, "one line a request: {log}");
        let token = answers[0].split('"').nth(7).unwrap();
        assert!(!log.contains(&token[47..]), "{log}");
    } else {
        // Nothing to paste them into a shell for.
        stop(child, "INT");
    }
}

#[test]
fn it_stops_on_sigterm() {
    let (child, _) = started(&["--in-memory"]);
    stop(child, "TERM");
}

#[test]
fn what_keeps_it_from_starting_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--api-port", "--registry-port", "--identity-port", "--dynamodb-port"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        for free in FREE_PORTS.chunks(2).filter(|free| free[0] != flag) {
            command.args(free);
        }
        let error = refused(command.args(["--in-memory", flag, &port]));
        assert_eq!(error, format!("port {port} is in use on 127.0.0.1; choose another with {flag}\n"));
    }
    let error = refused(&mut latchkey(&["--in-memory", "--upstream", "registry.example"]));
    assert!(error.starts_with("--upstream \"registry.example\": an upstream is an http or https address"), "{error}");
    assert_eq!(error.lines().count(), 1);
    let error = refused(&mut latchkey(&["--data-dir", "/dev/null/data"]));
    assert!(error.starts_with("the data directory /dev/null/data cannot be used: "), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn wrong_settings_are_all_named_once_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = latchkey(&["--data-dir", data.to_str().unwrap()]);
    let error = refused(command.env("MAX_TOKEN_DAYS", "many").env("RETENTION_DAYS", "-1").env("TOKEN_PREFIX", ""));
    assert_eq!(
        error,
        "wrong settings:\n  MAX_TOKEN_DAYS is \"many\"; allowed: a whole number from 1 to 36500\n  \
         RETENTION_DAYS is \"-1\"; allowed: a whole number from 0 to 3650\n"
    );
    assert!(!data.exists());
}

fn options(dir: &Path) -> Options {
    Options { data: Data::Dir(dir.join("data")), ..Options::in_memory() }
}

#[tokio::test]
async fn data_and_sessions_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let begin = latchkey::clock::now().to_string();
    let first = crate::harness::Harness::start_from(&[], options(dir.path()), &begin).await;
    let session = first.session("alice").await;
    let token = first.token("alice", serde_json::json!({"name": "kept", "scopes": ["read"]})).await;
    let ports = first.stack.ports();
    first.stack.shutdown().await;

    let key = std::fs::metadata(dir.path().join("data/issuer-key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let again = Options { ports, ..options(dir.path()) };
    let second = crate::harness::Harness::start_from(&[], again, &begin).await;
    let list = second.api(http::Method::GET, "/tokens", Some(&session), None).await;
    assert_eq!((list.status, &list.json["tokens"][0]["id"]), (200, &serde_json::json!(token.id)));
    assert_eq!(second.registry(http::Method::GET, "/x", Some(&token.text)).await.status, 200);
    second.stack.shutdown().await;
}

#[tokio::test]
async fn another_table_name_is_another_table() {
    let mut options = Options::in_memory();
    options.environment.insert("TABLE_NAME".into(), "other".into());
    let stack = Stack::start(options).await.unwrap();
    let client = local::dynamodb::client(stack.ports().dynamodb);
    assert_eq!(client.list_tables().send().await.unwrap().table_names(), ["other"]);
    let ttl = client.describe_time_to_live().table_name("other").send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("purge_at"));
    stack.shutdown().await;
}
