//! Whose a token is: a person's, as the issuer of their sessions calls them, or a service's that no person owns.

use crate::id::OwnerKey;

/// What the subject of a service begins with. No person's session may have such a subject.
const SERVICE: &str = "service:";

/// The issuer of services: none that signs anybody in.
const SERVICES: &str = "urn:latchkey:services";

/// The most characters of a service's name.
pub const MAX_SERVICE: usize = 60;

/// The owner of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The partition of their tokens.
    pub key: OwnerKey,
    /// Their name with their issuer (`sub`), or `service:NAME`.
    pub subject: String,
}

impl Owner {
    /// Whom this issuer calls by this subject; `service:NAME` is the same service whoever the issuer is.
    pub fn of(issuer: &str, subject: &str) -> Self {
        let issuer = if is_service(subject) { SERVICES } else { issuer };
        Self { key: OwnerKey::of(issuer, subject), subject: subject.into() }
    }

    /// A service. `None` unless its name has 1 to 60 of the characters `A-Z a-z 0-9 . _ -`.
    pub fn service(name: &str) -> Option<Self> {
        let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        ((1..=MAX_SERVICE).contains(&name.len()) && fits).then(|| Self::of(SERVICES, &format!("{SERVICE}{name}")))
    }
}

/// Whether a subject is that of a service.
pub fn is_service(subject: &str) -> bool {
    subject.starts_with(SERVICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_the_same_for_every_issuer_and_no_person() {
        let service = Owner::service("ci").map(|owner| owner.key);
        assert_eq!(service, Some(Owner::of("https://a", "service:ci").key));
        assert_eq!(service, Some(Owner::of("https://b", "service:ci").key));
        assert_ne!(service, Some(OwnerKey::of("https://a", "service:ci")));
        for wrong in ["", "a b", "a/b", "é", &"a".repeat(61)] {
            assert_eq!(Owner::service(wrong), None, "{wrong}");
        }
    }
}
