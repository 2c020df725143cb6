//! A registry of files: what is sent to a path can be read there again. With an index on top, it is one for cargo.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use local::{server, wire};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Files = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A running store, empty at first.
pub struct FileStore {
    pub port: u16,
    files: Files,
    _stop: watch::Sender<bool>,
}

impl FileStore {
    /// Keeps files as they are.
    pub async fn start() -> Self {
        Self::serve(|files, head, body| match head.method {
            Method::PUT | Method::POST => {
                files.lock().unwrap().insert(head.path, body);
                (StatusCode::CREATED, Bytes::new())
            }
            _ => read(files, &head.path),
        })
        .await
    }

    /// A sparse index at the root, with its API beside it
    /// (<https://doc.rust-lang.org/cargo/reference/registry-web-api.html>).
    pub async fn start_with_cargo_index() -> Self {
        Self::serve(|files, head, body| {
            let segments: Vec<_> = head.path.split('/').skip(1).collect();
            match (&head.method, segments.as_slice()) {
                (&Method::GET, ["config.json"]) => {
                    // The address at which the client is: that of the gateway.
                    let url = format!("http://127.0.0.1:{}", head.headers["x-forwarded-port"].to_str().unwrap());
                    let config = json!({"dl": format!("{url}/crates"), "api": url, "auth-required": true});
                    (StatusCode::OK, config.to_string().into())
                }
                (&Method::PUT, ["api", "v1", "crates", "new"]) => publish(files, &body),
                (&Method::DELETE, ["api", "v1", "crates", name, version, "yank"]) => yank(files, name, version),
                _ => read(files, &head.path),
            }
        })
        .await
    }

    async fn serve(
        answer: impl Fn(&Files, Head, Bytes) -> (StatusCode, Bytes) + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(false);
        let files = Files::default();
        let kept = Arc::clone(&files);
        server::serve(listener, stopped, move |request: Request<Incoming>, _| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let head = Head { method: head.method, path: head.uri.path().into(), headers: head.headers };
                let (status, body) = answer(&kept, head, body);
                let mut response = Response::new(wire::full(body));
                *response.status_mut() = status;
                response
            }
        });
        Self { port, files, _stop: stop }
    }

    /// The paths of all that is kept.
    pub fn paths(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }

    pub fn put(&self, path: &str, content: impl Into<Bytes>) {
        self.files.lock().unwrap().insert(path.into(), content.into());
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.files.lock().unwrap()[path].to_vec()).unwrap()
    }
}

struct Head {
    method: Method,
    path: String,
    headers: HeaderMap,
}

fn read(files: &Files, path: &str) -> (StatusCode, Bytes) {
    match files.lock().unwrap().get(path) {
        Some(file) => (StatusCode::OK, file.clone()),
        None => (StatusCode::NOT_FOUND, Bytes::new()),
    }
}

/// Where the index has a crate (<https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files>); the names
/// here have four letters or more.
fn index_path(name: &str) -> String {
    format!("/{}/{}/{name}", &name[..2], &name[2..4])
}

fn publish(files: &Files, body: &[u8]) -> (StatusCode, Bytes) {
    let (metadata, rest) = sized(body);
    let (file, _) = sized(rest);
    let metadata: Value = serde_json::from_slice(metadata).unwrap();
    let (name, version) = (metadata["name"].as_str().unwrap(), metadata["vers"].as_str().unwrap());
    let mut dependencies = metadata["deps"].clone();
    for dependency in dependencies.as_array_mut().unwrap() {
        dependency["req"] = dependency["version_req"].take();
    }
    let entry = json!({
        "name": name, "vers": version, "deps": dependencies, "features": metadata["features"], "yanked": false,
        "cksum": Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    });
    let mut files = files.lock().unwrap();
    files.insert(format!("/crates/{name}/{version}/download"), Bytes::copy_from_slice(file));
    files.insert(index_path(name), format!("{entry}\n").into());
    (StatusCode::OK, "{}".into())
}

/// What follows a length of four bytes, and the rest.
fn sized(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_at(4);
    rest.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize)
}

fn yank(files: &Files, name: &str, version: &str) -> (StatusCode, Bytes) {
    let mut files = files.lock().unwrap();
    let entry = files.get_mut(&index_path(name)).unwrap();
    let mut changed: Value = serde_json::from_slice(entry).unwrap();
    assert_eq!(changed["vers"], version);
    changed["yanked"] = true.into();
    *entry = format!("{changed}\n").into();
    (StatusCode::OK, r#"{"ok": true}"#.into())
}
