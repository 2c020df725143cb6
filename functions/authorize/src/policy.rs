//! A token's whole grant as an IAM policy: methods × resources over one stage.
//!
//! API Gateway caches the policy and matches it against every later request with the same credential, so it must be
//! right for all of them: it allows exactly what [`Scopes::allow`] does. `*` in a policy matches across `/`, so methods
//! are spelled out: `stage/*/npm/x` would allow `GET /any/npm/x`.
//!
//! Source: API Gateway developer guide, "Output from an API Gateway Lambda authorizer". A policy's resource has at most
//! 512 characters there: ours has at most 100 (ARN) + 8 (method) + 2 × 200 (resource, read by POST).

use latchkey::path::not_plain;
use latchkey::record::Record;
use latchkey::scope::{Action, OPENING_SESSIONS, READING, ReadByPost, Scopes, WRITING};
use latchkey::source::SourceAddresses;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An IAM policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

/// What else must hold for a statement to count.
#[derive(Debug, Serialize)]
struct Condition {
    #[serde(rename = "NotIpAddress")]
    not_ip_address: SourceIp,
}

#[derive(Debug, Serialize)]
struct SourceIp {
    #[serde(rename = "aws:SourceIp")]
    blocks: SourceAddresses,
}

impl Policy {
    /// A token's whole grant: what its scopes allow, from the addresses that it is bound to.
    ///
    /// The binding is a denial of all other addresses, and no condition of what is allowed: a gateway that passed over
    /// conditions, or did not know the address, would then refuse and not let pass (IAM user guide, "Negated matching
    /// condition operators": they hold where the key is absent). That API Gateway goes by `aws:SourceIp` is said of its
    /// resource policies ("AWS condition keys that can be used in API Gateway resource policies"); of an authorizer's it
    /// was not tried on a live account.
    pub fn grant(stage_arn: &str, record: &Record, read_by_post: &ReadByPost) -> Self {
        let mut policy = Self::of_scopes(stage_arn, &record.scopes, read_by_post);
        if !record.source_addresses.is_anywhere() {
            let condition = Condition { not_ip_address: SourceIp { blocks: record.source_addresses.clone() } };
            let elsewhere = Statement::new("Deny", vec![format!("{stage_arn}/*")]);
            policy.statement.push(Statement { condition: Some(condition), ..elsewhere });
        }
        policy
    }

    /// Allows what the scopes grant, and denies every path that could come to mean another.
    fn of_scopes(stage_arn: &str, scopes: &Scopes, read_by_post: &ReadByPost) -> Self {
        let mut allowed = vec![];
        for scope in scopes.iter() {
            let writing: &[&str] = if scope.action == Action::Write { &WRITING } else { &[] };
            for pattern in scope.resource.patterns() {
                for method in READING.iter().chain(writing) {
                    allowed.push(format!("{stage_arn}/{method}{pattern}"));
                }
                if scope.action == Action::Read {
                    let posts = read_by_post.patterns().iter().flat_map(|post| pattern.and(post));
                    allowed.extend(posts.map(|post| format!("{stage_arn}/POST{post}")));
                }
            }
        }
        let odd = not_plain().map(|pattern| format!("{stage_arn}/{pattern}"));
        let sessions = OPENING_SESSIONS.iter().map(|end| format!("{stage_arn}/POST*{end}"));
        Self::of(vec![Statement::new("Allow", allowed), Statement::new("Deny", odd.chain(sessions).collect())])
    }

    /// Denies one request as well.
    pub fn except(mut self, stage_arn: &str, method: &str, path: &str) -> Self {
        self.statement.push(Statement::new("Deny", vec![format!("{stage_arn}/{method}{path}")]));
        self
    }

    /// Denies everything in the stage.
    pub fn deny(stage_arn: &str) -> Self {
        Self::of(vec![Statement::new("Deny", vec![format!("{stage_arn}/*")])])
    }

    fn of(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }
}

impl Statement {
    fn new(effect: &'static str, resource: Vec<String>) -> Self {
        Self { action: "execute-api:Invoke", effect, resource, condition: None }
    }
}

/// A policy as JSON text.
#[derive(Clone, Debug)]
pub struct Document(Arc<RawValue>);

