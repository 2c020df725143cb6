//! A question about a token, up to the answer. The first line of input is `Authorization`, the second `Content-Type`, the
//! rest is the form.

#![no_main]

use introspect::Function;
use latchkey::credential::{Presented, find};
use latchkey::http::authorization;
use latchkey::source::Block;
use latchkey::token::Prefix;
use latchkey_fuzz::sample::{ACTIVE, BLOCKS, BOUND, REVOKED};
use latchkey_fuzz::{assert_no_token_in, assert_no_token_within, environment, event, now, request, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

static INTROSPECT: LazyLock<Arc<Function>> = LazyLock::new(|| {
    let environment = environment(&[("CACHE_SECONDS", "3600")]);
    Arc::new(Function::new(&environment, table::client()).expect("good settings"))
});

fuzz_target!(|text: &str| {
    // Whole tokens are more than a mutation finds.
    let text = text.replace("{1}", ACTIVE).replace("{3}", REVOKED).replace("{4}", BOUND);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (caller, content_type, form) = (part(), part(), part());
    let mut event = event("POST", "/introspect");
    event["headers"] = json!({"authorization": caller, "content-type": content_type});
    event["body"] = form.into();
    let Some(request) = request(event) else { return };
    let caller = find(&authorization(request.headers()), &[], &Prefix::default());
    // From 192.0.2.1 the bound token is good as well.
    let admitted = matches!(&caller, Presented::Token(token) if [ACTIVE, BOUND].contains(&token.expose()));

    let response = wait(async {
        let response = INTROSPECT.handle(request, now()).await;
        Arc::clone(&INTROSPECT).settle().await;
        response
    });
    table::written().iter().for_each(assert_no_token_within);
    let body = std::str::from_utf8(response.body()).expect("UTF-8");
    assert_no_token_in(body);
    let answer: Value = serde_json::from_str(body).expect("JSON");
    match response.status().as_u16() {
        200 => {
            assert!(admitted, "an answer to nobody");
            let values = |name: &str| {
                let pairs = form_urlencoded::parse(form.as_bytes());
                pairs.filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
            };
            let (tokens, addresses) = (values("token"), values("source_address"));
            assert!(tokens.len() == 1 && addresses.len() <= 1, "{body}");
            let from = addresses.first().map(|address| address.parse::<IpAddr>().expect("an address"));
            let within = |block: &str| from.is_some_and(|from| block.parse::<Block>().expect("a block").contains(from));
            let good = match tokens[0].trim() {
                ACTIVE => true,
                BOUND => BLOCKS.into_iter().any(within),
                _ => false,
            };
            assert_eq!(answer["active"], good, "{body}");
            if good {
                assert!(answer["sub"] == "alice" && answer["exp"].as_i64() > Some(now().as_secs()), "{body}");
            } else {
                assert_eq!(answer, json!({"active": false}));
            }
        }
        400 => {
            assert!(admitted, "an answer to nobody");
            assert!(answer["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{body}");
        }
        401 => assert!(!admitted && response.headers().contains_key("www-authenticate")),
        status => panic!("{status}: {body}"),
    }
});
