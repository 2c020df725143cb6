//! What finders of tokens send, up to the answer. The first byte of input says who: anybody, or GitLab. GitHub's reports
//! are read alike, once their signature is verified.

#![no_main]

use latchkey::token::{Prefix, Token};
use latchkey_fuzz::sample::{ACTIVE, BOUND};
use latchkey_fuzz::{assert_no_token_in, assert_no_token_within, environment, event, now, request, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// SHA-256 of what GitLab sends to be known by.
const GITLAB: (&str, &str) = ("glrt-sample", "ce79b1de6272483819d8b365802b5b904d6388293c877f9fda8a688fc1525d94");

static BURN: LazyLock<burn::Function> = LazyLock::new(|| {
    burn::Function::new(&environment(&[("GITLAB_TOKEN_SHA256", GITLAB.1)]), table::client()).expect("good settings")
});

fuzz_target!(|data: &[u8]| {
    let Some((who, body)) = data.split_first() else { return };
    let Ok(body) = std::str::from_utf8(body) else { return };
    // Whole tokens are more than a mutation finds.
    let body = body.replace("{1}", ACTIVE).replace("{4}", BOUND);
    let path = if who % 2 == 0 { "/tokens/burn" } else { "/leaks/gitlab/v1/revoke_tokens" };
    let mut event = event("POST", path);
    event["headers"]["authorization"] = GITLAB.0.into();
    event["body"] = body.as_str().into();
    let response = wait(BURN.handle(request(event).expect("an event of API Gateway"), now()));
    let text = std::str::from_utf8(response.body()).expect("UTF-8");
    assert_no_token_in(text);
    let written = table::written();
    if response.status() != 204 {
        assert!([400, 413].contains(&response.status().as_u16()), "{}: {text}", response.status());
        assert!(written.is_empty(), "refused and written all the same");
        return;
    }
    // Exactly the tokens that are named are ended, each once.
    let sent: Value = serde_json::from_str(&body).expect("it was read");
    let named: Vec<&str> = match &sent {
        Value::Array(entries) => entries.iter().filter_map(|entry| entry["token"].as_str()).collect(),
        one => one["token"].as_str().into_iter().collect(),
    };
    let tokens = named.iter().filter_map(|text| text.trim().parse::<Token>().ok());
    let ours = tokens.filter(|token| token.has_prefix(&Prefix::default()));
    let expected: BTreeSet<String> = ours.map(|token| token.id().ulid().to_owned()).collect();
    let ended: BTreeSet<String> =
        written.iter().filter_map(|written| written["Key"]["id"]["S"].as_str().map(str::to_owned)).collect();
    assert_eq!(ended, expected);
    for written in &written {
        assert_no_token_within(written);
        for value in written["ExpressionAttributeValues"].as_object().into_iter().flat_map(|map| map.values()) {
            let kept = value["S"].as_str().unwrap_or_default();
            assert!(kept.len() <= 500 && !kept.contains(['"', '<', '>', '\\', '\n']), "{kept}");
            assert!(!kept.contains(':') || kept.starts_with("http://") || kept.starts_with("https://"), "{kept}");
        }
    }
});