impl Document {
    /// Writes a policy down.
    pub fn of(policy: &Policy) -> Result<Self, serde_json::Error> {
        Ok(Self(to_raw_value(policy)?.into()))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The most bytes of text that are kept: 500 times that of five scopes, 50 times the longest.
const MOST: usize = 4 << 20;

/// Grants that were written down before. A grant depends on the stage, the scopes and the addresses alone, and a registry's
/// tokens have few different ones; writing one down takes longer than all the rest of a decision (figures in the README).
#[derive(Debug, Default)]
pub struct Grants(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    documents: HashMap<String, Document>,
    bytes: usize,
}

impl Grants {
    /// As [`Policy::grant`]; `read_by_post` must be the same each time.
    pub fn document(
        &self,
        stage_arn: &str,
        record: &Record,
        read_by_post: &ReadByPost,
    ) -> Result<Document, serde_json::Error> {
        // Neither an ARN nor a scope nor a block of addresses has a space in it.
        let mut key = format!("{stage_arn} {}", record.scopes);
        for block in record.source_addresses.iter() {
            key.push_str(&format!(" from {block}"));
        }
        if let Some(document) = self.kept().documents.get(&key) {
            return Ok(document.clone());
        }
        let document = Document::of(&Policy::grant(stage_arn, record, read_by_post))?;
        let mut kept = self.kept();
        if kept.bytes > MOST {
            *kept = Kept::default();
        }
        kept.bytes += key.len() + document.0.get().len();
        kept.documents.insert(key, document.clone());
        Ok(document)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use latchkey::clock::Timestamp;
    use latchkey::id::OwnerKey;
    use latchkey::record::{Retired, Times};
    use latchkey::token::{Prefix, Token};
    use proptest::prelude::*;

    const STAGE: &str = "arn:aws:execute-api:eu-west-1:123456789012:abcdef/$default";

    /// IAM's wildcards by the plainest definition: `*` any characters, `?` one.
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
            }
            (Some((b'?', rest)), Some((_, text))) => matches(rest, text),
            (Some((p, rest)), Some((t, text))) => p == t && matches(rest, text),
            _ => false,
        }
    }

    /// AWS's evaluation: an explicit deny, else an allow, else an implicit deny.
    fn allows(policy: &Policy, method: &str, path: &str) -> bool {
        let arn = format!("{STAGE}/{method}{path}");
        let hit = |effect| {
            let resources = resources(policy);
            resources.iter().any(|(of, resource)| of == effect && matches(resource.as_bytes(), arn.as_bytes()))
        };
        hit("Allow") && !hit("Deny")
    }

    /// Effect and resource, as they are written.
    fn resources(policy: &Policy) -> Vec<(String, String)> {
        let written = serde_json::to_value(policy).unwrap();
        assert_eq!(written["Version"], "2012-10-17");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mut resources = vec![];
        for statement in written["Statement"].as_array().unwrap() {
            assert_eq!(statement["Action"], "execute-api:Invoke");
            let of_statement = statement["Resource"].as_array().unwrap();
            resources.extend(of_statement.iter().map(|resource| (text(&statement["Effect"]), text(resource))));
        }
        resources
    }

