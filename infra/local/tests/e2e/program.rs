//! The program itself, as a newcomer starts it.

use crate::harness::lacks;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
    /// What it printed until it was ready.
    banner: String,
}

fn command(folder: &Path) -> Command {
    command_at(folder, 0)
}

/// The program in this folder, its issuer at this port, everything else at any.
pub fn command_at(folder: &Path, identity_port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--api-port", "0", "--registry-port", "0", "--dynamodb-port", "0"]);
    command.args(["--identity-port", &identity_port.to_string()]);
    command
}

impl Program {
    fn start(folder: &Path) -> Self {
        Self::start_by(command(folder))
    }

    fn start_by(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            assert_ne!(output.read_line(&mut banner).unwrap(), 0, "it ended: {banner}");
        }
        Self { process, output, banner }
    }

    /// Sends a signal and waits for the end.
    fn stop(mut self, signal: &str) -> Option<i32> {
        Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn shell(script: &str) -> Output {
    Command::new("sh").args(["-c", script]).output().unwrap()
}

/// Cargo starts the one `default-run` of the workspace, and asks which one is meant where there are several.
#[test]
fn cargo_run_starts_this_program_of_all_that_the_workspace_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let metadata = command.output().unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(metadata["workspace_default_members"].as_array().unwrap().len(), packages.len());
    let runs: Vec<_> = packages.iter().filter_map(|package| package["default_run"].as_str()).collect();
    assert_eq!(runs, ["latchkey"]);
}

#[test]
fn the_printed_lines_make_a_token_use_it_and_revoke_it() {
    if lacks(&["curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let lines: Vec<_> = program.banner.lines().filter(|line| line.contains("curl")).collect();
    assert_eq!(lines.len(), 3, "{}", program.banner);
    // The second line once more, after the third.
    let output = shell(&format!("{}\n{}\n{}\n{}", lines[0], lines[1], lines[2], lines[1]));
    let output = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<_> = output.lines().collect();
    assert!(printed[0].starts_with("lk_") && printed[0].len() == 96, "{output}");
    assert!(
        printed[1].contains("\"path\":\"/hello\"") && printed[1].contains("\"X-Latchkey-Subject\":\"alice\""),
        "{output}"
    );
    assert_eq!(printed[2], "204", "{output}");
    assert!(printed[3].contains("was revoked on"), "{output}");
    assert_eq!(program.stop("-INT"), Some(0));
}

#[test]
fn tokens_outlive_a_restart() {
    if lacks(&["curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let lines: Vec<_> = program.banner.lines().filter(|line| line.contains("curl")).map(str::to_owned).collect();
    let made = shell(&lines[0]).stdout;
    assert_eq!(program.stop("-TERM"), Some(0));
    let again = Program::start(folder.path());
    let uses = again.banner.lines().filter(|line| line.contains("curl")).nth(1).unwrap().to_owned();
    let made = String::from_utf8(made).unwrap();
    let used = shell(&format!("TOKEN='{}'\n{uses}", made.trim()));
    assert!(String::from_utf8(used.stdout).unwrap().contains("\"path\":\"/hello\""));
}

#[test]
fn any_setting_can_be_given_alone_as_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let readme = include_str!("../../../../README.md");
    let example = readme.split(" cargo run`").next().unwrap().rsplit('`').next().unwrap();
    for setting in [example, "DEFAULT_TOKEN_DAYS=365", "CACHE_SECONDS=30", "ALLOW_NO_EXPIRY=true"] {
        let (name, value) = setting.split_once('=').unwrap();
        let mut command = command(folder.path());
        command.env(name, value);
        assert_eq!(Program::start_by(command).stop("-INT"), Some(0), "{setting}");
    }
}

#[test]
fn what_hinders_the_start_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (arguments, variables, said) in [
        (vec!["--registry-port", &port], vec![], "--registry-port"),
        (vec!["--data-dir", "file/x"], vec![], "--data-dir"),
        (vec!["--upstream", "registry"], vec![], "--upstream"),
        (
            vec![],
            vec![("MAX_TOKEN_DAYS", "none")],
            "MAX_TOKEN_DAYS is \"none\"; allowed: a whole number from 1 to 36500",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.current_dir(folder.path()).args(["--api-port", "0", "--identity-port", "0", "--dynamodb-port", "0"]);
        if !arguments.contains(&"--registry-port") {
            command.args(["--registry-port", "0"]);
        }
        let output = command.args(&arguments).envs(variables).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}
