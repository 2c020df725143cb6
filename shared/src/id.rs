//! The public names of an owner and of a token. They may stand in lists, logs and addresses.

use crate::base62;
use crate::clock::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

const OWNER: usize = 17;
const ULID: usize = 26;
const ID: usize = OWNER + ULID;

/// The partition of everything that one person owns: the first 96 bits of SHA-256 over issuer and subject, as 17
/// base-62 digits.
///
/// 96 bits keep two people apart up to some 2^48 owners; a record holds its subject as well, and readers check it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerKey([u8; OWNER]);

impl OwnerKey {
    /// The key of the person whom this issuer calls by this subject.
    pub fn of(issuer: &str, subject: &str) -> Self {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        let digest = Sha256::new()
            .chain_update((issuer.len() as u64).to_be_bytes())
            .chain_update(issuer)
            .chain_update(subject)
            .finalize();
        Self(base62::encode(digest.first_chunk::<12>().unwrap_or(&[0; 12])))
    }

    /// The 17 digits.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

/// A token's public id: its owner's key and a ULID, 43 characters. It is all that is needed to read its record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId([u8; ID]);

/// Why a text is no token id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATokenId;

impl TokenId {
    /// A new id, ordered by its millisecond; `random` must be unpredictable in its lowest 80 bits.
    pub(crate) fn new(owner: OwnerKey, now: Timestamp, random: u128) -> Self {
        let mut ulid = [0; ULID];
        Ulid::from_parts(now.as_millis(), random).array_to_str(&mut ulid);
        Self::join(owner, ulid)
    }

    /// The id of an owner's record, from its sort key.
    pub fn of(owner: OwnerKey, ulid: &str) -> Result<Self, NotATokenId> {
        let ulid: [u8; ULID] = ulid.as_bytes().try_into().map_err(|_| NotATokenId)?;
        is_ulid(&ulid).then(|| Self::join(owner, ulid)).ok_or(NotATokenId)
    }

    fn join(owner: OwnerKey, ulid: [u8; ULID]) -> Self {
        let mut id = [0; ID];
        for (to, from) in id.iter_mut().zip(owner.0.into_iter().chain(ulid)) {
            *to = from;
        }
        Self(id)
    }

    /// The 43 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// Whose token it is.
    pub fn owner(&self) -> OwnerKey {
        OwnerKey(self.0.first_chunk().copied().unwrap_or([b'0'; OWNER]))
    }

    /// The sort key of its record.
    pub fn ulid(&self) -> &str {
        ascii(self.0.last_chunk::<ULID>().unwrap_or(&[b'0'; ULID]))
    }
}

impl FromStr for TokenId {
    type Err = NotATokenId;

    fn from_str(text: &str) -> Result<Self, NotATokenId> {
        let id: [u8; ID] = text.as_bytes().try_into().map_err(|_| NotATokenId)?;
        let owner = id.first_chunk::<OWNER>().is_some_and(|owner| owner.iter().all(u8::is_ascii_alphanumeric));
        let ulid = id.last_chunk::<ULID>().is_some_and(is_ulid);
        (owner && ulid).then_some(Self(id)).ok_or(NotATokenId)
    }
}

/// Only the form that is written: capitals, and a first digit that 128 bits can have. One token, one id.
fn is_ulid(text: &[u8; ULID]) -> bool {
    let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'A'..=b'Z') && !matches!(b, b'I' | b'L' | b'O' | b'U');
    text.iter().all(digit) && text.first().is_some_and(|first| *first <= b'7')
}

/// Both types hold ASCII alone, by construction.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl fmt::Debug for OwnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnerKey({})", self.as_str())
    }
}

impl serde::Serialize for TokenId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_and_subject_are_told_apart() {
        assert_eq!(OwnerKey::of("https://a", "b"), OwnerKey::of("https://a", "b"));
        assert_ne!(OwnerKey::of("https://a", "b"), OwnerKey::of("https://", "ab"));
        assert_ne!(OwnerKey::of("https://a", "b"), OwnerKey::of("https://a", "B"));
    }

    #[test]
    fn an_id_reads_back_and_no_other_spelling_is_taken() {
        let id = TokenId::new(OwnerKey::of("i", "s"), Timestamp::from_secs(1_800_000_000), u128::MAX);
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(TokenId::of(id.owner(), id.ulid()), Ok(id));
        for wrong in [
            id.as_str().to_lowercase(),
            format!("{id}0"),
            format!("{}8{}", id.owner().as_str(), "0".repeat(25)),
            format!("{}0{}", id.owner().as_str(), "U".repeat(25)),
            format!("{}é{}", id.owner().as_str(), "0".repeat(24)),
            String::new(),
        ] {
            assert_eq!(wrong.parse::<TokenId>(), Err(NotATokenId), "{wrong}");
        }
    }
}
