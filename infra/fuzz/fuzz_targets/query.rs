//! The parameters of `GET /tokens`, and the id in the path of `GET /tokens/{id}`. The first line of input is the id, or
//! empty; each other is a parameter, `name=value`.

#![no_main]

use lambda_http::RequestExt;
use latchkey::id::TokenId;
use latchkey_fuzz::sample::{ACTIVE, token};
use latchkey_fuzz::{assert_no_token_within, environment, event, now, request, session, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

static LIST: LazyLock<list::Function> =
    LazyLock::new(|| list::Function::new(&environment(&[]), table::client()).expect("good settings"));

fuzz_target!(|text: &str| {
    let text = text.replace("{1}", ACTIVE).replace("{id}", token(ACTIVE).id().as_str());
    let mut lines = text.lines();
    let id = lines.next().unwrap_or_default();
    if let Ok(parsed) = id.parse::<TokenId>() {
        assert_eq!(parsed.as_str(), id);
        assert_eq!(TokenId::of(parsed.owner(), parsed.ulid()), Ok(parsed));
        assert_eq!(id, format!("{}{}", parsed.owner().as_str(), parsed.ulid()));
    }
    let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
    for line in lines {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        parameters.entry(name.into()).or_default().push(value.into());
    }
    let mut event = event("GET", "/tokens");
    event["requestContext"]["authorizer"] = session("[]");
    let mut request = request(event).expect("an event of API Gateway").with_query_string_parameters(parameters);
    if !id.is_empty() {
        request = request.with_path_parameters(HashMap::from([("id".to_owned(), id.to_owned())]));
    }
    let response = wait(LIST.handle(request, now()));
    let text = std::str::from_utf8(response.body()).expect("JSON is UTF-8");
    let answer: Value = serde_json::from_str(text).expect("JSON");
    assert_no_token_within(&answer);
    assert!([200, 400, 403, 404].contains(&response.status().as_u16()), "{text}");
    assert!(table::written().is_empty(), "a read that writes");
    if response.status() == 200 {
        // Nobody sees another's.
        let tokens = answer["tokens"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        assert!(tokens.len() <= 100 && tokens.iter().all(|token| token["subject"] == "alice"), "{text}");
        assert!(tokens.iter().all(|token| token.get("hash").is_none() && token.get("retired").is_none()), "{text}");
    }
});
