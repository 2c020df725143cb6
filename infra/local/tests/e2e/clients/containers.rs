//! skopeo, the docker CLI and oras-py, with docker-registry.

use super::{Front, Holder, Home, NO_TOKEN, REFUSED};
use crate::harness::{Process, free_port, lacks, lacks_python_module};
use http::Request;
use serde_json::json;
use std::process::Command;
use tempfile::TempDir;

struct DockerRegistry {
    front: Front,
    _process: Process,
    _folder: TempDir,
}

impl DockerRegistry {
    /// Open to whoever the gateway lets through.
    async fn start() -> Self {
        let port = free_port();
        let front = Front::before(port, &["write"]).await;
        let folder = TempDir::new().unwrap();
        let config = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": folder.path()}, "delete": {"enabled": true}},
            // Where it sends clients on with an upload must be the gateway.
            "http": {"addr": format!("127.0.0.1:{port}"), "host": front.url()},
        });
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file);
        Self { front, _process: Process::start(command, port).await, _folder: folder }
    }
}

/// An image of one layer, in the folder that skopeo calls `dir:image`; the layer's digest.
async fn image(home: &Home) -> String {
    let script = r#"
mkdir image && cd image && echo hello > hello && tar cf layer.tar hello && rm hello
diff=$(sha256sum layer.tar | cut -c-64) && gzip -n layer.tar && layer=$(sha256sum layer.tar.gz | cut -c-64)
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $diff > config
config=$(sha256sum config | cut -c-64)
type=application/vnd.docker
printf '{"schemaVersion":2,"mediaType":"%s.distribution.manifest.v2+json","config":{"mediaType":"%s.container.image.v1+json","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"%s.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \
  $type $type $(stat -c %s config) $config $type $(stat -c %s layer.tar.gz) $layer > manifest.json
mv layer.tar.gz $layer && mv config $config && printf 'Directory Transport Version: 1.1\n' > version
echo $layer
"#;
    let layer = home.run(".", script).await.expect_success().output;
    format!("sha256:{}", layer.trim())
}

/// What a snippet has for an image: the login, the pull, and the push where there is one.
fn skopeo(front: &Front, holder: Holder, image: &str) -> Vec<String> {
    let snippet = front.snippet(holder, "skopeo", &[("IMAGE", image)]);
    let snippet = snippet.replacen("dir:DIRECTORY", "dir:pulled", 1).replace("dir:DIRECTORY", "dir:image");
    snippet.lines().map(str::to_owned).collect()
}

/// A script with credentials in a file of this home's.
fn script(commands: &[&str]) -> String {
    format!("set -e\nexport REGISTRY_AUTH_FILE=$HOME/auth.json\n{}", commands.join("\n"))
}

