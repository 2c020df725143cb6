//! The README's nginx and Caddy, before a registry that only they can reach.

use crate::harness::{Harness, Process, Reply, free_port, lacks, raw_target, send, send_from, status};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use local::{server, wire};
use serde_json::json;
use std::process::Command;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is around a file of `conf.d`, for an nginx that needs no rights. One process, since it is killed by its id.
const NGINX: &str = "daemon off; master_process off; pid nginx.pid;\n\
                     events {}\n\
                     http {\n\
                     access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
                     uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
                     include registry.conf;\n\
                     }\n";

/// The same for Caddy, whose files go to the folder as well.
const CADDY: &str = "{\n\
                     admin off\n\
                     auto_https off\n\
                     storage file_system .\n\
                     }\n";

/// A running proxy, in front of a registry.
pub struct Proxy {
    pub port: u16,
    /// The program.
    name: &'static str,
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    /// nginx, before the registry on this port.
    pub async fn nginx(upstream: u16, stack: &Harness) -> Self {
        let mut config = block("nginx", upstream, stack);
        let port = free_port();
        config = config.lines().filter(|line| !line.contains("ssl_certificate")).collect::<Vec<_>>().join("\n");
        config = replaced(&config, "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("registry.conf"), config).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), NGINX).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        Self { port, name: "nginx", _process: Process::start(command, port).await, _folder: folder }
    }

    /// Caddy, likewise.
    async fn caddy(upstream: u16, stack: &Harness) -> Self {
        let port = free_port();
        let site = format!("http://:{port} {{\n\tbind 127.0.0.1\n");
        let config = replaced(&block("caddyfile", upstream, stack), "registry.example {\n", &site);
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("Caddyfile"), format!("{CADDY}{config}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--config", "Caddyfile"]).current_dir(folder.path()).env("HOME", folder.path());
        Self { port, name: "caddy", _process: Process::start(command, port).await, _folder: folder }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        send(self.port, request(method, path, headers)).await
    }
}

/// The README's configuration in this language, between this registry and this service.
fn block(language: &str, upstream: u16, stack: &Harness) -> String {
    let readme = include_str!("../../../../README.md");
    let config = readme.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap();
    let config = replaced(config, "127.0.0.1:8080", &format!("127.0.0.1:{upstream}"));
    let service = format!("http://127.0.0.1:{}", stack.stack.ports().api);
    replaced(&config, "https://abcdef1234.execute-api.eu-west-1.amazonaws.com", &service)
}

/// With the one place of `theirs` taken by `ours`.
fn replaced(config: &str, theirs: &str, ours: &str) -> String {
    assert_eq!(config.matches(theirs).count(), 1, "{theirs}");
    config.replace(theirs, ours)
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// A registry that answers with what it was sent.
async fn echo() -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = watch::channel(false);
    server::serve(listener, stopped, |request: Request<Incoming>, _| async move {
        let target = request.uri().path_and_query().unwrap().as_str();
        let headers = request.headers().iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
        let headers: serde_json::Map<_, _> = headers.collect();
        wire::json(StatusCode::OK, &json!({"method": request.method().as_str(), "uri": target, "headers": headers}))
    });
    (port, stop)
}

