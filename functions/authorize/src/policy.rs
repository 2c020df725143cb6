//! A token's whole grant as an IAM policy: methods × resources over one stage.
//!
//! API Gateway caches the policy and matches it against every later request with the same credential, so it must be
//! right for all of them: it allows exactly what [`Scopes::allow`] does. `*` in a policy matches across `/`, so methods
//! are spelled out: `stage/*/npm/x` would allow `GET /any/npm/x`.
//!
//! Source: API Gateway developer guide, "Output from an API Gateway Lambda authorizer". A policy's resource has at most
//! 512 characters there: ours has at most 100 (ARN) + 8 (method) + 2 × 200 (resource, read by POST).

use latchkey::path::not_plain;
use latchkey::scope::{Action, OPENING_SESSIONS, READING, ReadByPost, Scopes, WRITING};
use serde::Serialize;

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
}

impl Policy {
    /// Allows what the scopes grant, and denies every path that could come to mean another.
    pub fn grant(stage_arn: &str, scopes: &Scopes, read_by_post: &ReadByPost) -> Self {
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
        Self { action: "execute-api:Invoke", effect, resource }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
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
            let statements = policy.statement.iter().filter(move |statement| statement.effect == effect);
            statements.flat_map(|s| &s.resource).any(|resource| matches(resource.as_bytes(), arn.as_bytes()))
        };
        hit("Allow") && !hit("Deny")
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
            let policy = Policy::grant(STAGE, &scopes, &read_by_post);
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
        let policy = Policy::grant(STAGE, &scopes, &read_by_post);
        assert!(policy.statement.iter().flat_map(|s| &s.resource).all(|resource| resource.len() <= 512));
    }
}
