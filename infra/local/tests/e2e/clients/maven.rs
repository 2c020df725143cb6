//! Maven, with a store of files.

use super::file_store::FileStore;
use super::{Front, Holder, Home, REFUSED};
use crate::harness::lacks;

/// Where Debian's packages have Maven's plugins: nothing is fetched from elsewhere.
const PLUGINS: &str = "/usr/share/maven-repo/org/apache/maven/plugins/maven-deploy-plugin";

/// A home with two projects: `hello`, and `world`, which has it for its parent.
fn home() -> Home {
    let home = Home::new();
    let mirror = "<mirror><id>debian</id><mirrorOf>central</mirrorOf><url>file:///usr/share/maven-repo</url></mirror>";
    home.write("global.xml", format!("<settings><mirrors>{mirror}</mirrors></settings>"));
    for (name, parent) in [("hello", ""), ("world", "hello")] {
        let parent = match parent {
            "" => "<groupId>example</groupId><version>1</version>".to_owned(),
            parent => format!(
                "<parent><groupId>example</groupId><artifactId>{parent}</artifactId><version>1</version>\
                 <relativePath/></parent>"
            ),
        };
        let project = format!(
            "<modelVersion>4.0.0</modelVersion>{parent}<artifactId>{name}</artifactId><packaging>pom</packaging>"
        );
        home.write(&format!("{name}/pom.xml"), format!("<project>{project}</project>"));
        // Java takes a home from the machine's list of users.
        let root = home.path().display();
        let options = format!("--batch-mode\n--global-settings\n{root}/global.xml\n-Dmaven.repo.local={root}/.m2\n");
        home.write(&format!("{name}/.mvn/maven.config"), options);
    }
    home
}

#[tokio::test]
async fn maven_deploys_and_resolves_with_a_token_alone() {
    if lacks(&["mvn", PLUGINS]) {
        return;
    }
    let store = FileStore::start().await;
    let front = Front::before(store.port, &["write"]).await;
    let snippet = |holder| format!("set -e\n{}", front.snippet(holder, "maven", &[]));

    // The snippet packages, then deploys.
    home().run("hello", snippet(Holder::ReadWrite)).await.expect_success();
    assert!(store.paths().contains(&"/example/hello/1/hello-1.pom".to_string()), "{:?}", store.paths());

    home().run("world", snippet(Holder::ReadOnly)).await.expect_success().expect("Downloaded from my-registry");
    let as_reader = front.as_reader(&snippet(Holder::ReadWrite));
    // Of a refusal it shows no more than the status.
    let refused = home().run("world", as_reader).await;
    refused
        .expect_refusal("Uploading to my-registry")
        .expect_refusal("authorization failed")
        .expect_refusal("403 Forbidden");
    for (holder, _) in REFUSED {
        for project in ["world", "hello"] {
            home().run(project, snippet(holder)).await.expect_refusal("403 Forbidden");
        }
    }
    for project in ["world", "hello"] {
        home().run(project, snippet(Holder::Nobody)).await.expect_refusal("401 Unauthorized");
    }
    assert!(!store.paths().contains(&"/example/world/1/world-1.pom".to_string()));
}
