//! When a token was last used, from where and with what.

use crate::clock::Timestamp;
use crate::token;
use serde::Serialize;
use std::net::IpAddr;

/// The most characters of a client's name that are kept.
const MOST: usize = 64;

/// The last use that is known of; at most [`NOTED_EVERY`] behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// The address that the gateway saw.
    pub address: Option<IpAddr>,
    /// What the client calls itself, such as `cargo/1.95.0`.
    pub client: Option<String>,
}

/// At most one write a token in so many seconds: 10 minutes.
pub const NOTED_EVERY: i64 = 600;

/// The first product of a `User-Agent` (RFC 9110, section 10.1.5), such as `pip/26.3`; nothing that could be a token.
pub fn client(user_agent: &str) -> Option<String> {
    let product = user_agent.split([' ', '\t', '(', ',', ';']).next()?;
    let plain = product.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._~/@:".contains(&b));
    let fits = (1..=MOST).contains(&product.len()) && plain && !token::is_in(product);
    fits.then(|| product.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_the_first_product_of_its_user_agent() {
        for (user_agent, name) in [
            ("cargo/1.95.0 (f2d3ce0bd 2026-03-21)", Some("cargo/1.95.0")),
            ("pip/26.3 {\"ci\":null}", Some("pip/26.3")),
            ("npm/11.19.1 node/v20.20.2 linux x64", Some("npm/11.19.1")),
            ("curl", Some("curl")),
            ("", None),
            (" x", None),
            ("<script>", None),
            ("é/1", None),
        ] {
            assert_eq!(client(user_agent).as_deref(), name, "{user_agent}");
        }
        assert_eq!(client(&"a".repeat(65)), None);
        assert_eq!(client(&format!("lk_{}_{}", "0".repeat(43), "a".repeat(20))), None, "too long, and like a token");
    }
}
