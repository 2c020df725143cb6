//! Requests whose parts end elsewhere for the next server: request smuggling. Over raw connections.

use crate::gateway::front;
use crate::harness::{Harness, raw, status};

/// A request that nobody may get to see: if it arrives, it was smuggled.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn no_request_is_smuggled_past_the_registrys_gateway() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    let length = HIDDEN.len();
    let whole = format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
    for (case, headers, body) in [
        ("CL.TE", format!("Content-Length: {}\r\nTransfer-Encoding: chunked", whole.len()), whole.clone()),
        (
            "TE.CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 4".into(),
            format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
        ),
        ("CL.0 TE", "Content-Length: 0\r\nTransfer-Encoding: chunked".into(), whole.clone()),
        ("TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".into(), whole.clone()),
        ("TE behind gzip", "Transfer-Encoding: chunked, gzip".into(), whole.clone()),
        ("TE unknown", "Transfer-Encoding: xchunked".into(), whole.clone()),
        ("TE quoted", "Transfer-Encoding: \"chunked\"".into(), whole.clone()),
        ("TE behind a tab", "Transfer-Encoding:\tchunked\r\nContent-Length: 3".into(), whole.clone()),
        ("TE with a space", "Transfer-Encoding : chunked".into(), whole.clone()),
        ("TE after a break", "X: y\r\n Transfer-Encoding: chunked".into(), HIDDEN.into()),
        ("TE after a bare CR", "X: y\rTransfer-Encoding: chunked".into(), HIDDEN.into()),
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {length}"), HIDDEN.into()),
        ("two lengths in one", format!("Content-Length: 0, {length}"), HIDDEN.into()),
        ("a length with a sign", format!("Content-Length: +{length}"), HIDDEN.into()),
        ("a length below zero", "Content-Length: -1".into(), HIDDEN.into()),
        ("a length in hexadecimal", "Content-Length: 0x24".into(), HIDDEN.into()),
        ("a length beyond all", "Content-Length: 99999999999999999999".into(), HIDDEN.into()),
        ("no length", "Content-Length: ".into(), HIDDEN.into()),
        ("an empty name", ": y".into(), HIDDEN.into()),
        ("a name with a space", "X y: z".into(), HIDDEN.into()),
        ("a null byte", "X: y\0z".into(), HIDDEN.into()),
        ("a folded line", "X: y\r\n z".into(), HIDDEN.into()),
        (
            "a chunk's length with a sign",
            "Transfer-Encoding: chunked".into(),
            format!("+5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
        ),
        (
            "a chunk's length beyond all",
            "Transfer-Encoding: chunked".into(),
            format!("fffffffffffffffff\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("a chunk that is longer", "Transfer-Encoding: chunked".into(), format!("2\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
    ] {
        let before = registry.count();
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n\r\n{body}"
        );
        let answer = raw(port, request.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{case}: {answer}");
        match status(&answer) {
            "200" => {
                assert!(case.contains("TE"), "{case}: {answer}");
                assert_eq!(registry.since(before), ["/base/x"], "{case}");
                assert!(!registry.last().2.contains_key("content-length"), "{case}: one framing goes on");
            }
            status => {
                // 504 where the registry's connection was given up in mid-body.
                assert!(["400", "504"].contains(&status), "{case}: {answer}");
                assert!(registry.since(before).iter().all(|target| target == "/base/x"), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_one_length_covers_arrives_as_one_body() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    for (case, headers, body) in [
        ("a length", format!("Content-Length: {}", HIDDEN.len()), HIDDEN.to_owned()),
        (
            "the same length twice",
            format!("Content-Length: {0}\r\nContent-Length: {0}", HIDDEN.len()),
            HIDDEN.to_owned(),
        ),
        ("a chunk", "Transfer-Encoding: chunked".into(), format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
        (
            "extensions",
            "Transfer-Encoding: CHUNKED".into(),
            format!("{:x};a=\"b\"\r\n{HIDDEN}\r\n0\r\nX-Latchkey-Subject: root\r\n\r\n", HIDDEN.len()),
        ),
    ] {
        let before = registry.count();
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n\r\n{body}"
        );
        let answer = raw(port, request.as_bytes()).await;
        assert_eq!(status(&answer), "200", "{case}: {answer}");
        assert!(answer.contains("GET /hidden"), "{case}: the registry echoes the body: {answer}");
        assert_eq!(registry.since(before), ["/base/x"], "{case}");
        assert_eq!(registry.last().2["x-latchkey-subject"], "alice", "{case}");
    }
}

#[tokio::test]
async fn lines_that_end_in_a_bare_newline_say_the_same_to_everybody() {
    let (registry, stack, token) = front().await;
    let port = stack.stack.ports().registry;
    // RFC 9112, section 2.2, lets a recipient take it for the end of a line; the registry then gets none.
    let request = format!(
        "GET /x HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\nConnection: close\nX-Latchkey-Subject: root\n\n"
    );
    assert_eq!(status(&raw(port, request.as_bytes()).await), "200");
    assert_eq!((registry.count(), &registry.last().2["x-latchkey-subject"]), (1, &"alice".parse().unwrap()));
}

#[tokio::test]
async fn no_request_is_smuggled_past_the_management_apis_gateway() {
    let stack = Harness::start().await;
    let (alice, port) = (stack.session("alice").await, stack.stack.ports().api);
    let body = r#"{"name":"t","scopes":["read"]}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (case, headers, body) in [
        ("CL.TE", format!("Content-Length: {}\r\nTransfer-Encoding: chunked", body.len()), chunked.as_str()),
        ("TE.CL", format!("Transfer-Encoding: chunked\r\nContent-Length: {}", body.len()), &chunked),
        ("two lengths", format!("Content-Length: {}\r\nContent-Length: 0", body.len()), body),
        ("a folded line", format!("X: y\r\n z\r\nContent-Length: {}", body.len()), body),
    ] {
        let request = format!(
            "POST /tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\nConnection: close\r\n{headers}\r\n\r\n{body}"
        );
        let before = stack.items().await.len();
        let answer = raw(port, request.as_bytes()).await;
        assert!(["400", "201"].contains(&status(&answer)), "{case}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{case}: {answer}");
        assert_eq!(stack.items().await.len() - before, usize::from(status(&answer) == "201"), "{case}");
    }
}

#[tokio::test]
async fn a_connection_that_says_no_more_is_closed() {
    let stack = Harness::start().await;
    let (alice, ports) = (stack.session("alice").await, stack.stack.ports());
    let token = stack.token("alice", serde_json::json!({"name": "t", "scopes": ["write"]})).await.text;
    // From here on time goes by as fast as everybody waits.
    tokio::time::pause();
    for port in [ports.api, ports.registry, ports.identity] {
        for beginning in ["", "GET /", "GET /tokens HTTP/1.1\r\nHost: x\r\nX: "] {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, beginning.as_bytes()).await.unwrap();
            let mut answer = vec![];
            let asked = tokio::time::Instant::now();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
            assert!(asked.elapsed().as_secs() <= 31, "{beginning:?}: {:?}", asked.elapsed());
        }
    }
    for (port, path, credential) in [(ports.api, "/tokens", &alice), (ports.registry, "/x", &token)] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\nContent-Length: 100\r\n\r\n{{"
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        let mut answer = vec![];
        let asked = tokio::time::Instant::now();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
        assert!(asked.elapsed().as_secs() <= 62, "{path}: {:?}", asked.elapsed());
    }
}
