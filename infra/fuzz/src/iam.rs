//! A gateway's reading of a policy: written from IAM's documentation, and not from the code that writes policies.

use latchkey::source::Block;
use serde_json::Value;
use std::net::IpAddr;

/// Whether a policy lets a request pass: an explicit denial, else an allowance, else nothing.
pub fn allows(policy: &Value, arn: &str, from: Option<IpAddr>) -> bool {
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().expect("statements");
    let hit = |effect: &str| {
        let of_effect = statements.iter().filter(|statement| statement["Effect"] == effect);
        of_effect.filter(|statement| holds(&statement["Condition"], from)).any(|statement| {
            assert_eq!(statement["Action"], "execute-api:Invoke");
            let resources = statement["Resource"].as_array().expect("resources");
            resources.iter().any(|resource| matches(resource.as_str().expect("a resource"), arn))
        })
    };
    !hit("Deny") && hit("Allow")
}

/// `NotIpAddress` over `aws:SourceIp` is all that is known; it holds where the address is absent.
fn holds(condition: &Value, from: Option<IpAddr>) -> bool {
    let Some(condition) = condition.as_object() else { return true };
    assert!(condition.keys().eq(["NotIpAddress"]));
    let blocks = condition["NotIpAddress"]["aws:SourceIp"].as_array().expect("blocks");
    let blocks = blocks.iter().map(|block| block.as_str().and_then(|block| block.parse().ok()).expect("a block"));
    !blocks.into_iter().any(|block: Block| from.is_some_and(|from| block.contains(from)))
}

/// `*` is any characters and `?` one. In time that grows with the product of the lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(c) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((star, at)) = back else { return false };
                back = Some((star, at + 1));
                (p, t) = (star + 1, at + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}
