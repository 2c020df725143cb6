//! Clients whose registry is a store of files, or anything that answers.

use super::file_store::FileStore;
use super::{Front, Holder, Home, NO_TOKEN, REFUSED};
use crate::harness::{lacks, lacks_python_module};
use serde_json::json;

/// The commands of a snippet without those that hold this.
fn without(snippet: &str, part: &str) -> String {
    snippet.lines().filter(|line| !line.contains(part)).collect::<Vec<_>>().join("\n")
}

/// A client that reads and writes files by HTTP and prints what it is answered, refusals as well.
struct Script {
    client: &'static str,
    /// What its snippet is fed to.
    interpreter: &'static str,
    /// A piece of the command that writes, in the snippet.
    writes: &'static str,
}

impl Script {
    async fn reads_writes_and_prints_why_it_may_not(&self) {
        let store = FileStore::start().await;
        let front = Front::before(store.port, &["write"]).await;
        store.put("/files/x.txt", "before");
        let home = Home::new();
        home.write("local.txt", "hello");
        let words = [("PATH", "files/x.txt")];
        let script = |holder, reading: bool| {
            let snippet = front.snippet(holder, self.client, &words).replace("FILE", "local.txt");
            let snippet = if reading { without(&snippet, self.writes) } else { snippet };
            format!("{} <<'END-OF-SCRIPT'\n{snippet}\nEND-OF-SCRIPT", self.interpreter)
        };

        home.run(".", script(Holder::ReadWrite, false)).await.expect_success();
        assert_eq!(store.text("/files/x.txt"), "hello");
        home.run(".", script(Holder::ReadOnly, true)).await.expect_success().expect("hello");

        let as_reader = front.as_reader(&script(Holder::ReadWrite, false));
        let reason = "Token my laptop grants read:*. This request needs write:files/x.txt.";
        home.run(".", as_reader).await.expect(reason);
        for (holder, reason) in REFUSED {
            home.run(".", script(holder, true)).await.expect(reason);
        }
        home.run(".", script(Holder::Nobody, true)).await.expect(NO_TOKEN);
        assert_eq!(store.paths(), ["/files/x.txt"]);
    }
}

#[tokio::test]
async fn curl_reads_and_writes_and_prints_why_it_may_not() {
    if lacks(&["curl"]) {
        return;
    }
    let curl = Script { client: "curl", interpreter: "sh", writes: "-T " };
    curl.reads_writes_and_prints_why_it_may_not().await;
}

#[tokio::test]
async fn python_requests_reads_and_writes_and_prints_why_it_may_not() {
    if lacks(&["python3"]) || lacks_python_module("requests") {
        return;
    }
    let requests = Script { client: "requests", interpreter: "python3 -", writes: ".put(" };
    requests.reads_writes_and_prints_why_it_may_not().await;
}

#[tokio::test]
async fn r_httr2_reads_and_writes_and_prints_why_it_may_not() {
    if lacks(&["Rscript", "/usr/lib/R/site-library/httr2"]) {
        return;
    }
    let httr2 = Script { client: "httr2", interpreter: "Rscript -", writes: "req_method" };
    httr2.reads_writes_and_prints_why_it_may_not().await;
}

const SPECIFICATION: &str = "Gem::Specification.new do |s|\n\
                             s.name, s.version, s.summary, s.authors = 'hello', '1.0', 'A test', ['me']\n\
                             s.license = 'MIT'\n\
                             s.files = []\n\
                             end\n";

