//! Where a token stands in a request. A line of input is one place: `A` a value of `Authorization`, `B` one whose
//! `Basic` credentials are encoded here, `K` a header that holds a bare token, `Q` a parameter of the query.

#![no_main]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use latchkey::credential::{Credentials, Presented, find};
use latchkey::token::{Prefix, Token};
use latchkey_fuzz::sample::{ACTIVE, REVOKED};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (mut credentials, mut query, mut places) = (Credentials::default(), vec![], vec![]);
    for line in text.lines() {
        let Some(place) = line.chars().next() else { continue };
        // Whole tokens are more than a mutation finds.
        let rest = line[place.len_utf8()..].replace("{1}", ACTIVE).replace("{2}", REVOKED);
        match place {
            'A' => credentials.authorization.push(rest.clone().into()),
            'B' => credentials.authorization.push(format!("Basic {}", BASE64_STANDARD.encode(&rest)).into()),
            'K' => credentials.keys.push(rest.clone().into()),
            'Q' => query.push(("key".to_owned(), rest.clone())),
            _ => continue,
        }
        places.push((place, rest));
    }
    let prefix = Prefix::default();
    let found = find(&credentials, &query, &prefix);

    let shown = format!("{found:?}");
    for secret in [ACTIVE, REVOKED] {
        assert!(!shown.contains(&secret[47..]), "{shown}");
    }
    let ours = |text: &str| text.trim().parse::<Token>().is_ok_and(|token| token.has_prefix(&prefix));
    let in_query = places.iter().any(|(place, rest)| *place == 'Q' && ours(rest));
    assert_eq!(matches!(found, Presented::InQuery), in_query);
    let bare = |(place, rest): &(char, String)| {
        let bearer = rest.get(..7).filter(|scheme| *place == 'A' && scheme.eq_ignore_ascii_case("bearer "));
        *place != 'B' && ours(if bearer.is_some() { &rest[7..] } else { rest })
    };
    let headers = || places.iter().filter(|(place, _)| *place != 'Q');
    match &found {
        Presented::Token(token) => {
            assert!(token.has_prefix(&prefix));
            let decoded = |rest: &str| {
                let encoded = rest.split_once(' ').map(|(_, rest)| rest.trim().trim_end_matches('=').to_owned());
                let engine = base64::prelude::BASE64_STANDARD_NO_PAD;
                encoded.and_then(|encoded| engine.decode(encoded).ok()).unwrap_or_default()
            };
            let stands = |rest: &str| {
                rest.contains(token.expose()) || String::from_utf8_lossy(&decoded(rest)).contains(token.expose())
            };
            assert!(headers().any(|(_, rest)| stands(rest)), "a token from nowhere");
        }
        Presented::Several => assert!(headers().count() > 1),
        // Where `Authorization` says something else, nothing else counts.
        Presented::Nothing => {
            let speaks = |(place, rest): &(char, String)| *place == 'B' || (*place == 'A' && !rest.trim().is_empty());
            assert!(headers().any(speaks) || !headers().any(bare), "a token was not seen");
        }
        Presented::InQuery => {}
    }

    // Neither the order of headers nor another's key changes what is found.
    credentials.authorization.reverse();
    credentials.keys.reverse();
    credentials.keys.push("dummy".to_owned().into());
    assert_eq!(format!("{:?}", find(&credentials, &query, &prefix)), shown);
    credentials.authorization.insert(0, "Basic dXNlcjpwYXNzd29yZA==".to_owned().into());
    assert!(matches!(find(&credentials, &query, &prefix), Presented::Nothing | Presented::InQuery));
});
