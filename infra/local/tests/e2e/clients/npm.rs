//! npm, pnpm and yarn, with verdaccio.

use super::{Front, Holder, Home, NO_TOKEN, REFUSED, Ran};
use crate::harness::{Process, free_port, lacks};
use std::process::Command;
use tempfile::TempDir;

/// Open to whoever the gateway lets through; nothing is fetched from elsewhere.
const CONFIG: &str = "
storage: ./storage
auth: { htpasswd: { file: ./htpasswd, max_users: -1 } }
uplinks: {}
packages: { '**': { access: $all, publish: $all, unpublish: $all } }
log: { type: stdout, format: pretty, level: error }
";

struct Verdaccio {
    front: Front,
    _process: Process,
    _folder: TempDir,
}

impl Verdaccio {
    async fn start() -> Self {
        let port = free_port();
        let front = Front::before(port, &["read", "write:@acme/*", "write:-/package/@acme/*"]).await;
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
        let mut command = Command::new("verdaccio");
        command.args(["--config", "config.yaml", "--listen", &format!("127.0.0.1:{port}")]).current_dir(folder.path());
        // What it says of itself must be the gateway's address.
        command.env("VERDACCIO_PUBLIC_URL", front.url());
        Self { front, _process: Process::start(command, port).await, _folder: folder }
    }
}

fn package(home: &Home, folder: &str, name: &str) {
    home.write(&format!("{folder}/package.json"), format!("{{\"name\": \"{name}\", \"version\": \"1.0.0\"}}\n"));
}

#[tokio::test]
async fn npm_installs_publishes_tags_and_unpublishes_and_says_why_it_may_not() {
    if lacks(&["verdaccio", "npm"]) {
        return;
    }
    let registry = Verdaccio::start().await;
    let front = &registry.front;
    let home = Home::new();
    package(&home, "x", "@acme/x");
    package(&home, "y", "@acme/y");
    package(&home, "other", "other");
    let words = [("PACKAGE", "@acme/x")];
    let snippet = front.snippet(Holder::ReadWrite, "npm", &words);
    let setup = |holder| front.snippet(holder, "npm", &words).lines().take(2).collect::<Vec<_>>().join("\n");

    home.run("x", format!("{}\nnpm publish", setup(Holder::ReadWrite))).await.expect_success();
    home.run("y", format!("set -e\n{snippet}"))
        .await
        .expect_success()
        .expect("added 1 package")
        .expect("+ @acme/y@1.0.0");
    home.run("y", "npm dist-tag add @acme/y@1.0.0 beta").await.expect_success().expect("+beta: @acme/y@1.0.0");
    home.run("other", format!("{}\nnpm publish", setup(Holder::ReadWrite))).await.expect_refusal(
        "Token my ci grants read:* write:@acme/* write:-/package/@acme/*. This request needs write:other.",
    );

    let reader = Home::new();
    package(&reader, "z", "@acme/z");
    let snippet = front.snippet(Holder::ReadOnly, "npm", &words);
    let installed = reader.run("z", format!("set -e\n{snippet}\nnpm audit")).await;
    // Its own POST, which only reads, reaches the registry; this one has no answer to it.
    installed.expect("added 1 package").expect("404 Not Found - POST");
    for (command, needed) in [
        ("npm publish", "write:@acme%2fz"),
        ("npm dist-tag add @acme/x@1.0.0 beta", "write:-/package/@acme%2fx/dist-tags/beta"),
        ("npm unpublish --force @acme/x@1.0.0", "write:@acme%2fx"),
    ] {
        let refused = reader.run("z", command).await;
        refused.expect_refusal(&format!("Token my laptop grants read:*. This request needs {needed}"));
    }

    for (holder, reason) in REFUSED {
        let home = Home::new();
        package(&home, "z", "@acme/z");
        for command in ["npm install @acme/x", "npm publish"] {
            home.run("z", format!("{}\n{command}", setup(holder))).await.expect_refusal(reason);
        }
    }
    let nobody = Home::new();
    package(&nobody, "z", "@acme/z");
    let refused = nobody.run("z", format!("{}\nnpm install @acme/x", setup(Holder::Nobody))).await;
    refused.expect_refusal(NO_TOKEN);

    home.run("y", "npm unpublish --force @acme/y").await.expect_success().expect("- @acme/y");
    home.run("y", "npm view @acme/y").await.expect_refusal("404 Not Found");
}