#[tokio::test]
async fn gem_pushes_and_installs_and_says_why_it_may_not_push() {
    if lacks(&["gem"]) {
        return;
    }
    let store = FileStore::start().await;
    let front = Front::before(store.port, &["write"]).await;
    let home = Home::new();
    home.write("hello.gemspec", SPECIFICATION);
    home.run(
        ".",
        "gem build hello.gemspec && mkdir -p site/gems && cp hello-1.0.gem site/gems && gem generate_index -d site",
    )
    .await
    .expect_success();
    let listed = home.run("site", "find . -type f").await.output;
    for path in listed.lines().map(|line| line.trim_start_matches('.')) {
        store.put(path, std::fs::read(home.path().join("site").join(&path[1..])).unwrap());
    }
    let snippet = |holder| {
        let snippet = front.snippet(holder, "gem", &[("PACKAGE", "hello")]).replace("hello.gem", "../hello-1.0.gem");
        // A folder without the file, which would be installed instead.
        format!("export GEM_HOME=gems\n{snippet}")
    };

    let pushed = home.run("rw", snippet(Holder::ReadWrite)).await.expect_success();
    pushed.expect("Successfully installed hello-1.0").expect("Pushing gem to");
    assert!(store.paths().contains(&"/api/v1/gems".to_string()), "{:?}", store.paths());
    home.run("ro", snippet(Holder::ReadOnly)).await.expect_success().expect("Successfully installed hello-1.0");
    let as_reader = front.as_reader(&snippet(Holder::ReadWrite));
    let reason = "Token my laptop grants read:*. This request needs write:api/v1/gems.";
    home.run("ro", as_reader).await.expect_refusal(reason);
    for (holder, reason) in REFUSED {
        let refused = home.run(&format!("{holder:?}"), snippet(holder)).await.expect_refusal(reason);
        // Of a refused read it shows the status alone.
        refused.expect("bad response Forbidden 403");
    }
    home.run("nobody", snippet(Holder::Nobody)).await.expect_refusal(NO_TOKEN).expect("bad response Unauthorized 401");
}

#[tokio::test]
async fn composer_installs_and_says_why_it_may_not() {
    if lacks(&["composer"]) {
        return;
    }
    let store = FileStore::start().await;
    let front = Front::before(store.port, &["write"]).await;
    let home = Home::new();
    home.write("hello/composer.json", "{\"name\": \"acme/hello\"}");
    home.run("hello", "tar cf ../hello.tar composer.json").await.expect_success();
    store.put("/hello.tar", std::fs::read(home.path().join("hello.tar")).unwrap());
    let package = json!({
        "name": "acme/hello", "version": "1.0.0", "dist": {"type": "tar", "url": format!("{}/hello.tar", front.url())},
    });
    store.put("/packages.json", json!({"packages": {"acme/hello": {"1.0.0": package}}}).to_string());

    let require = async |holder| {
        let home = Home::new();
        // Nothing is fetched from elsewhere.
        home.write("composer.json", "{\"repositories\": {\"packagist.org\": false}}");
        let snippet = front.snippet(holder, "composer", &[("PACKAGE", "acme/hello")]);
        home.run(".", format!("export COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_NO_INTERACTION=1\n{snippet}")).await
    };
    for holder in [Holder::ReadWrite, Holder::ReadOnly] {
        require(holder).await.expect_success().expect("Installing acme/hello (1.0.0)");
    }
    for (holder, reason) in REFUSED {
        require(holder).await.expect_refusal(reason);
    }
    require(Holder::Nobody).await.expect_refusal(NO_TOKEN);
}

/// Debian's Gradle cannot publish to any address (it lacks a library for that), so that half of the snippet is unproven.
#[tokio::test]
async fn gradle_resolves_with_a_token_alone() {
    if lacks(&["gradle"]) {
        return;
    }
    let store = FileStore::start().await;
    let front = Front::before(store.port, &["read"]).await;
    let project = "<modelVersion>4.0.0</modelVersion><groupId>example</groupId><artifactId>hello</artifactId><version>1</version>";
    store.put("/example/hello/1/hello-1.pom", format!("<project>{project}</project>"));
    store.put("/example/hello/1/hello-1.txt", "hello");
    let build = async |holder| {
        let home = Home::new();
        home.write("settings.gradle", "rootProject.name = 'world'\n");
        let script = "plugins { id 'base' }\n\
                      configurations { hello }\n\
                      dependencies { hello 'example:hello:1@txt' }\n\
                      build.doLast { configurations.hello.each { println it.name } }\n";
        home.write("build.gradle", script);
        let snippet = front.snippet(holder, "gradle", &[]);
        // Java takes a home from the machine's list of users.
        let own = "export GRADLE_USER_HOME=$HOME/gradle GRADLE_OPTS=-Dorg.gradle.daemon=false";
        home.run(".", format!("{own}\n{snippet}")).await
    };
    for holder in [Holder::ReadWrite, Holder::ReadOnly] {
        build(holder).await.expect_success().expect("hello-1.txt");
    }
    for (holder, _) in REFUSED {
        // It shows the status alone.
        build(holder).await.expect_refusal("Received status code 403 from server: Forbidden");
    }
    build(Holder::Nobody).await.expect_refusal("Received status code 401 from server: Unauthorized");
}
