//! What a refused person reads: which token, why, and where to mend it. One line of ASCII without quotes or
//! backslashes, since the gateway puts it into JSON and into a header as it stands.

use crate::clock::Timestamp;
use crate::record::Record;
use crate::scope::{Action, Scopes};
use crate::token;
use std::net::IpAddr;

/// The most characters of a path or of a list of scopes that are repeated.
const MOST: usize = 200;

/// The token's time is over.
pub fn expired(record: &Record, at: Timestamp, console: Option<&str>) -> String {
    format!("Token {} expired on {at}. {}", plain(&record.name), another(console))
}

/// The token was revoked.
pub fn revoked(record: &Record, at: Timestamp, console: Option<&str>) -> String {
    format!("Token {} was revoked on {at}. {}", plain(&record.name), another(console))
}

/// The token was rotated, and the secret is an earlier one.
pub fn rotated(record: &Record, at: Timestamp, console: Option<&str>) -> String {
    let where_else = console.map(|url| format!(", or create one at {url}")).unwrap_or_default();
    format!(
        "Token {} was rotated on {at}, and this is an earlier secret of it. Use the new one{where_else}.",
        plain(&record.name)
    )
}

/// The token is bound to other addresses.
pub fn foreign_address(record: &Record, from: Option<IpAddr>, console: Option<&str>) -> String {
    let from = from.map_or_else(|| "an address that cannot be told".into(), |address| address.to_string());
    format!("Token {} may not be used from {from}. {}", plain(&record.name), another(console))
}

/// The token grants too little for this request.
pub fn too_narrow(record: &Record, action: Action, path: &str, console: Option<&str>) -> String {
    let (name, grants) = (plain(&record.name), grants(&record.scopes));
    // Of the root alone there is no scope.
    let needed = if path == "/" { "*".into() } else { repeated(path.trim_start_matches('/')) };
    format!("Token {name} grants {grants}. This request needs {}:{needed}. {}", action.as_str(), another(console))
}

/// No token would do for this request.
pub fn not_plain(record: &Record, path: &str) -> String {
    let (name, path) = (plain(&record.name), repeated(path));
    format!("Token {name} is fine, but the path {path} is not: it has empty, dot or doubly encoded segments.")
}

/// No token would do for this method.
pub fn unknown_method(record: &Record, method: &str) -> String {
    format!("Token {} is fine, but the method {} is not known here.", plain(&record.name), repeated(method))
}

/// The request would open a session.
pub fn opens_session(record: &Record, console: Option<&str>) -> String {
    let name = plain(&record.name);
    format!("Token {name} is to be used as it is; nothing signs in here. {}", another(console))
}

/// For a later request that the gateway judges by the cached grant.
pub fn whole_grant(record: &Record, console: Option<&str>) -> String {
    let bound = if record.source_addresses.is_anywhere() { "" } else { ", from its addresses alone" };
    let (name, grants) = (plain(&record.name), grants(&record.scopes));
    format!("Token {name} grants {grants}{bound}. This request needs more. {}", another(console))
}

/// No token, or none that is known.
pub fn no_token(console: Option<&str>) -> String {
    let place = console.map(|url| format!(" Create one at {url}")).unwrap_or_default();
    format!("A token is needed, and none that is known was sent.{place}")
}

/// A token in the query string.
pub fn in_query(console: Option<&str>) -> String {
    let place = console.map(|url| format!(" at {url}")).unwrap_or_default();
    format!(
        "A token in the query string is refused, since addresses are logged. Send it in the Authorization header; \
         revoke this one{place}, since it may have been seen."
    )
}

fn another(console: Option<&str>) -> String {
    console.map_or_else(|| "Create another where you created it.".into(), |url| format!("Create another at {url}"))
}

fn grants(scopes: &Scopes) -> String {
    shorten(&scopes.to_string())
}

/// A piece of the request, shortened; nothing that could be a token, which somebody may have put into a path.
fn repeated(text: &str) -> String {
    if token::is_in(text) { "(something like a token)".into() } else { shorten(&plain(text)) }
}

/// ASCII without quotes, backslashes, `<` or `>`; a `?` for everything else.
fn plain(text: &str) -> String {
    let fits = |c: char| c == ' ' || (c.is_ascii_graphic() && !"\"'\\<>`".contains(c));
    text.chars().map(|c| if fits(c) { c } else { '?' }).collect()
}

/// `text` is ASCII.
fn shorten(text: &str) -> String {
    if text.len() <= MOST { text.into() } else { format!("{}...", text.get(..MOST).unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_characters_becomes_one_plain_line() {
        assert_eq!(plain("ci \"x\\\u{202e}é🦀<b>"), "ci ?x?????b?");
        assert_eq!(plain("ci (main) @acme/x"), "ci (main) @acme/x");
    }

    #[test]
    fn a_token_in_a_path_is_not_repeated() {
        let token = format!("lk_{}_{}", "0".repeat(43), "a".repeat(49));
        assert_eq!(repeated(&format!("npm/{token}/x")), "(something like a token)");
        assert_eq!(repeated("npm/@acme/x"), "npm/@acme/x");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(shorten(&"a".repeat(201)).len(), 203);
    }
}