/// The service, every proxy that this machine has, and what stops the registry behind them.
async fn all() -> (Harness, Vec<Proxy>, watch::Sender<bool>) {
    let stack = Harness::start_with(&[("CONSOLE_URL", "https://tokens.example")]).await;
    let (port, stop) = echo().await;
    let mut proxies = vec![];
    if !lacks(&["nginx", "/etc/ssl/certs/ca-certificates.crt"]) {
        proxies.push(Proxy::nginx(port, &stack).await);
    }
    if !lacks(&["caddy"]) {
        proxies.push(Proxy::caddy(port, &stack).await);
    }
    (stack, proxies, stop)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_granted_request_goes_on_as_it_was_sent_with_the_token_taken_out_and_told() {
    let (stack, proxies, _stop) = all().await;
    for proxy in &proxies {
        let token = stack.token("alice", json!({"name": "ci é", "scopes": ["write:npm/@acme/*"]})).await;
        let authorization = bearer(&token.text);
        for (method, uri) in [
            ("GET", "/npm/@acme%2fx?a=%20b"),
            ("PUT", "/npm/@acme%2fx"),
            ("HEAD", "/npm/@acme/x"),
            ("DELETE", "/npm/@acme/x+y"),
        ] {
            let forged = [
                ("authorization", authorization.as_str()),
                ("x-api-key", token.text.as_str()),
                ("x-latchkey-subject", "root"),
                ("x-latchkey-token-id", "forged"),
                ("x-latchkey-scopes", "write:*"),
            ];
            let reply = proxy.ask(method, uri, &forged).await;
            assert_eq!(reply.status, 200, "{}: {method} {uri}: {reply:?}", proxy.name);
            if method == "HEAD" {
                continue;
            }
            assert_eq!((&reply.json["method"], &reply.json["uri"]), (&json!(method), &json!(uri)));
            let headers = &reply.json["headers"];
            assert!(!reply.text().contains(token.secret()));
            assert_eq!((headers.get("authorization"), headers.get("x-api-key")), (None, None));
            assert_eq!(headers["x-latchkey-token-id"], json!(token.id));
            assert_eq!(headers["x-latchkey-token-name"], "ci%20%C3%A9");
            assert_eq!(
                (&headers["x-latchkey-subject"], &headers["x-latchkey-scopes"]),
                (&json!("alice"), &json!("write:npm/@acme/*"))
            );
            assert!(headers["x-latchkey-expires-at"].is_string());
        }
    }
}

#[tokio::test]
async fn whoever_is_refused_gets_the_challenge_and_the_reason() {
    let (stack, proxies, _stop) = all().await;
    for proxy in &proxies {
        let nobody = proxy.ask("GET", "/pypi/simple/", &[]).await;
        assert_eq!(nobody.status, 401, "{}", proxy.name);
        let challenges: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["Basic realm=\"registry\", Cargo login_url=\"https://tokens.example\""]);
        let message = "A token is needed, and none that is known was sent. Create one at https://tokens.example";
        assert_eq!((&nobody.json["message"], nobody.header("npm-notice")), (&json!(message), Some(message)));
        assert_eq!(nobody.json["errors"][0]["code"], "UNAUTHORIZED");

        let token = stack.token("alice", json!({"name": "laptop", "scopes": ["read:pypi/*"]})).await;
        let authorization = bearer(&token.text);
        let authorization = [("authorization", authorization.as_str())];
        let refused = proxy.ask("PUT", "/pypi/x", &authorization).await;
        let gateway = stack.registry(Method::PUT, "/pypi/x", Some(&token.text)).await;
        assert_eq!((refused.status, &refused.json), (403, &gateway.json));
        assert_eq!(refused.header("npm-notice"), gateway.header("npm-notice"));
        assert_eq!(refused.header("content-type"), Some("application/json"));
        stack.revoke("alice", &token.id).await;
        let revoked = proxy.ask("GET", "/pypi/x", &authorization).await;
        assert_eq!(revoked.status, 403, "at the very next request");
        assert!(revoked.json["message"].as_str().unwrap().starts_with("Token laptop was revoked"), "{revoked:?}");
    }
}

#[tokio::test]
async fn a_fault_is_no_yes() {
    let (stack, proxies, _stop) = all().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    stack.drop_table().await;
    for proxy in &proxies {
        let reply = proxy.ask("GET", "/pypi/x", &[("authorization", &bearer(&token.text))]).await;
        // nginx makes a 500 of everything that is not 2xx, 401 or 403; Caddy passes it on.
        assert_eq!(reply.status, if proxy.name == "nginx" { 500 } else { 503 });
    }
}

