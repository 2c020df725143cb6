//! Scopes, and what they allow. Lines of input: `METHOD path`, a pattern of `READ_BY_POST`, and any number of scopes.

#![no_main]

use authorize::policy::Policy;
use latchkey::path::is_plain;
use latchkey::record::{Record, Retired, Times};
use latchkey::scope::{Action, ReadByPost, Scope, Scopes, opens_session};
use latchkey::source::SourceAddresses;
use latchkey_fuzz::{iam, now, sample};
use libfuzzer_sys::fuzz_target;

const STAGE: &str = "arn:aws:execute-api:eu-west-1:123456789012:abcdef/$default";

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let Some((method, path)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let mut read_by_post = ReadByPost::default();
    let more = lines.next().unwrap_or_default();
    if read_by_post.add(more).is_ok() {
        assert!(more.starts_with(['/', '*']) && more.matches('*').count() < 2);
    }
    let mut scopes = vec![];
    for line in lines {
        let parsed = line.parse::<Scope>();
        let Ok(scope) = parsed else { continue };
        let written = scope.to_string();
        assert!(written == line || format!("{line}:*") == written, "{line} is written {written}");
        assert_eq!(written.parse(), Ok(scope.clone()));
        assert!(!written.contains(['?', '$', '{', '%', ' ', '"']) && written.matches('*').count() < 2);
        scopes.push(scope);
    }
    let Some(all) = Scopes::new(scopes.clone()) else {
        assert!(scopes.is_empty() || scopes.len() > 50);
        return;
    };
    let allowed = all.allow(method, path, &read_by_post);
    if allowed {
        assert!(is_plain(path) && path.starts_with('/') && !opens_session(method, path), "{method} {path}");
        // A second reading of a scope: a start, or the whole, of the path with its slashes decoded.
        let decoded = path.replace("%2f", "/").replace("%2F", "/");
        let reads = read_by_post.needs(method, path) == Some(Action::Read);
        let grants = |scope: &Scope| {
            let resource = format!("/{}", scope.resource.as_str());
            (reads || scope.action == Action::Write)
                && match resource.strip_suffix('*') {
                    Some(start) => decoded.starts_with(start),
                    None => decoded == resource,
                }
        };
        assert!(scopes.iter().any(grants), "{all} does not grant {method} {path}");
        assert!(!decoded.contains("//") && !decoded.split('/').any(|segment| segment == "." || segment == ".."));
        // Whoever may write may read.
        assert!(all.allow("GET", path, &read_by_post));
    }
    // What is covered allows nothing more.
    for narrow in &scopes {
        let one = Scopes::new([narrow.clone()]).expect("one scope");
        assert!(all.cover(narrow));
        assert!(allowed || !one.allow(method, path, &read_by_post));
        for wide in &scopes {
            let wide = Scopes::new([wide.clone()]).expect("one scope");
            if wide.cover(narrow) && one.allow(method, path, &read_by_post) {
                assert!(wide.allow(method, path, &read_by_post), "{wide} covers {narrow}, not {method} {path}");
            }
        }
    }
    // The policy that the gateway keeps says the same of every request that it can be asked about.
    if path.starts_with('/') && !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) {
        let token = sample::token(sample::ACTIVE);
        let record = Record {
            id: token.id(),
            subject: "alice".into(),
            hash: token.hash(),
            retired: Retired::default(),
            name: "ci".into(),
            scopes: all.clone(),
            source_addresses: SourceAddresses::default(),
            times: Times { created_at: now(), rotated_at: None, expires_at: None, revoked_at: None },
            revoked_by: None,
            leak_url: None,
            last_use: None,
        };
        let policy = Policy::grant(STAGE, &record, &read_by_post);
        let policy = serde_json::to_value(&policy).expect("a policy is JSON");
        assert_eq!(iam::allows(&policy, &format!("{STAGE}/{method}{path}"), None), allowed, "{all}: {method} {path}");
    }
});
