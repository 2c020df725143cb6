//! How much the gateways take, and what they say beyond it. Over raw connections: some of this no client would send.

use crate::harness::{Harness, raw, status};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MB: usize = 1024 * 1024;

async fn master(stack: &Harness) -> String {
    stack.token("alice", json!({"name": "all", "scopes": ["write"]})).await.text
}

#[tokio::test]
async fn a_body_over_10_mb_is_413_whether_announced_awaited_or_in_pieces() {
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = behind.local_addr().unwrap();
    // A registry that takes in whatever comes and never answers.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = behind.accept().await {
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    let stack = Harness::start_before(&format!("http://{address}")).await;
    let (token, alice) = (master(&stack).await, stack.session("alice").await);
    let ports = stack.stack.ports();
    for (port, path, credential) in [(ports.api, "/tokens", &alice), (ports.registry, "/x", &token)] {
        let head = |framing: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\nConnection: close\r\n{framing}\r\n\r\n"
            )
        };
        let mut announced = head(&format!("Content-Length: {}", 10 * MB + 1)).into_bytes();
        announced.resize(announced.len() + 10 * MB + 1, b'x');
        assert_eq!(status(&raw(port, &announced).await), "413", "{path}");
        let awaited = head(&format!("Expect: 100-continue\r\nContent-Length: {}", 10 * MB + 1));
        assert_eq!(status(&raw(port, awaited.as_bytes()).await), "413", "{path}");
        let mut pieces = head("Transfer-Encoding: chunked").into_bytes();
        for _ in 0..11 {
            pieces.extend_from_slice(format!("{MB:x}\r\n").as_bytes());
            pieces.resize(pieces.len() + MB, b'x');
            pieces.extend_from_slice(b"\r\n");
        }
        pieces.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(status(&raw(port, &pieces).await), "413", "{path}");
    }
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_why_it_is_refused() {
    let stack = Harness::start().await;
    let big = || Full::from(vec![b'x'; 9 * MB]);
    let reply = stack.registry_raw(Request::put("/x").body(big()).unwrap()).await;
    assert_eq!((reply.status, &reply.json["errors"][0]["code"]), (401, &json!("UNAUTHORIZED")));
    let nobody = Harness::start_before("http://127.0.0.1:1").await;
    let request = Request::put("/x").header("authorization", master(&nobody).await);
    assert_eq!(nobody.registry_raw(request.body(big()).unwrap()).await.status, 504);
}

#[tokio::test]
async fn no_head_is_so_long_that_it_is_not_answered() {
    let stack = Harness::start().await;
    let (token, ports) = (master(&stack).await, stack.stack.ports());
    for port in [ports.api, ports.registry] {
        for lines in [format!("X: {}\r\n", "x".repeat(100_000)), "a:\r\n".repeat(2_000)] {
            let request = format!("GET /tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
            assert_eq!(status(&raw(port, request.as_bytes()).await), "431");
        }
    }
    let prefix = "arn:aws:execute-api:us-east-1:123456789012:registry/live/GET/".len();
    for (length, expected) in [(1_600 - prefix, "200"), (1_601 - prefix, "414"), (60_000, "414")] {
        let path = "a".repeat(length);
        let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n\r\n");
        assert_eq!(status(&raw(ports.registry, request.as_bytes()).await), expected, "{length}");
    }
}

#[tokio::test]
async fn a_method_or_target_that_a_rest_api_does_not_have_is_403_without_asking_anybody() {
    let stack = Harness::start().await;
    let token = master(&stack).await;
    stack.drop_table().await;
    for line in ["TRACE /x", "PROPFIND /x", "get /x", "CONNECT example:80", "OPTIONS *"] {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n\r\n");
        let answer = raw(stack.stack.ports().registry, request.as_bytes()).await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("Missing Authentication Token"), "{answer}");
    }
}

#[tokio::test]
async fn headers_about_one_connection_go_no_further() {
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = behind.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = behind.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\nConnection: x-mine\r\nX-Mine: 1\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap().to_ascii_lowercase()
    });
    let stack = Harness::start_before(&format!("http://{address}")).await;
    let request = format!(
        "GET /x HTTP/1.1\r\nHost: client.example\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\n\
         Proxy-Authorization: Basic abc\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: {}\r\n\r\n",
        master(&stack).await
    );
    let answer = raw(stack.stack.ports().registry, request.as_bytes()).await.to_ascii_lowercase();
    assert!(answer.ends_with("hello") && !answer.contains("x-mine") && !answer.contains("keep-alive"), "{answer}");
    let seen = seen.await.unwrap();
    for line in ["get /x http/1.1\r\n", &format!("host: {address}\r\n"), "x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"] {
        assert!(seen.contains(line), "{line}{seen}");
    }
    for gone in ["x-secret", "\r\nte:", "proxy-authorization", "connection:", "client.example"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
}

#[tokio::test]
async fn a_registry_that_hangs_up_is_a_fault_of_its_own() {
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = behind.local_addr().unwrap();
    tokio::spawn(async move { while behind.accept().await.is_ok() {} });
    let stack = Harness::start_before(&format!("http://{address}")).await;
    let reply = stack.registry(Method::GET, "/x", Some(&master(&stack).await)).await;
    assert_eq!((reply.status, &reply.json["errors"][0]["code"]), (504, &json!("INTEGRATION_FAILURE")));
}

#[tokio::test]
async fn a_stack_stops_although_clients_keep_their_connections() {
    let stack = Harness::start().await;
    let ports = stack.stack.ports();
    let mut open = vec![];
    for port in [ports.api, ports.registry, ports.identity, ports.dynamodb] {
        let idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut busy = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The beginning of a request that never ends.
        busy.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").await.unwrap();
        open.extend([idle, busy]);
    }
    tokio::time::timeout(Duration::from_secs(10), stack.stack.shutdown()).await.unwrap();
    for port in [ports.api, ports.registry, ports.identity, ports.dynamodb] {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "{port}");
    }
}