#[tokio::test]
async fn nothing_that_a_client_says_of_its_request_changes_the_decision() {
    let (stack, proxies, _stop) = all().await;
    for proxy in &proxies {
        let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:pypi/*"]})).await;
        let authorization = bearer(&token.text);
        let good = ("authorization", authorization.as_str());
        for (name, value) in [
            ("x-original-uri", "/pypi/x"),
            ("x-original-method", "GET"),
            ("x-forwarded-uri", "/pypi/x"),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-method", ""),
            ("x-http-method-override", "GET"),
            ("x-rewrite-url", "/pypi/x"),
            ("x-latchkey-token-id", "forged"),
        ] {
            for (method, uri, status) in [("GET", "/npm/secret", 403), ("PUT", "/pypi/x", 403), ("GET", "/pypi/x", 200)]
            {
                let reply = proxy.ask(method, uri, &[good, (name, value), (name, value)]).await;
                assert_eq!(reply.status, status, "{}: {name}: {value}, {method} {uri}", proxy.name);
            }
            assert_eq!(proxy.ask("GET", "/pypi/x", &[(name, value)]).await.status, 401, "{name}");
        }
        if proxy.name == "nginx" {
            assert_eq!(proxy.ask("GET", "/_latchkey", &[good]).await.status, 404, "the question is not for clients");
        }
        let here = json!({"name": "bound", "scopes": ["read"], "source_addresses": ["127.0.0.9"]});
        let bound = bearer(&stack.token("alice", here).await.text);
        for (from, told, status) in [
            ([127, 0, 0, 9], "203.0.113.1", 200),
            ([127, 0, 0, 8], "127.0.0.9", 403),
            ([127, 0, 0, 8], "127.0.0.9, 127.0.0.9", 403),
        ] {
            let headers = [("authorization", bound.as_str()), ("x-forwarded-for", told)];
            let reply = send_from(from.into(), proxy.port, request("GET", "/x", &headers)).await;
            assert_eq!(reply.status, status, "{}: from {from:?}, who says {told}", proxy.name);
        }
    }
}

#[tokio::test]
async fn a_path_is_judged_as_the_registry_gets_it() {
    let (stack, proxies, _stop) = all().await;
    for proxy in &proxies {
        let token = stack.token("alice", json!({"name": "ci", "scopes": ["read:pypi/*"]})).await;
        let authorization = bearer(&token.text);
        let good = [("authorization", authorization.as_str())];
        for uri in [
            "/pypi/../npm/secret",
            "/pypi/%2e%2e/npm/secret",
            "/pypi/%2E./npm/secret",
            "/pypi/..%2fnpm/secret",
            "/pypi%2f..%2fnpm/secret",
            "/pypi//x",
            "//pypi/x",
            "/pypi/./x",
            "/npm/../pypi/x",
            "/pypi/%252e%252e/npm/secret",
            "/pypi/..%5cnpm",
            "/pypi/x%3f/../../npm/secret",
            "/npm/secret?/pypi/x",
            "/npm/secret%3f/pypi/x",
            "/pypi/x%3fy",
        ] {
            let reply = proxy.ask("GET", uri, &good).await;
            assert!([400, 403].contains(&reply.status), "{}: {uri}: {reply:?}", proxy.name);
        }
        for uri in ["/pypi/x%20y", "/pypi/@a%2fb", "/pypi/x?a=/../b", "/pypi/%C3%A9"] {
            let reply = proxy.ask("GET", uri, &good).await;
            assert_eq!((reply.status, &reply.json["uri"]), (200, &json!(uri)), "{}: {reply:?}", proxy.name);
        }
        let in_query = format!("/pypi/x?token={}", token.text);
        assert_eq!(proxy.ask("GET", &in_query, &[]).await.status, 403);
        // A request line with the whole address: proxies hand on the path.
        let whole = format!("http://127.0.0.1:{}/npm/secret", proxy.port);
        for (target, expected) in [(whole.replace("/npm/secret", "/pypi/x"), "200"), (whole, "403")] {
            let answer = raw_target(proxy.port, "GET", target.as_bytes(), &token.text).await;
            assert_eq!(status(&answer), expected, "{}: {target}", proxy.name);
        }
    }
}
