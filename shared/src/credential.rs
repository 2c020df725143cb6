//! Finding the token in a request: every form that registry clients send.

use crate::token::{Prefix, Token};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Some clients leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The headers that hold a bare token, beside `Authorization`.
pub const KEY_HEADERS: [&str; 4] = ["x-api-key", "x-nuget-apikey", "x-jfrog-art-api", "private-token"];

/// Where credentials should stand in a request. No `Debug`: they are secrets, and wiped on drop. The event that they were
/// copied from is the runtime's.
#[derive(Default)]
pub struct Credentials {
    /// Values of `Authorization`.
    pub authorization: Vec<Zeroizing<String>>,
    /// Values of [`KEY_HEADERS`].
    pub keys: Vec<Zeroizing<String>>,
}

/// What a request offers as its credential.
#[derive(Debug)]
pub enum Presented {
    /// A well-formed token of this deployment, once or several times.
    Token(Token),
    /// Nothing, or nothing of ours.
    Nothing,
    /// Two different tokens of ours: it is not for us to choose.
    Several,
    /// A token in the query string, where logs and histories keep it.
    InQuery,
}

/// Looks into every place. The other headers may hold credentials that are not ours (NuGet keys are often dummies): what is
/// no token with our prefix does not count there. Where `Authorization` is sent, the token stands in it or nowhere: gateways
/// keep answers by it, and would give one that another header earned to whoever sends the same `Authorization`.
pub fn find(credentials: &Credentials, query: &[(String, String)], prefix: &Prefix) -> Presented {
    let ours = |text: &str| ours(text, prefix);
    if query.iter().any(|(name, value)| ours(name).is_some() || ours(value).is_some()) {
        return Presented::InQuery;
    }
    let authorization = credentials.authorization.iter().filter(|value| !value.trim().is_empty());
    let Some(authorization) = authorization.map(|value| in_authorization(value, ours)).collect::<Option<Vec<_>>>()
    else {
        return Presented::Nothing;
    };
    let keys = credentials.keys.iter().filter_map(|value| ours(value));
    let mut tokens = authorization.into_iter().chain(keys);
    let Some(first) = tokens.next() else { return Presented::Nothing };
    if tokens.any(|other| other.expose() != first.expose()) { Presented::Several } else { Presented::Token(first) }
}

/// What stands where nothing but a token should.
pub fn alone(text: &str, prefix: &Prefix) -> Presented {
    ours(text, prefix).map_or(Presented::Nothing, Presented::Token)
}

/// The token that a text is, if it can be one of this deployment.
pub fn ours(text: &str, prefix: &Prefix) -> Option<Token> {
    text.trim().parse::<Token>().ok().filter(|token| token.has_prefix(prefix))
}

/// `Basic` with the token as password, or as user name with an empty password (pip); `Bearer`; `Token`; or the bare
/// token (cargo, gem, hex). Schemes are case-insensitive (RFC 9110, section 11.1).
fn in_authorization(value: &str, ours: impl Fn(&str) -> Option<Token>) -> Option<Token> {
    let value = value.trim();
    let Some((scheme, rest)) = value.split_once(' ') else { return ours(value) };
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = Zeroizing::new(BASE64.decode(rest.trim()).ok()?);
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        ours(if password.is_empty() { user } else { password })
    } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        ours(rest)
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cloned_ref_to_slice_refs)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::OwnerKey;
    use proptest::prelude::*;

    fn mint(prefix: &str) -> Token {
        Token::mint(&prefix.parse().unwrap(), OwnerKey::of("i", "s"), Timestamp::from_secs(1_800_000_000)).unwrap()
    }

    fn found(authorization: &[String], keys: &[String], query: &[String]) -> Presented {
        let wiped = |values: &[String]| values.iter().cloned().map(Zeroizing::new).collect();
        let credentials = Credentials { authorization: wiped(authorization), keys: wiped(keys) };
        let query: Vec<_> = query.iter().map(|value| ("key".to_string(), value.clone())).collect();
        find(&credentials, &query, &Prefix::default())
    }

    fn in_header(value: String) -> Option<String> {
        match found(&[value], &[], &[]) {
            Presented::Token(token) => Some(token.expose().into()),
            _ => None,
        }
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(text))
    }

    #[test]
    fn every_form_that_clients_send_is_found() {
        let t = mint("lk").expose().to_owned();
        for value in [
            t.clone(),
            format!("  {t}\t"),
            format!("Bearer {t}"),
            format!("bearer   {t} "),
            format!("Token {t}"),
            basic(&format!("anyone:{t}")),
            basic(&format!("__token__:{t}")),
            basic(&format!("{t}:")),
            basic(&format!(":{t}")),
            basic(&format!("u:{t}")).replacen("Basic", "bASIC", 1),
            basic(&format!("u:{t}")).trim_end_matches('=').into(),
        ] {
            assert_eq!(in_header(value.clone()), Some(t.clone()), "{value}");
        }
    }

    #[test]
    fn what_is_no_token_of_ours_is_no_credential() {
        let t = mint("lk").expose().to_owned();
        for value in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            "Basic Og==".into(),
            "Basic !!!".into(),
            format!("Basic {t}"),
            basic("user:password"),
            basic(&t),
            basic(&format!("{t}:x")),
            format!("Digest {t}"),
            format!("Bearer {}", mint("zz").expose()),
            format!("{t}x"),
            format!("Bearer {t}, Bearer {t}"),
        ] {
            assert_eq!(in_header(value.clone()), None, "{value}");
        }
        let not_utf8 = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode([0xff, b':', 0xfe]));
        assert_eq!(in_header(not_utf8), None);
    }

    #[test]
    fn of_several_sources_the_one_with_our_prefix_counts() {
        let t = mint("lk").expose().to_owned();
        assert!(matches!(found(&[], &["dummy".into(), t.clone()], &[]), Presented::Token(_)));
        assert!(matches!(found(&[" ".into()], &[t.clone()], &[]), Presented::Token(_)));
        assert!(matches!(found(&[format!("Bearer {t}")], &["dummy".into()], &[]), Presented::Token(_)));
        assert!(matches!(found(&[format!("Bearer {t}")], &[t], &[]), Presented::Token(_)));
    }

    #[test]
    fn where_authorization_is_sent_the_token_stands_in_it_or_nowhere() {
        let t = mint("lk").expose().to_owned();
        assert!(matches!(found(&[basic("u:p")], &[t.clone()], &[]), Presented::Nothing));
        assert!(matches!(found(&[format!("Bearer {t}"), basic("u:p")], &[], &[]), Presented::Nothing));
    }

    #[test]
    fn two_different_tokens_are_too_many() {
        let (one, two) = (mint("lk").expose().to_owned(), mint("lk").expose().to_owned());
        assert!(matches!(found(&[one.clone()], &[two.clone()], &[]), Presented::Several));
        assert!(matches!(found(&[one, two], &[], &[]), Presented::Several));
    }

    #[test]
    fn a_token_in_the_query_string_is_seen_whatever_else_is_sent() {
        let t = mint("lk").expose().to_owned();
        assert!(matches!(found(&[format!("Bearer {t}")], &[], &["1".into(), t.clone()]), Presented::InQuery));
        assert!(matches!(found(&[], &[], &["1".into()]), Presented::Nothing));
        let alone = [(t, String::new())];
        assert!(matches!(find(&Credentials::default(), &alone, &Prefix::default()), Presented::InQuery));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), scheme in "[Bb]asic |Bearer |") {
            let text = String::from_utf8_lossy(&bytes);
            in_header(format!("{scheme}{text}"));
            in_header(format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(&bytes)));
        }
    }
}