/// The credentials as a login leaves them, for a token that was good then.
fn logged_in(front: &Front, holder: Holder) -> String {
    let (token, host) = (front.token(holder), front.host());
    format!(
        r#"printf '{{"auths":{{"{host}":{{"auth":"%s"}}}}}}' $(printf token:{token} | base64 -w0) > $HOME/auth.json"#
    )
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_and_says_why_it_may_not() {
    if lacks(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::start().await;
    let front = &registry.front;
    let home = Home::new();
    image(&home).await;
    let [login, pull, push] = skopeo(front, Holder::ReadWrite, "team/app:1").try_into().unwrap();
    home.run(".", script(&[&login, &push, &pull])).await.expect_success().expect("Login Succeeded!");
    assert!(home.path().join("pulled/manifest.json").exists());

    let reader = Home::new();
    image(&reader).await;
    let commands = skopeo(front, Holder::ReadOnly, "team/app:1");
    let [login, pull] = [0, 1].map(|i| commands[i].as_str());
    reader.run(".", script(&[login, pull])).await.expect_success();
    let refused = reader.run(".", script(&[&push.replace("team", "other")])).await;
    refused
        .expect_refusal("denied: Token my laptop grants read:*. This request needs write:v2/other/app/blobs/uploads/.");

    for (holder, reason) in REFUSED {
        let home = Home::new();
        image(&home).await;
        let [login, pull, _] = skopeo(front, holder, "team/app:1").try_into().unwrap();
        // Of a refused login it shows the status alone.
        home.run(".", script(&[&login])).await.expect_refusal("403 (Forbidden)");
        let reason = format!("denied: {reason}");
        home.run(".", script(&[&logged_in(front, holder), &pull])).await.expect_refusal(&reason);
        // Whether a layer is there it asks by HEAD, to which there is no body.
        home.run(".", script(&[&push])).await.expect_refusal("403 (Forbidden)");
    }
    let refused = home.run(".", pull.replace("skopeo copy", "skopeo copy --src-no-creds")).await;
    refused.expect_refusal(&format!("unauthorized: {NO_TOKEN}"));
}

#[tokio::test]
async fn a_push_mounts_a_blob_only_from_a_repository_that_its_token_may_read() {
    if lacks(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = DockerRegistry::start().await;
    let front = &registry.front;
    let home = Home::new();
    let layer = image(&home).await;
    let [login, _, push] = skopeo(front, Holder::ReadWrite, "secret/app:1").try_into().unwrap();
    home.run(".", script(&[&login, &push])).await.expect_success();

    let team = front.stack.token("alice", json!({"name": "team", "scopes": ["read:v2/", "write:v2/team/*"]})).await;
    let mount = |token: String, from: &str| {
        let request = Request::post(format!("/v2/team/app/blobs/uploads/?mount={layer}&from={from}"));
        front.stack.registry_raw(request.header("authorization", token).body(Default::default()).unwrap())
    };
    let refused = mount(team.text.clone(), "secret/app").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let reason = format!("This request needs read:v2/secret/app/blobs/{layer}.");
    assert!(refused.json["message"].as_str().unwrap().contains(&reason), "{refused:?}");
    for from in ["secret%2Fapp", "team/app&from=secret/app", "team/../secret/app", "team//../secret/app"] {
        assert_eq!(mount(team.text.clone(), from).await.status, 403, "{from}");
    }
    assert_eq!(mount(team.text.clone(), "team/other").await.status, 202, "an upload, since that has no such blob");
    assert_eq!(mount(front.token(Holder::ReadWrite).into(), "secret/app").await.status, 201, "mounted");

    // skopeo knows where it has seen the layer, and tries to mount it; when that is refused it uploads it.
    let push = push.replace("skopeo copy", &format!("skopeo copy --dest-creds u:{}", team.text));
    home.run(".", script(&[&push.replace("secret/app", "team/new")])).await.expect_success();
}

#[tokio::test]
async fn the_docker_cli_logs_in_with_a_good_token_alone() {
    if lacks(&["docker-registry", "docker"]) {
        return;
    }
    let registry = DockerRegistry::start().await;
    let login = |holder| {
        let snippet = registry.front.snippet(holder, "docker", &[]);
        snippet.lines().next().unwrap().to_owned()
    };
    let home = Home::new();
    for holder in [Holder::ReadWrite, Holder::ReadOnly] {
        home.run(".", login(holder)).await.expect_success().expect("Login Succeeded");
    }
    for (holder, _) in REFUSED {
        // It shows the status alone.
        home.run(".", login(holder)).await.expect_refusal("403 Forbidden");
    }
    let wrong = login(Holder::ReadWrite).replace(registry.front.token(Holder::ReadWrite), "a-password");
    home.run(".", wrong).await.expect_refusal("401 Unauthorized");
}

#[tokio::test]
async fn oras_py_pushes_and_pulls_and_says_why_it_may_not() {
    if lacks(&["docker-registry"]) || lacks_python_module("oras") {
        return;
    }
    let registry = DockerRegistry::start().await;
    let front = &registry.front;
    let home = Home::new();
    home.write("file.txt", "hello");
    let oras = |token: &str, command: &str, name: &str| {
        let host = front.host();
        let program = format!(
            "import oras.client\n\
             client = oras.client.OrasClient(hostname=\"{host}\", insecure=True, auth_backend=\"basic\")\n\
             client.auth.set_basic_auth(\"token\", \"{token}\")\n\
             client.{command}(target=\"{host}/{name}:1\", {})\n",
            if command == "push" { "files=[\"file.txt\"]" } else { "outdir=\"pulled\"" }
        );
        format!("python3 - <<'END'\n{program}END")
    };
    home.run(".", oras(front.token(Holder::ReadWrite), "push", "team/file")).await.expect_success();
    home.run(".", oras(front.token(Holder::ReadOnly), "pull", "team/file")).await.expect_success();
    assert_eq!(std::fs::read(home.path().join("pulled/file.txt")).unwrap(), b"hello");
    let refused = home.run(".", oras(front.token(Holder::ReadOnly), "push", "other/file")).await;
    refused.expect_refusal("Token my laptop grants read:*. This request needs write:v2/other/file/blobs/uploads/.");
    for (holder, reason) in REFUSED {
        home.run(".", oras(front.token(holder), "pull", "team/file")).await.expect_refusal(reason);
    }
    home.run(".", oras("", "pull", "team/file")).await.expect_refusal(NO_TOKEN);
}
