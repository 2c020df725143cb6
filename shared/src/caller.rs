//! Who speaks: the person behind a session of the management API.

use crate::owner::{self, Owner};
use std::collections::HashMap;

/// The claims that name a person's groups: the usual one, and Cognito's.
const GROUPS: [&str; 2] = ["groups", "cognito:groups"];

/// The person whom the gateway's JWT authorizer let in. Nothing but the verified claims can name one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose tokens they have.
    pub owner: Owner,
    /// Whether they are one of `ADMIN_GROUP`.
    pub is_administrator: bool,
    issuer: String,
}

/// A claim that every session must have, and this one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingClaim(pub &'static str);

impl Caller {
    /// From the claims of a session that the gateway has verified.
    pub fn from_claims(claims: &HashMap<String, String>, admin_group: Option<&str>) -> Result<Self, MissingClaim> {
        let claim = |name| claims.get(name).filter(|value| !value.is_empty()).ok_or(MissingClaim(name));
        let (issuer, subject) = (claim("iss")?, claim("sub")?);
        // An issuer that let somebody sign in by a service's name would hand them its tokens.
        if owner::is_service(subject) {
            return Err(MissingClaim("sub"));
        }
        let is_member = |group| GROUPS.iter().filter_map(|claim| claims.get(*claim)).any(|list| names(list, group));
        Ok(Self {
            owner: Owner::of(issuer, subject),
            is_administrator: admin_group.is_some_and(is_member),
            issuer: issuer.clone(),
        })
    }

    /// The owner of this subject: a service, or whom the caller's own issuer calls so. `None` if that is neither the
    /// caller nor is the caller an administrator.
    pub fn on_behalf_of(&self, subject: &str) -> Option<Owner> {
        let owner = Owner::of(&self.issuer, subject);
        (self.is_administrator || owner == self.owner).then_some(owner)
    }
}

/// Whether a claim that is a list names this group. API Gateway writes lists as `[one two]`; a group whose own name has
/// a space in it cannot be told from two.
fn names(list: &str, group: &str) -> bool {
    let inner = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    inner.split([' ', ',']).any(|name| name == group)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn caller(claims: &[(&str, &str)], admin_group: Option<&str>) -> Result<Caller, MissingClaim> {
        let own = [("iss", "https://issuer.example"), ("sub", "alice")];
        let claims = own.iter().chain(claims).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Caller::from_claims(&claims, admin_group)
    }

    #[test]
    fn an_administrator_is_in_the_group_by_its_whole_name() {
        let is = |claim, list| caller(&[(claim, list)], Some("admins")).unwrap().is_administrator;
        for list in ["[admins]", "[staff admins]", "admins", "staff,admins"] {
            assert!(is("groups", list) && is("cognito:groups", list), "{list}");
        }
        for list in ["[]", "", "[admins2 noadmins]", "[Admins]", "[admins", "admins]"] {
            assert!(!is("groups", list), "{list}");
        }
        assert!(!is("roles", "[admins]"));
        assert!(!caller(&[("groups", "[]")], None).unwrap().is_administrator, "without a group there is nobody");
    }

    #[test]
    fn nobody_but_an_administrator_speaks_for_another() {
        let alice = caller(&[], Some("admins")).unwrap();
        assert_eq!(alice.on_behalf_of("alice"), Some(alice.owner.clone()));
        assert_eq!(alice.on_behalf_of("bob"), None);
        assert_eq!(alice.on_behalf_of("service:ci"), None);
        let root = caller(&[("groups", "[admins]")], Some("admins")).unwrap();
        assert_eq!(root.on_behalf_of("bob"), Some(Owner::of("https://issuer.example", "bob")));
        assert_eq!(root.on_behalf_of("service:ci"), Owner::service("ci"));
    }

    #[test]
    fn a_session_by_the_name_of_a_service_is_nobodys() {
        assert_eq!(caller(&[("sub", "service:ci")], None).unwrap_err(), MissingClaim("sub"));
    }
}
