//! The authorizer's event of any shape, up to the answer, with a policy and with a bare yes or no.

#![no_main]

use authorize::event::{Event, Shape};
use authorize::{Function, Refusal};
use latchkey::credential::{Presented, find};
use latchkey::decision::Source;
use latchkey::token::Prefix;
use latchkey_fuzz::sample::{ACTIVE, BOUND};
use latchkey_fuzz::{assert_no_token_in, assert_no_token_within};
use latchkey_fuzz::{environment, granted, iam, may_be_refused, now, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static POLICY: LazyLock<Arc<Function>> = LazyLock::new(|| function("policy"));
static SIMPLE: LazyLock<Arc<Function>> = LazyLock::new(|| function("simple"));

fn function(simple: &str) -> Arc<Function> {
    let environment = environment(&[("CACHE_SECONDS", "3600"), ("AUTHORIZER_RESPONSE", simple)]);
    Arc::new(Function::new(&environment, table::client()).expect("good settings"))
}

fuzz_target!(|data: &[u8]| {
    // Whole tokens are more than a mutation finds.
    let text = String::from_utf8_lossy(data).replace("{1}", ACTIVE).replace("{4}", BOUND);
    let event = || serde_json::from_str::<Event>(&text);
    let Ok(read) = event().map(Event::read) else { return };
    let Ok((request, credentials)) = read else {
        assert!(matches!(answer(&POLICY, event()), Err(Refusal::Fault(_))));
        return;
    };
    let presented = find(&credentials, &request.asked.query, &Prefix::default());
    let good = matches!(&presented, Presented::Token(token) if [ACTIVE, BOUND].contains(&token.expose()));
    let (method, path) = (request.asked.method.as_str(), request.asked.path.as_str());
    let from = request.asked.source.address();
    let of_policy = answer(&POLICY, event());
    match &of_policy {
        Ok(answer) => {
            check(answer);
            assert!(!matches!(presented, Presented::Nothing | Presented::Several), "an answer to nobody");
            // The gateway asks about whole methods and paths.
            if path.starts_with('/') && !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) {
                let arn = format!("{}/{method}{path}", request.stage_arn);
                let allowed = iam::allows(&answer["policyDocument"], &arn, from);
                let granted = granted(&presented, method, path, from);
                assert!(granted || !allowed, "{method} {path} passes");
                assert!(allowed || !granted || may_be_refused(method, path), "{method} {path} does not pass");
            }
        }
        Err(Refusal::Unauthorized) => assert!(!good),
        Err(Refusal::Fault(cause)) => panic!("a fault without a faulty table: {cause}"),
    }
    if request.shape != Shape::Http2 {
        return;
    }
    match answer(&SIMPLE, event()) {
        Ok(answer) => {
            check(&answer);
            let source = if request.shared_by_addresses { Source::Unknown } else { request.asked.source };
            let allowed = answer["isAuthorized"] == true;
            let granted = granted(&presented, method, path, source.address());
            assert!(granted || !allowed, "{method} {path} passes");
            assert!(allowed || !granted || may_be_refused(method, path), "{method} {path} does not pass");
        }
        Err(_) => assert!(of_policy.is_err()),
    }
});

fn answer(function: &Arc<Function>, event: Result<Event, serde_json::Error>) -> Result<Value, Refusal> {
    let answer = wait(async {
        let answer = function.handle(event.expect("read before"), now()).await;
        Arc::clone(function).settle().await;
        answer
    });
    for written in table::written() {
        assert_no_token_within(&written);
    }
    answer.map(|answer| serde_json::to_value(&answer).expect("an answer is JSON"))
}

/// That every value can stand in a header and in a gateway response's JSON, and holds no token.
fn check(answer: &Value) {
    let context = answer["context"].as_object().expect("a context");
    for (name, value) in context {
        let value = value.as_str().expect("all values are strings");
        let plain = |c: char| c == ' ' || (c.is_ascii_graphic() && !"\"\\".contains(c));
        assert!(value.chars().all(plain), "{name}: {value}");
        assert_no_token_in(value);
    }
}