#[tokio::test]
async fn pnpm_installs_and_publishes_and_says_why_it_may_not_where_it_says_anything() {
    if lacks(&["verdaccio", "npm", "pnpm"]) {
        return;
    }
    let registry = Verdaccio::start().await;
    let front = &registry.front;
    let home = Home::new();
    package(&home, "x", "@acme/x");
    package(&home, "y", "@acme/y");
    let words = [("PACKAGE", "@acme/x")];
    let snippet = front.snippet(Holder::ReadWrite, "pnpm", &words);
    let setup = |holder| front.snippet(holder, "pnpm", &words).lines().take(2).collect::<Vec<_>>().join("\n");
    home.run("x", format!("{}\npnpm publish", setup(Holder::ReadWrite))).await.expect_success();
    let ran = home.run("y", format!("set -e\n{snippet}\npnpm dist-tag add @acme/y@1.0.0 beta")).await.expect_success();
    ran.expect("+ @acme/x 1.0.0").expect("+ @acme/y@1.0.0").expect("+beta: @acme/y@1.0.0");

    let reader = Home::new();
    package(&reader, "z", "@acme/z");
    let snippet = front.snippet(Holder::ReadOnly, "pnpm", &words);
    let audited = reader.run("z", format!("set -e\n{snippet}\npnpm audit")).await;
    audited.expect("+ @acme/x 1.0.0").expect("ERR_PNPM_AUDIT_ENDPOINT_NOT_EXISTS");
    reader
        .run("z", "pnpm publish")
        .await
        .expect_refusal("Token my laptop grants read:*. This request needs write:@acme%2fz.");

    for (holder, reason) in REFUSED {
        let home = Home::new();
        package(&home, "z", "@acme/z");
        // Of a refused read it shows the status alone.
        home.run("z", format!("{}\npnpm add @acme/x", setup(holder))).await.expect_refusal("Forbidden - 403");
        home.run("z", "pnpm publish").await.expect_refusal(reason);
    }
    let nobody = Home::new();
    package(&nobody, "z", "@acme/z");
    let refused = nobody.run("z", format!("{}\npnpm add @acme/x", setup(Holder::Nobody))).await;
    refused.expect_refusal("Unauthorized - 401");
    home.run("y", "pnpm unpublish --force @acme/y").await.expect_success().expect("- @acme/y");
}

/// Yarn would hold back packages that were published less than a day ago.
async fn yarn(home: &Home, folder: &str, script: &str) -> Ran {
    home.run(folder, format!("export YARN_NPM_MINIMAL_AGE_GATE=0\n{script}")).await
}

#[tokio::test]
async fn yarn_installs_and_publishes_and_says_why_it_may_not_where_it_says_anything() {
    if lacks(&["verdaccio", "yarn"]) {
        return;
    }
    let registry = Verdaccio::start().await;
    let front = &registry.front;
    let home = |folders: &[&str]| {
        let home = Home::new();
        for folder in folders {
            package(&home, folder, &format!("@acme/{folder}"));
            // Without it, the project would be one with a folder above.
            home.write(&format!("{folder}/yarn.lock"), "");
        }
        home
    };
    let words = [("PACKAGE", "@acme/x")];
    let snippet = |holder| format!("set -e\n{}", front.snippet(holder, "yarn", &words));
    let without_adding = |holder| snippet(holder).replace("yarn add @acme/x", "yarn install");

    let writer = home(&["x", "y"]);
    yarn(&writer, "x", &without_adding(Holder::ReadWrite)).await.expect_success();
    yarn(&writer, "y", &snippet(Holder::ReadWrite)).await.expect_success().expect("+ @acme/x@npm:1.0.0");
    yarn(&writer, "y", "yarn npm tag add @acme/y@1.0.0 beta").await.expect_success();

    let reader = home(&["z"]);
    yarn(&reader, "z", &snippet(Holder::ReadOnly)).await.expect_success().expect("+ @acme/x@npm:1.0.0");
    let refused = yarn(&reader, "z", "yarn npm publish").await;
    refused.expect_refusal("Token my laptop grants read:*. This request needs write:@acme%2fz.");

    for (holder, reason) in REFUSED {
        let home = home(&["z"]);
        // Of a refused read it shows the status alone.
        yarn(&home, "z", &snippet(holder)).await.expect_refusal("Response Code: 403 (Forbidden)");
        yarn(&home, "z", &without_adding(holder)).await.expect_refusal(reason);
    }
    let setup = front.snippet(Holder::Nobody, "yarn", &words);
    let setup = setup.lines().filter(|line| !line.contains("--home")).collect::<Vec<_>>().join("\n");
    let refused = yarn(&home(&["z"]), "z", &format!("set -e\n{setup}")).await;
    refused.expect_refusal("Invalid authentication (as an anonymous user)");
}
