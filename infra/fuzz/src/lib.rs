//! What the fuzz targets share: a table that is made up, the policies that a gateway would go by, and the oracles.

#![forbid(unsafe_code)]

pub mod iam;
pub mod sample;
pub mod table;

use latchkey::clock::Timestamp;
use latchkey::config::Environment;
use serde_json::Value;
use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// When everything happens: 2027-01-05, noon, as in the sample events.
pub fn now() -> Timestamp {
    Timestamp::from_secs(1_799_150_400)
}

/// Waits for an answer.
pub fn wait<T>(answer: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
    runtime.block_on(answer)
}

/// The functions' settings: those that let most happen.
pub fn environment(more: &[(&str, &str)]) -> Environment {
    let usual = [("TABLE_NAME", "tokens"), ("ADMIN_GROUP", "admins"), ("CONSOLE_URL", "https://tokens.example/")];
    usual.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// That no name and no text in an answer or a request holds anything like a token.
pub fn assert_no_token_within(value: &Value) {
    match value {
        Value::String(text) => assert_no_token_in(text),
        Value::Array(list) => list.iter().for_each(assert_no_token_within),
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            assert_no_token_in(name);
            assert_no_token_within(value);
        }),
        _ => {}
    }
}

/// That a text repeats nothing like a token.
pub fn assert_no_token_in(text: &str) {
    assert!(!latchkey::token::is_in(text), "something like a token is repeated: {text}");
}
