//! Real clients against real registries behind the gateway, each configured by the snippet that came with its token.
//!
//! A client that is not on the machine is said to be missing; with `LATCHKEY_ALL_TOOLS` set, as in `.ci/run`, that fails.

mod cargo;
mod containers;
mod file_store;
mod maven;
mod npm;
mod python;
mod scripts;

use crate::harness::Harness;
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Of a token that reads and writes.
    ReadWrite,
    /// Of one that only reads.
    ReadOnly,
    /// Of one that could do both until it expired.
    Expired,
    /// Of one that could do both until it was revoked.
    Revoked,
    /// Of none.
    Nobody,
}

/// What a refused client must be able to read, for those who have a token that is known.
pub const REFUSED: [(Holder, &str); 2] = [
    (Holder::Expired, "Token old ci expired on 2027-01-06T23:59:59Z"),
    (Holder::Revoked, "Token lost ci was revoked on 2027-01-05T12:00:00Z"),
];

/// What a client without a token is told, where it shows a body.
pub const NO_TOKEN: &str = "A token is needed, and none that is known was sent.";

/// A registry behind the gateway, and a token for each holder.
pub struct Front {
    pub stack: Harness,
    made: Vec<(Holder, Value)>,
}

impl Front {
    /// In front of a registry on this port. The tokens that can do everything their scopes allow are `my ci`, `old ci`
    /// (expired) and `lost ci` (revoked); `my laptop` reads.
    pub async fn before(upstream: u16, scopes: &[&str]) -> Self {
        let stack = Harness::start_before(&format!("http://127.0.0.1:{upstream}")).await;
        let session = stack.session("alice").await;
        let mut made = vec![];
        for (holder, wish) in [
            (Holder::ReadWrite, json!({"name": "my ci", "scopes": scopes})),
            (Holder::ReadOnly, json!({"name": "my laptop", "scopes": ["read"]})),
            (Holder::Expired, json!({"name": "old ci", "scopes": scopes, "expires_at": "2027-01-06"})),
            (Holder::Revoked, json!({"name": "lost ci", "scopes": scopes})),
        ] {
            let reply = stack.api(Method::POST, "/tokens", Some(&session), Some(&wish)).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            made.push((holder, reply.json));
        }
        stack.revoke("alice", made[3].1["id"].as_str().unwrap()).await;
        stack.set_time("2027-01-07T12:00:00Z");
        Self { stack, made }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.stack.stack.ports().registry)
    }

    pub fn token(&self, holder: Holder) -> &str {
        self.made(holder)["token"].as_str().unwrap()
    }

    /// A script of whoever reads and writes, with the token that only reads.
    pub fn as_reader(&self, script: &str) -> String {
        script.replace(self.token(Holder::ReadWrite), self.token(Holder::ReadOnly))
    }

    fn made(&self, holder: Holder) -> &Value {
        &self.made.iter().find(|(of, _)| *of == holder).unwrap().1
    }

    /// The snippet as it was shown with the token, with these words in place of those in capitals. For nobody it is
    /// that of the token that reads and writes, without the token.
    pub fn snippet(&self, holder: Holder, client: &str, words: &[(&str, &str)]) -> String {
        let of = if holder == Holder::Nobody { Holder::ReadWrite } else { holder };
        let usage = self.made(of)["usage"].as_array().unwrap();
        let usage = usage.iter().find(|usage| usage["client"] == client).unwrap();
        let mut snippet = usage["snippet"].as_str().unwrap().to_string();
        for (word, name) in words {
            assert!(snippet.contains(word), "{snippet}");
            snippet = snippet.replace(word, name);
        }
        if holder == Holder::Nobody { snippet.replace(self.token(of), "") } else { snippet }
    }
}

/// What a script printed, and whether it did what it should.
#[derive(Debug)]
pub struct Ran {
    pub succeeded: bool,
    pub output: String,
}

impl Ran {
    pub fn expect_success(self) -> Self {
        assert!(self.succeeded, "{}", self.output);
        self
    }

    /// It failed, and its output says so in these words, wherever it breaks its lines.
    pub fn expect_refusal(self, words: &str) -> Self {
        assert!(!self.succeeded, "it was let in: {}", self.output);
        self.expect(words)
    }

    pub fn expect(self, words: &str) -> Self {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain(&self.output).contains(&plain(words)), "{words:?} is not in: {}", self.output);
        self
    }
}

/// A home of its own for a client.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs a script in a folder of this home, with nothing of this machine's settings.
    pub async fn run(&self, folder: &str, script: impl Into<String>) -> Ran {
        let (folder, home, script) = (self.path().join(folder), self.path().join("home"), script.into());
        std::fs::create_dir_all(&folder).unwrap();
        let run = move || {
            // One stream for both, in the order in which a person would see them.
            let script = format!("exec 2>&1\n{script}\n");
            let mut command = Command::new("sh");
            command.args(["-c", &script]).current_dir(&folder).env_clear().stdin(Stdio::null());
            for name in ["PATH", "RUSTUP_TOOLCHAIN", "JAVA_HOME"] {
                command.envs(std::env::var(name).map(|value| (name, value)));
            }
            command.env("HOME", &home).env("RUSTUP_HOME", rustup_home()).env("LANG", "C.UTF-8").env("NO_COLOR", "1");
            command.output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        Ran { succeeded: output.status.success(), output: String::from_utf8_lossy(&output.stdout).into_owned() }
    }
}

/// Where the toolchain is, which a client's home of its own hides.
fn rustup_home() -> PathBuf {
    let home = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".rustup");
    std::env::var_os("RUSTUP_HOME").map_or_else(home, PathBuf::from)
}
