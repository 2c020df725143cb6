//! The token itself: the one secret of the system.
//!
//! ```text
//! lk_ <owner key: 17> <ULID: 26> _ <secret: 43> <CRC-32: 6>
//!     `------ token id ------'
//! ```
//!
//! CHANGE NOTHING HERE once tokens exist: leak scanners know this form, and a token that no longer parses is refused.

use crate::base62;
use crate::clock::Timestamp;
use crate::id::{OwnerKey, TokenId};
use crate::path;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Characters of a token id.
const ID: usize = 43;
/// Digits of 256 bits.
const SECRET: usize = 43;
/// Digits of 32 bits.
const CHECKSUM: usize = 6;
/// All of a token but its prefix: the id, two underlines, the secret and the checksum.
const BEHIND_PREFIX: usize = 1 + ID + 1 + SECRET + CHECKSUM;

/// The first piece of every token of a deployment: `[a-z][a-z0-9]{1,9}`, by default `lk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("lk".into())
    }
}

impl FromStr for Prefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let letter = text.starts_with(|c: char| c.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (letter && rest && (2..=10).contains(&text.len())).then(|| Self(text.into())).ok_or(ParseError::Prefix)
    }
}

/// A plaintext token. It cannot be serialised or displayed, its `Debug` shows the public id alone, and its memory is
/// wiped on drop; [`Token::expose`] is the one way to the text.
pub struct Token {
    text: String,
    prefix: usize,
    id: TokenId,
}

/// What is wrong with a text that should be a token. It never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It does not begin with `[a-z][a-z0-9]{1,9}` and an underline.
    Prefix,
    /// It is longer or shorter than a token with this prefix.
    Length,
    /// The token id is not in its place, or the underline behind it is not.
    Id,
    /// A character outside `[0-9A-Za-z]` in the secret.
    Secret,
    /// The checksum does not fit: a typing mistake, a cut, or an invention.
    Checksum,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "it begins with no token prefix",
            Self::Length => "it has not the length of a token",
            Self::Id => "it holds no token id",
            Self::Secret => "its secret has a character that no secret has",
            Self::Checksum => "its checksum does not fit",
        })
    }
}

impl std::error::Error for ParseError {}

/// The operating system's generator failed: no token can be made.
#[derive(Debug)]
pub struct NoEntropy;

impl Token {
    /// A new token of this owner.
    ///
    /// 256 bits of secret and 80 bits of id come from the operating system's generator, whatever the TLS library or
    /// the SDK use for theirs.
    pub fn mint(prefix: &Prefix, owner: OwnerKey, now: Timestamp) -> Result<Self, NoEntropy> {
        let mut ulid = [0u8; 16];
        SysRng.try_fill_bytes(&mut ulid).map_err(|_| NoEntropy)?;
        Self::renew(prefix, TokenId::new(owner, now, u128::from_be_bytes(ulid)))
    }

    /// A new secret of the token with this id.
    pub fn renew(prefix: &Prefix, id: TokenId) -> Result<Self, NoEntropy> {
        let mut secret = Zeroizing::new([0u8; 32]);
        SysRng.try_fill_bytes(secret.as_mut()).map_err(|_| NoEntropy)?;
        let digits = Zeroizing::new(base62::encode::<SECRET>(secret.as_ref()));
        // Room for the whole text at once: growing would leave copies of the secret behind.
        let mut text = String::with_capacity(prefix.as_str().len() + BEHIND_PREFIX);
        text.push_str(prefix.as_str());
        text.push('_');
        text.push_str(id.as_str());
        text.push('_');
        text.extend(digits.iter().map(|digit| char::from(*digit)));
        text.extend(checksum(text.as_bytes()).map(char::from));
        Ok(Self { text, prefix: prefix.as_str().len(), id })
    }

    /// The text, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Its public name.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Whether it is of the deployment with this prefix.
    pub fn has_prefix(&self, prefix: &Prefix) -> bool {
        self.prefix == prefix.as_str().len() && self.text.starts_with(prefix.as_str())
    }

    /// What the table keeps in its place.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.text)
    }
}

impl FromStr for Token {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (prefix, rest) = text.split_once('_').ok_or(ParseError::Prefix)?;
        Prefix::from_str(prefix)?;
        if text.len() != prefix.len() + BEHIND_PREFIX {
            return Err(ParseError::Length);
        }
        let (id, tail) = rest.split_once('_').ok_or(ParseError::Id)?;
        let id = id.parse().map_err(|_| ParseError::Id)?;
        if !tail.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ParseError::Secret);
        }
        let (body, given) = text.as_bytes().split_last_chunk().ok_or(ParseError::Length)?;
        if checksum(body) != *given {
            return Err(ParseError::Checksum);
        }
        Ok(Self { text: text.into(), prefix: prefix.len(), id })
    }
}

/// CRC-32 (ISO-HDLC) of all before it: every change of one character is seen without a look at the table.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    base62::encode(&crc32fast::hash(body).to_be_bytes())
}

