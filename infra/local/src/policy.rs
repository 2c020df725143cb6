//! Policies that a Lambda authorizer answers with, evaluated as IAM does.

use latchkey::source::Block;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::net::IpAddr;

/// What a policy says about one action on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it, whatever others say.
    ExplicitDeny,
    /// No statement speaks of it.
    ImplicitDeny,
}

/// A policy document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    statement: OneOrMany<Statement>,
}

/// Elements beyond these (`NotResource`, other conditions, …) make a policy invalid here rather than wrongly judged.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
    condition: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "NotIpAddress")]
    not_ip_address: SourceIp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceIp {
    #[serde(rename = "aws:SourceIp", deserialize_with = "blocks")]
    blocks: Vec<Block>,
}

fn blocks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Block>, D::Error> {
    let texts = OneOrMany::<String>::deserialize(deserializer)?;
    texts.as_slice().iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

impl Condition {
    /// A negated operator holds where there is nothing to compare (IAM user guide, "Condition operators").
    fn holds(&self, source: Option<IpAddr>) -> bool {
        source.is_none_or(|source| !self.not_ip_address.blocks.iter().any(|block| block.contains(source)))
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Policy {
    /// Reads a policy document.
    pub fn from_json(document: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(document)
    }

    /// Judges one action on one resource, asked for from this address: Deny beats Allow, and what is not allowed is
    /// denied.
    pub fn evaluate(&self, action: &str, resource: &str, source: Option<IpAddr>) -> Verdict {
        // Actions are the one part of a policy that IAM compares without regard to case.
        let action = action.to_ascii_lowercase();
        let applies = |statement: &&Statement| {
            statement.action.as_slice().iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
                && statement.resource.as_slice().iter().any(|pattern| matches(pattern, resource))
                && statement.condition.as_ref().is_none_or(|condition| condition.holds(source))
        };
        let effects: Vec<Effect> = self.statement.as_slice().iter().filter(applies).map(|s| s.effect).collect();
        match effects.as_slice() {
            [] => Verdict::ImplicitDeny,
            effects if effects.contains(&Effect::Deny) => Verdict::ExplicitDeny,
            _ => Verdict::Allow,
        }
    }
}

/// IAM's wildcards: `*` is any run of characters, `/` and `:` among them; `?` is exactly one.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on from when a guess about the latest `*` fails: it then swallows one character more.
    let mut retry = None;
    loop {
        let mut rest = pattern.clone();
        match rest.next() {
            Some('*') => {
                retry = Some((rest.clone(), text.clone()));
                pattern = rest;
                continue;
            }
            expected => {
                let mut after = text.clone();
                match (expected, after.next()) {
                    (None, None) => return true,
                    (Some(expected), Some(found)) if expected == '?' || expected == found => {
                        (pattern, text) = (rest, after);
                        continue;
                    }
                    _ => {}
                }
            }
        }
        let Some((after_star, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), from.clone());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn verdict(statements: Value, resource: &str) -> Verdict {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        Policy::from_json(&document).unwrap().evaluate("execute-api:Invoke", resource, None)
    }

    fn statement(effect: &str, resource: &str) -> Value {
        json!({"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource})
    }

    #[test]
    fn what_no_statement_allows_is_denied() {
        assert_eq!(verdict(json!([]), "arn:a/b"), Verdict::ImplicitDeny);
        assert_eq!(verdict(statement("Allow", "arn:a/c"), "arn:a/b"), Verdict::ImplicitDeny);
        let other = json!({"Action": "s3:*", "Effect": "Allow", "Resource": "*"});
        assert_eq!(verdict(other, "arn:a/b"), Verdict::ImplicitDeny);
    }

    #[test]
    fn deny_beats_allow_in_any_order() {
        let (allow, deny) = (statement("Allow", "arn:a/*"), statement("Deny", "arn:a/b"));
        assert_eq!(verdict(json!([allow, deny]), "arn:a/b"), Verdict::ExplicitDeny);
        assert_eq!(verdict(json!([deny, allow]), "arn:a/b"), Verdict::ExplicitDeny);
        assert_eq!(verdict(json!([deny, allow]), "arn:a/c"), Verdict::Allow);
    }

    #[test]
    fn any_of_several_actions_and_resources_will_do() {
        let document = json!({"Effect": "Allow", "Action": ["x:Y", "EXECUTE-API:*"], "Resource": ["arn:x", "arn:a/b"]});
        assert_eq!(verdict(document, "arn:a/b"), Verdict::Allow);
    }

    #[test]
    fn a_star_spans_slashes_and_a_question_mark_is_one_character() {
        assert!(matches("a/*/GET/npm/*", "a/prod/GET/npm/x/y/z"));
        assert!(matches("a/*", "a/"));
        assert!(matches("*", ""));
        assert!(matches("a?c", "a/c") && matches("a?c", "aéc"));
        assert!(!matches("a?c", "ac") && !matches("a?", "a"));
        assert!(matches("*b*b", "abab") && !matches("*b*b", "ab"));
    }

    #[test]
    fn resources_are_compared_by_case_and_to_the_letter() {
        assert!(!matches("a/GET/npm", "a/get/npm"));
        assert!(!matches("a/npm/", "a/npm"));
        assert!(!matches("a/@acme/x", "a/@acme%2fx"));
    }

    #[test]
    fn an_element_that_is_not_evaluated_makes_the_policy_invalid() {
        let with = |extra: Value| {
            let mut statement = statement("Allow", "*");
            statement.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            Policy::from_json(&json!({"Version": "2012-10-17", "Statement": [statement]}))
        };
        assert!(with(json!({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})).is_err());
        assert!(with(json!({"NotResource": "arn:a"})).is_err());
        assert!(with(json!({"Effect": "allow"})).is_err());
        assert!(with(json!({"Sid": "Why"})).is_ok());
    }

    /// The definition, spelled out: slow and plain.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            (['*', rest @ ..], text) => (0..=text.len()).any(|n| by_definition(rest, text.get(n..).unwrap())),
            (['?', rest @ ..], [_, text @ ..]) => by_definition(rest, text),
            ([c, rest @ ..], [d, text @ ..]) => c == d && by_definition(rest, text),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab/*?]{0,8}", text in "[ab/*?]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text)));
        }
    }
}
