//! What a proxy tells of a request, up to the answer. The first line of input is the request's own method and target, each
//! other is a header, `name: value`. The gateway has seen the proxy at 192.0.2.1.

#![no_main]

use lambda_http::{Request, RequestExt};
use latchkey::credential::{Presented, find};
use latchkey::http::credentials;
use latchkey::token::Prefix;
use latchkey_fuzz::sample::{ACTIVE, BOUND, REVOKED};
use latchkey_fuzz::{assert_named, assert_no_token_in, assert_no_token_within};
use latchkey_fuzz::{environment, event, granted, may_be_refused, now, request, table, wait};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use verify::Function;

static VERIFY: LazyLock<Arc<Function>> = LazyLock::new(|| {
    let environment = environment(&[("CACHE_SECONDS", "3600")]);
    Arc::new(Function::new(&environment, table::client()).expect("good settings"))
});

/// The proxy's address, as the gateway has seen it.
const PROXY: &str = "192.0.2.1";

fuzz_target!(|text: &str| {
    // Whole tokens are more than a mutation finds.
    let text = text.replace("{1}", ACTIVE).replace("{3}", REVOKED).replace("{4}", BOUND);
    let mut lines = text.lines();
    let (own_method, own) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let (own_path, own_query) = own.split_once('?').unwrap_or((own, ""));
    // Names in lower case, and what is repeated joined by commas.
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let joined = headers.entry(name.to_ascii_lowercase()).and_modify(|joined| joined.push(','));
        joined.or_default().push_str(value);
    }
    let mut event = event(own_method, own_path);
    event["rawQueryString"] = own_query.into();
    event["headers"] = json!(headers);
    let Some(request) = request(event) else { return };
    let (presented, own_path) = (presented(&request, own_query), request.raw_http_path().to_owned());

    let response = wait(async {
        let response = VERIFY.handle(request, now()).await;
        Arc::clone(&VERIFY).settle().await;
        response
    });
    table::written().iter().for_each(assert_no_token_within);
    for (name, value) in response.headers() {
        assert_no_token_in(value.to_str().unwrap_or_else(|_| panic!("{name} is not plain")));
    }
    let body = std::str::from_utf8(response.body()).expect("UTF-8");
    assert_no_token_in(body);

    let told = told(&headers);
    match response.status().as_u16() {
        400 => {
            let answer: Value = serde_json::from_str(body).expect("JSON");
            assert!(answer["errors"].is_array(), "{body}");
            assert_named(&answer);
        }
        401 => {
            assert!(told.is_some() && response.headers().contains_key("www-authenticate"));
            assert!(!matches!(&presented, Presented::Token(token) if [ACTIVE, BOUND].contains(&token.expose())));
        }
        status @ (200 | 403) => {
            let (method, uri) = told.expect("no decision about what is not told");
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            if own_path.starts_with("/verify/") {
                assert_eq!(own_method, method, "two methods");
            }
            let presented = if has_token(query) { Presented::InQuery } else { presented };
            let granted = granted(&presented, method, path, source(&headers));
            assert!(granted || status == 403, "{method} {path} passes");
            assert!(status == 200 || !granted || may_be_refused(method, path), "{method} {path} does not pass");
            if status == 200 {
                assert!(body.is_empty() && response.headers().contains_key("x-latchkey-token-id"));
            }
        }
        status => panic!("{status}: {body}"),
    }
});

/// The token of the headers, unless one stands in the query of the request's own.
fn presented(request: &Request, own_query: &str) -> Presented {
    let counts = request.raw_http_path().starts_with("/verify/") && has_token(own_query);
    if counts { Presented::InQuery } else { find(&credentials(request.headers()), &[], &Prefix::default()) }
}

fn has_token(query: &str) -> bool {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    matches!(find(&Default::default(), &pairs, &Prefix::default()), Presented::InQuery)
}

/// The one method and the one URI that are told, in a whole pair at least.
fn told(headers: &BTreeMap<String, String>) -> Option<(&str, &str)> {
    let pairs = [("x-forwarded-method", "x-forwarded-uri"), ("x-original-method", "x-original-uri")];
    let pairs = pairs.map(|(method, uri)| (headers.get(method), headers.get(uri)));
    let whole = pairs.iter().any(|(method, uri)| method.is_some() && uri.is_some());
    let method = one(pairs.map(|(method, _)| method)).filter(|method| !method.contains(','));
    let uri =
        one(pairs.map(|(_, uri)| uri)).filter(|uri| uri.starts_with('/') && !uri.contains('#') && !uri.contains(",/"));
    whole.then(|| method.zip(uri)).flatten()
}

/// What all say that there are.
fn one(told: [Option<&String>; 2]) -> Option<&str> {
    let mut told = told.into_iter().flatten().map(|told| told.trim());
    let first = told.next()?;
    told.all(|told| told == first).then_some(first)
}

/// Where the proxy says that the request is from; `None` where that cannot be told.
fn source(headers: &BTreeMap<String, String>) -> Option<IpAddr> {
    let mut chain: Vec<_> =
        headers.get("x-forwarded-for").map_or("", |chain| chain).split(',').map(str::trim).collect();
    let last = chain.pop()?;
    match chain.pop() {
        None => PROXY.parse().ok(),
        Some(told) => (last == PROXY).then(|| told.parse().ok()).flatten(),
    }
}
