//! The tokens of the sample events, and their records as DynamoDB sends them.

use crate::now;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use latchkey::token::Token;
use serde_json::{Value, json};

/// Its scopes are [`SCOPES`].
pub const ACTIVE: &str =
    "lk_0a824qGPPtHquyVWa01KCSAMP1E0000000000000001_Zh6OZjCL7PWN1zhztkEOwvbfdyQ3HiDbC174MzwNv9L2ihM5J";
/// A secret that the same token had before it was rotated.
pub const RETIRED: &str =
    "lk_0a824qGPPtHquyVWa01KCSAMP1E0000000000000001_GA63OxHbRMGRGWl8hBGoVWUGmxdZVb4SvXZiyjBNaQ63anhkH";
/// Expired.
pub const EXPIRED: &str =
    "lk_0a824qGPPtHquyVWa01KCSAMP1E0000000000000002_xNK1KVeEsCZM6cY1S8eXn3ffHo71JCCPAbqpYgGUzsB4aKmXv";
/// Revoked.
pub const REVOKED: &str =
    "lk_0a824qGPPtHquyVWa01KCSAMP1E0000000000000003_Hx1UpsRYDpBfgIukNdZftOGrFgQOvBItO3fwGUgTWxJ3dkprl";
/// Its scopes are [`BOUND_SCOPES`], from [`BLOCKS`] alone.
pub const BOUND: &str =
    "lk_0a824qGPPtHquyVWa01KCSAMP1E0000000000000004_gGKTqr3ClZyQZ9sBCID8TiD9YxlHZpGH7KVTtPVs6gO1ZQxBM";

/// What the first of them grants.
pub const SCOPES: [&str; 3] = ["read:pypi/*", "write:npm/@acme/*", "read:npm/*"];
/// What the bound one grants.
pub const BOUND_SCOPES: [&str; 2] = ["write:v2/team/*", "read:v2/base/x*"];
/// Where the bound one may be used from.
pub const BLOCKS: [&str; 2] = ["192.0.2.0/25", "2001:db8::/32"];

/// The whole token of a text above.
pub fn token(text: &str) -> Token {
    text.parse().expect("the samples are tokens")
}

/// What the table has by the sort key of a token.
pub fn item(ulid: &str) -> Option<Value> {
    let text = [ACTIVE, EXPIRED, REVOKED, BOUND].into_iter().find(|text| text.contains(ulid))?;
    let hash = |text: &str| json!({"B": BASE64_STANDARD.encode(token(text).hash().as_bytes())});
    let list = |texts: &[&str]| json!({"L": texts.iter().map(|text| json!({"S": text})).collect::<Vec<_>>()});
    let at = |days: i64| json!({"N": (now().as_secs() + days * 86_400).to_string()});
    let mut item = json!({
        "owner": {"S": token(text).id().owner().as_str()},
        "id": {"S": ulid},
        "subject": {"S": "alice"},
        "hash": hash(text),
        "name": {"S": "ci \"é\""},
        "scopes": list(if text == BOUND { &BOUND_SCOPES } else { &SCOPES }),
        "created_at": at(-10),
        "expires_at": at(if text == EXPIRED { -1 } else { 30 }),
        "last_event": {"S": "created"},
    });
    if text == ACTIVE {
        item["retired"] = json!({"L": [hash(RETIRED)]});
        item["rotated_at"] = at(-2);
        item["overlap_ends_at"] = at(-1);
    } else if text == REVOKED {
        item["revoked_at"] = at(-1);
        item["revoked_by"] = json!({"S": "owner"});
    } else if text == BOUND {
        item["source_addresses"] = list(&BLOCKS);
    }
    Some(item)
}