    /// Pieces that make scopes and paths meet often.
    fn piece() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "npm",
            "@acme",
            "x",
            "pypi",
            "-",
            "v1",
            "/",
            "/",
            "/",
            "//",
            ".",
            "..",
            "%2f",
            "%2F",
            "%2e",
            "%5c",
            "*",
            "git-upload-pack",
            "/-/npm/v1/security/audits",
            "GET",
            "POST",
            "~a+b",
            "%",
            "audits",
            "/quick",
            "/-/v1/login",
            "/api/v1/api_key",
        ])
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(piece(), 0..7).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn the_policy_allows_exactly_what_the_scopes_allow(
            resources in proptest::collection::vec((text(), any::<bool>(), any::<bool>()), 1..4),
            own_path in text(),
            tail in text(),
            near in any::<bool>(),
            method in proptest::sample::select(
                vec!["GET", "HEAD", "OPTIONS", "PUT", "POST", "POST", "POST", "POST", "PATCH", "DELETE", "TRACE", "get"]),
            more in proptest::option::of(text()),
        ) {
            let scopes: Vec<_> = resources
                .iter()
                .filter_map(|(resource, write, open)| {
                    let action = if *write { "write" } else { "read" };
                    let resource = resource.trim_start_matches('/').replace('*', "");
                    format!("{action}:{resource}{}", if *open { "*" } else { "" }).parse().ok()
                })
                .collect();
            let Some(scopes) = Scopes::new(scopes) else { return Ok(()) };
            let mut read_by_post = ReadByPost::default();
            if let Some(more) = more {
                let _ = read_by_post.add(&format!("/{more}"));
            }
            // Half of the paths begin as the first scope does.
            let path = if near {
                format!("/{}{tail}", resources[0].0.trim_start_matches('/').replace('*', ""))
            } else {
                format!("/{own_path}")
            };
            let policy = Policy::of_scopes(STAGE, &scopes, &read_by_post);
            prop_assert_eq!(
                allows(&policy, method, &path),
                scopes.allow(method, &path, &read_by_post),
                "{} {} under {}", method, path, scopes
            );
        }

        #[test]
        fn a_path_that_a_tidying_upstream_reads_otherwise_is_never_wider(
            resource in "(npm|pypi)/(@acme/|simple/)?", tail in text(),
        ) {
            // What an upstream makes of a path: decoded once, then without empty and dot segments.
            let path = format!("/{resource}{tail}");
            let decoded = path.replace("%2f", "/").replace("%2F", "/").replace("%2e", ".").replace("%5c", "/");
            let mut meant = vec![];
            for segment in decoded.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => { meant.pop(); }
                    name => meant.push(name),
                }
            }
            let scopes = Scopes::new([format!("read:{resource}*").parse().unwrap()]).unwrap();
            if scopes.allow("GET", &path, &ReadByPost::default()) {
                let meant = format!("/{}/", meant.join("/"));
                prop_assert!(meant.starts_with(&format!("/{resource}")), "{} means {}", path, meant);
            }
        }
    }

    fn record(scopes: Scopes, source_addresses: &[&str]) -> Record {
        let now = Timestamp::from_secs(1_800_000_000);
        let token = Token::mint(&Prefix::default(), OwnerKey::of("i", "s"), now).unwrap();
        let blocks = source_addresses.iter().map(|block| block.parse().unwrap());
        Record {
            id: token.id(),
            subject: "s".into(),
            hash: token.hash(),
            retired: Retired::default(),
            name: "t".into(),
            scopes,
            source_addresses: SourceAddresses::new(blocks).unwrap(),
            times: Times { created_at: now, rotated_at: None, expires_at: None, revoked_at: None },
            revoked_by: None,
            leak_url: None,
            last_use: None,
        }
    }

    #[test]
    fn a_token_that_is_bound_to_addresses_is_denied_everything_elsewhere() {
        let scopes = || Scopes::new(["read".parse().unwrap()]).unwrap();
        let statements = |blocks: &[&str]| {
            let policy = Policy::grant(STAGE, &record(scopes(), blocks), &ReadByPost::default());
            serde_json::to_value(policy).unwrap()["Statement"].as_array().unwrap().clone()
        };
        assert!(statements(&[]).iter().all(|statement| statement.get("Condition").is_none()));
        let bound = statements(&["203.0.113.0/24", "2001:db8::/32"]);
        assert_eq!(
            bound.last().unwrap(),
            &serde_json::json!({
                "Action": "execute-api:Invoke", "Effect": "Deny", "Resource": [format!("{STAGE}/*")],
                "Condition": {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}},
            })
        );
    }

    #[test]
    fn a_grant_that_is_kept_is_that_of_its_stage_and_its_scopes() {
        let (grants, read_by_post) = (Grants::default(), ReadByPost::default());
        let scopes = |n: usize| Scopes::new([format!("write:{}/{n}", "@a/b".repeat(40)).parse().unwrap()]).unwrap();
        for _ in 0..2 {
            // More than is kept.
            for n in 0..1000 {
                for stage in [STAGE, "arn:aws:execute-api:eu-west-1:123456789012:other/prod"] {
                    let record = record(scopes(n), if n % 2 == 0 { &[] } else { &["192.0.2.0/24"] });
                    let document = grants.document(stage, &record, &read_by_post).unwrap();
                    let fresh = Policy::grant(stage, &record, &read_by_post);
                    assert_eq!(document.0.get(), serde_json::to_string(&fresh).unwrap());
                }
                assert!(grants.kept().bytes < MOST + 100_000);
            }
        }
        assert!(grants.kept().documents.len() < 2000);
    }

    #[test]
    fn a_denial_covers_the_whole_stage() {
        let policy = Policy::deny(STAGE);
        assert!(!allows(&policy, "GET", "/"));
        assert!(serde_json::to_string(&policy).unwrap().contains(&format!("{STAGE}/*")));
    }

    #[test]
    fn every_resource_of_the_widest_scope_fits_into_512_characters() {
        let longest = format!("{}/*", ["@a", &"b".repeat(195)].join("/"));
        let scopes = Scopes::new([format!("read:{longest}").parse().unwrap()]).unwrap();
        let mut read_by_post = ReadByPost::default();
        read_by_post.add(&format!("*/{}", "c".repeat(198))).unwrap();
        let policy = Policy::of_scopes(STAGE, &scopes, &read_by_post);
        assert!(resources(&policy).iter().all(|(_, resource)| resource.len() <= 512));
    }
}
