//! pip, uv and twine, with pypiserver, behind API Gateway and behind nginx.

use super::{Front, Holder, Home, NO_TOKEN, REFUSED, Ran};
use crate::harness::{Process, free_port, lacks};
use crate::proxies::Proxy;
use std::process::Command;
use tempfile::TempDir;

struct Pypiserver {
    front: Front,
    port: u16,
    _process: Process,
    folder: TempDir,
}

impl Pypiserver {
    /// Open to whoever the gateway lets through; nothing is fetched from elsewhere.
    async fn start() -> Self {
        let port = free_port();
        let front = Front::before(port, &["write"]).await;
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("pypi-server");
        command.args(["run", "--interface", "127.0.0.1", "--port", &port.to_string(), "--disable-fallback"]);
        command.args(["--passwords", ".", "--authenticate", "."]).arg(folder.path());
        Self { front, port, _process: Process::start(command, port).await, folder }
    }

    fn has(&self, file: &str) -> bool {
        self.folder.path().join(file).exists()
    }
}

/// A wheel in `dist`, as `python -m build` would leave one.
async fn wheel(home: &Home, name: &str) {
    let script = format!(
        "mkdir -p dist wheel/{name}-1.0.dist-info && cd wheel && echo > {name}.py && cd {name}-1.0.dist-info\n\
         printf 'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n' > METADATA\n\
         printf 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n' > WHEEL\n\
         printf '{name}.py,,\\n{name}-1.0.dist-info/METADATA,,\\n{name}-1.0.dist-info/WHEEL,,\\n{name}-1.0.dist-info/RECORD,,\\n' > RECORD\n\
         cd .. && python3 -m zipfile -c ../dist/{name}-1.0-py3-none-any.whl {name}.py {name}-1.0.dist-info"
    );
    home.run("project", script).await.expect_success();
}

/// Installs go into a folder of the project's.
async fn run(home: &Home, script: &str) -> Ran {
    let folder = "export PIP_TARGET=installed PIP_DISABLE_PIP_VERSION_CHECK=1\n";
    home.run("project", format!("{folder}{script}")).await
}

const TOO_NARROW: &str = "Token my laptop grants read:*. This request needs write:*.";

#[tokio::test]
async fn twine_uploads_and_pip_installs_and_twine_says_why_it_may_not() {
    if lacks(&["pypi-server", "twine", "pip", "python3"]) {
        return;
    }
    let registry = Pypiserver::start().await;
    let front = &registry.front;
    let home = Home::new();
    wheel(&home, "hello").await;
    let twine = |holder| front.snippet(holder, "twine", &[]);
    let pip = |holder| front.snippet(holder, "pip", &[("PACKAGE", "hello")]);

    run(&home, &twine(Holder::ReadWrite)).await.expect_success();
    assert!(registry.has("hello-1.0-py3-none-any.whl"));
    run(&home, &pip(Holder::ReadWrite)).await.expect_success();
    run(&Home::new(), &pip(Holder::ReadOnly)).await.expect_success().expect("Successfully installed hello-1.0");

    wheel(&home, "other").await;
    let upload = front.as_reader(&twine(Holder::ReadWrite));
    run(&home, &upload).await.expect_refusal("HTTPError: 403 Forbidden");
    run(&home, &format!("{upload} --verbose")).await.expect_refusal(TOO_NARROW);
    for (holder, reason) in REFUSED {
        // pip shows nothing of a refusal.
        run(&Home::new(), &pip(holder)).await.expect_refusal("No matching distribution found for hello");
        run(&home, &format!("{} --verbose", twine(holder))).await.expect_refusal(reason);
    }
    let install = pip(Holder::Nobody).replace("__token__:@", "").replace("pip install", "pip install --no-input");
    run(&Home::new(), &install).await.expect_refusal("");
    run(&home, &format!("{} --verbose", twine(Holder::Nobody))).await.expect_refusal(NO_TOKEN);
    assert!(!registry.has("other-1.0-py3-none-any.whl"));
}

#[tokio::test]
async fn uv_publishes_and_installs_and_says_why_it_may_not_publish() {
    if lacks(&["pypi-server", "uv", "python3"]) {
        return;
    }
    let registry = Pypiserver::start().await;
    let front = &registry.front;
    let home = Home::new();
    wheel(&home, "hello").await;
    let uv = |holder| front.snippet(holder, "uv", &[("PACKAGE", "hello")]);
    let publish = |holder| uv(holder).replace("uv pip install", "#");
    let install = |holder| format!("set -e\nuv venv --clear\n{}", uv(holder).replace("uv publish", "exit #"));

    run(&home, &publish(Holder::ReadWrite)).await.expect_success();
    assert!(registry.has("hello-1.0-py3-none-any.whl"));
    run(&home, &install(Holder::ReadWrite)).await.expect_success();
    run(&Home::new(), &format!("uv venv && {}", uv(Holder::ReadOnly))).await.expect_success().expect("+ hello==1.0");

    wheel(&home, "other").await;
    run(&home, &front.as_reader(&publish(Holder::ReadWrite))).await.expect_refusal(TOO_NARROW);
    for (holder, reason) in REFUSED {
        // Of a refused read it shows the status alone.
        run(&Home::new(), &install(holder)).await.expect_refusal("returned a 403 Forbidden error");
        run(&home, &publish(holder)).await.expect_refusal(reason);
    }
    run(&Home::new(), &install(Holder::Nobody)).await.expect_refusal("(401 Unauthorized)");
    run(&home, &publish(Holder::Nobody)).await.expect_refusal(NO_TOKEN);
    assert!(!registry.has("other-1.0-py3-none-any.whl"));
}

#[tokio::test]
async fn behind_nginx_twine_uploads_and_pip_installs_and_twine_says_why_it_may_not() {
    if lacks(&["nginx", "pypi-server", "twine", "pip", "python3"]) {
        return;
    }
    let registry = Pypiserver::start().await;
    let front = &registry.front;
    let nginx = Proxy::nginx(registry.port, &front.stack).await;
    let there = |snippet: String| snippet.replace(&front.host(), &format!("127.0.0.1:{}", nginx.port));
    let home = Home::new();
    wheel(&home, "hello").await;
    let twine = |holder| there(front.snippet(holder, "twine", &[]));
    let pip = |holder| there(front.snippet(holder, "pip", &[("PACKAGE", "hello")]));

    run(&home, &twine(Holder::ReadWrite)).await.expect_success();
    assert!(registry.has("hello-1.0-py3-none-any.whl"));
    run(&Home::new(), &pip(Holder::ReadOnly)).await.expect_success().expect("Successfully installed hello-1.0");

    wheel(&home, "other").await;
    let upload = front.as_reader(&twine(Holder::ReadWrite));
    run(&home, &format!("{upload} --verbose")).await.expect_refusal(TOO_NARROW);
    for (holder, reason) in REFUSED {
        run(&Home::new(), &pip(holder)).await.expect_refusal("No matching distribution found for hello");
        run(&home, &format!("{} --verbose", twine(holder))).await.expect_refusal(reason);
    }
    run(&home, &format!("{} --verbose", twine(Holder::Nobody))).await.expect_refusal(NO_TOKEN);
    assert!(!registry.has("other-1.0-py3-none-any.whl"));
}
