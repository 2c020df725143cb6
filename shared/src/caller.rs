//! Who speaks: the person behind a session of the management API.

use crate::id::OwnerKey;
use std::collections::HashMap;

/// The person whom the gateway's JWT authorizer let in. Nothing but the verified claims can name one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Their name with their issuer (`sub`).
    pub subject: String,
    /// The partition of their tokens.
    pub owner: OwnerKey,
}

/// A claim that every session must have, and this one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingClaim(pub &'static str);

impl Caller {
    /// From the claims of a session that the gateway has verified.
    pub fn from_claims(claims: &HashMap<String, String>) -> Result<Self, MissingClaim> {
        let claim = |name| claims.get(name).filter(|value| !value.is_empty()).ok_or(MissingClaim(name));
        let (issuer, subject) = (claim("iss")?, claim("sub")?);
        Ok(Self { subject: subject.clone(), owner: OwnerKey::of(issuer, subject) })
    }
}
