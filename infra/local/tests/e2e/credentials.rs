//! Where a token may stand in a request to the registry, and what everything else is answered.

use crate::harness::{Harness, Reply};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use serde_json::json;

async fn ask(stack: &Harness, headers: &[(&str, &[u8])]) -> Reply {
    let mut request = Request::get("/x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    stack.registry_raw(request.body(Default::default()).unwrap()).await
}

fn basic(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

#[tokio::test]
async fn every_form_that_clients_send_lets_a_good_token_in() {
    let stack = Harness::start().await;
    let t = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await.text;
    for (name, value) in [
        ("authorization", format!("Bearer {t}")),
        ("authorization", format!("bEARER   {t}  ")),
        ("authorization", format!("Token {t}")),
        ("authorization", t.clone()),
        ("authorization", format!(" {t}")),
        ("authorization", basic(&format!("anyone:{t}"))),
        ("authorization", basic(&format!("{t}:"))),
        ("authorization", basic(&format!("{t}:")).replacen("Basic", "basic", 1)),
        ("authorization", basic(&format!("u:{t}")).trim_end_matches('=').to_owned()),
        ("x-api-key", t.clone()),
        ("x-nuget-apikey", t.clone()),
        ("x-jfrog-art-api", t.clone()),
        ("private-token", format!("  {t} ")),
    ] {
        let reply = ask(&stack, &[(name, value.as_bytes())]).await;
        assert_eq!(reply.status, 200, "{name}: {value}");
    }
    let with_dummy = ask(&stack, &[("authorization", t.as_bytes()), ("x-nuget-apikey", b"dummy")]).await;
    assert_eq!(with_dummy.status, 200, "what is not ours does not count");
    let twice = ask(&stack, &[("authorization", t.as_bytes()), ("x-api-key", t.as_bytes())]).await;
    assert_eq!(twice.status, 200, "the same token in two places is one");
}

#[tokio::test]
async fn what_is_no_credential_is_401_and_breaks_nothing() {
    let stack = Harness::start().await;
    let t = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await.text;
    let long = "a".repeat(9_000);
    let not_utf8 = format!("Basic {}", BASE64_STANDARD.encode([0xff, b':', 0xfe]));
    for value in [
        &b""[..],
        b" ",
        b":",
        b"Bearer",
        b"Bearer ",
        b"Basic",
        b"Basic Og==",
        b"Basic !!!",
        b"Basic \xff\xfe",
        b"Bearer \xe9",
        b"\xc3\x28",
        not_utf8.as_bytes(),
        basic(&t).as_bytes(),
        basic(&format!("{t}:a password")).as_bytes(),
        format!("Digest {t}").as_bytes(),
        format!("Bearer Bearer {t}").as_bytes(),
        format!("Bearer {t}x").as_bytes(),
        format!("{t},{t}").as_bytes(),
        long.as_bytes(),
        basic(&format!("u:{}", &long[..6_000])).as_bytes(),
    ] {
        let reply = ask(&stack, &[("authorization", value)]).await;
        assert_eq!(reply.status, 401, "{}", String::from_utf8_lossy(value));
        let message = reply.json["message"].as_str().unwrap();
        assert!(message.starts_with("A token is needed, and none that is known was sent."), "{message}");
    }
}

#[tokio::test]
async fn two_different_tokens_are_401_however_good_each_is() {
    let stack = Harness::start().await;
    let wish = json!({"name": "ci", "scopes": ["read"]});
    let (one, two) = (stack.token("alice", wish.clone()).await.text, stack.token("alice", wish).await.text);
    for names in [["authorization", "x-api-key"], ["authorization", "authorization"], ["x-api-key", "private-token"]] {
        let reply = ask(&stack, &[(names[0], one.as_bytes()), (names[1], two.as_bytes())]).await;
        assert_eq!(reply.status, 401, "{names:?}");
    }
}