impl Drop for Token {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, secret redacted)", self.id)
    }
}

/// SHA-256 of a whole token. With 256 bits of secret a slow hash would add cost and no safety.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// What no token hashes to: stands in for a missing record, so that an unknown id and a wrong secret take the
    /// same path.
    pub const NONE: Self = Self([0; 32]);

    /// Of any text: of what is presented as a token, whether it is one or not.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// From the table's bytes; `None` if they are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the table.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

/// Whether a text holds something shaped like a token, whole or mistyped, of any deployment: such a text is neither
/// stored nor repeated.
pub fn is_in(text: &str) -> bool {
    // As it stands, and as a piece of a URI whose underlines are encoded.
    holds_one(text) || holds_one(&path::decoded(text))
}

fn holds_one(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| {
        // The secret is what must not be kept: an id, an underline and most of a secret are enough to stop at.
        word.len() >= ID + SECRET && word.contains('_')
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mint(prefix: &str, subject: &str, millis: i64) -> Token {
        let owner = OwnerKey::of("https://issuer.example", subject);
        Token::mint(&prefix.parse().unwrap(), owner, Timestamp::from_millis(millis)).unwrap()
    }

    #[test]
    fn a_token_with_the_default_prefix_has_96_characters() {
        let token = mint("lk", "alice", 1_800_000_000_000);
        assert_eq!(token.expose().len(), 96);
        assert!(token.expose().starts_with(&format!("lk_{}_", token.id())));
    }

    #[test]
    fn debug_shows_the_id_and_not_the_secret() {
        let token = mint("lk", "alice", 1_800_000_000_000);
        let shown = format!("{token:?} {:?}", token.hash());
        assert!(shown.contains(token.id().as_str()));
        assert!(!shown.contains(&token.expose()[47..60]));
    }

    #[test]
    fn the_hash_is_sha_256_of_the_whole_token() {
        let token = mint("lk", "alice", 1_800_000_000_000);
        assert_eq!(token.hash().as_bytes(), Sha256::digest(token.expose().as_bytes()).as_slice());
        assert!(token.hash().matches(&token.expose().parse::<Token>().unwrap().hash()));
        assert!(!token.hash().matches(&mint("lk", "alice", 1_800_000_000_000).hash()));
        assert!(!token.hash().matches(&TokenHash::NONE));
    }

    #[test]
    fn a_parse_error_says_what_is_wrong() {
        let token = mint("lk", "alice", 1_800_000_000_000);
        let text = token.expose();
        let error = |text: &str| text.parse::<Token>().unwrap_err();
        assert_eq!(error(""), ParseError::Prefix);
        assert_eq!(error("ghp_x"), ParseError::Length);
        assert_eq!(error(&text[1..]), ParseError::Prefix);
        assert_eq!(error(&text[..95]), ParseError::Length);
        assert_eq!(error(&text.replacen('_', "-", 2).replacen('-', "_", 1)), ParseError::Id);
        assert_eq!(error(&format!("{}-{}", &text[..80], &text[81..])), ParseError::Secret);
        assert_eq!(error(&format!("{}AAAAAA", &text[..90])), ParseError::Checksum);
    }

    #[test]
    fn a_text_that_holds_a_token_is_known() {
        let token = mint("lk", "alice", 1_800_000_000_000);
        assert!(is_in(token.expose()));
        assert!(is_in(&format!("my \"{}\"", token.expose())));
        assert!(is_in(&token.expose().replace('_', "%5F")));
        assert!(is_in(&token.expose()[..93]));
        assert!(!is_in(token.id().as_str()));
        assert!(!is_in("ci for the build machine in the cellar, second shelf from the left, behind the old printer"));
    }

    proptest! {
        #[test]
        fn any_minted_token_parses_back(
            prefix in "[a-z][a-z0-9]{1,9}", subject in ".{0,40}", millis in 0i64..253_402_300_799_000,
        ) {
            let token = mint(&prefix, &subject, millis);
            let parsed: Token = token.expose().parse().unwrap();
            prop_assert_eq!(parsed.expose(), token.expose());
            prop_assert_eq!(parsed.id(), token.id());
            prop_assert_eq!(parsed.id().owner(), OwnerKey::of("https://issuer.example", &subject));
            prop_assert!(parsed.has_prefix(&prefix.parse().unwrap()));
            prop_assert!(!parsed.has_prefix(&"zz0zz0zz0z".parse().unwrap()) || prefix == "zz0zz0zz0z");
        }

        #[test]
        fn any_change_of_one_character_is_refused(at in 0usize..96, to in any::<char>()) {
            let token = mint("lk", "alice", 1_800_000_000_000);
            let changed: String =
                token.expose().chars().enumerate().map(|(i, c)| if i == at { to } else { c }).collect();
            prop_assume!(changed != token.expose());
            prop_assert!(changed.parse::<Token>().is_err());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = text.parse::<Token>();
            let _ = is_in(&text);
        }
    }
}
