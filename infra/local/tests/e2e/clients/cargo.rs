//! cargo, with a small sparse index.

use super::file_store::FileStore;
use super::{Front, Holder, Home, NO_TOKEN, REFUSED};

fn library(home: &Home, name: &str) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\nlicense = \"MIT\"\ndescription = \"A test\"\n\
         [workspace]\n"
    );
    home.write(&format!("{name}/Cargo.toml"), manifest);
    home.write(&format!("{name}/src/lib.rs"), "");
}

/// A home with three libraries, `world` to depend on `hello`, and `another` that is never published.
fn home() -> Home {
    let home = Home::new();
    for name in ["hello", "world", "another"] {
        library(&home, name);
    }
    home
}

const HELLO: [(&str, &str); 1] = [("PACKAGE", "hello")];

fn without_adding(snippet: &str) -> String {
    snippet.lines().filter(|line| !line.starts_with("cargo add")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn cargo_publishes_yanks_and_fetches_and_says_why_it_may_not() {
    let index = FileStore::start_with_cargo_index().await;
    let front = Front::before(index.port, &["write"]).await;

    let rw = home();
    let snippet = front.snippet(Holder::ReadWrite, "cargo", &HELLO);
    rw.run("hello", without_adding(&snippet)).await.expect_success();
    rw.run("world", format!("set -e\n{snippet}")).await.expect_success();
    assert!(index.paths().contains(&"/crates/world/1.0.0/download".to_string()));

    let reader = home();
    let snippet = front.snippet(Holder::ReadOnly, "cargo", &HELLO);
    reader.run("world", format!("set -e\n{snippet}\ncargo build")).await.expect_success();
    for (command, needed) in [("publish", "new"), ("yank --version 1.0.0 hello", "hello/1.0.0/yank")] {
        let refused = reader.run("another", format!("{snippet}\ncargo {command} --registry my-registry")).await;
        let reason = format!("Token my laptop grants read:*. This request needs write:api/v1/crates/{needed}.");
        refused.expect_refusal(&reason);
    }

    for (holder, reason) in REFUSED {
        let home = home();
        let snippet = front.snippet(holder, "cargo", &HELLO);
        home.run("world", snippet.replace("cargo publish", "exit #")).await.expect_refusal(reason);
        home.run("another", without_adding(&snippet)).await.expect_refusal(reason);
    }

    let nobody = home();
    let snippet = front.snippet(Holder::Nobody, "cargo", &HELLO).replace("cargo publish", "exit #");
    nobody.run("world", snippet).await.expect_refusal(NO_TOKEN);

    assert!(!index.text("/he/ll/hello").contains("\"yanked\":true"), "nobody has yanked it yet");
    let yank = "cargo yank --registry my-registry --version 1.0.0 hello";
    let snippet = without_adding(&front.snippet(Holder::ReadWrite, "cargo", &HELLO));
    rw.run("hello", snippet.replace("cargo publish --registry my-registry", yank)).await.expect_success();
    assert!(index.text("/he/ll/hello").contains("\"yanked\":true"));
}
