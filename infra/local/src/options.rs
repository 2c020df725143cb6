//! How a stack is to be started.

use http::Uri;
use latchkey::clock::{self, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What time it is, for every part of the stack but DynamoDB's own clean-up.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where to listen on 127.0.0.1; 0 is any free port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The management API.
    pub api: u16,
    /// The registry's gateway.
    pub registry: u16,
    /// The issuer.
    pub identity: u16,
    /// DynamoDB.
    pub dynamodb: u16,
}

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In this directory, which is made if it is not there.
    Dir(PathBuf),
    /// Nowhere: it is gone with the stack.
    Memory,
}

/// The registry behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    url: String,
    https: bool,
}

/// Why an upstream cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUpstream;

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an upstream is an http or https address without user, query and fragment, such as http://127.0.0.1:4873",
        )
    }
}

impl std::error::Error for InvalidUpstream {}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = text.parse().map_err(|_| InvalidUpstream)?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(InvalidUpstream),
        };
        let named = uri.authority().is_some_and(|authority| {
            !authority.host().is_empty() && !authority.as_str().contains('@') && !authority.as_str().ends_with(':')
        });
        // Braces would be taken for the integration's path parameter.
        if !named || uri.query().is_some() || text.contains(['#', '{', '}']) {
            return Err(InvalidUpstream);
        }
        Ok(Self { url: text.trim_end_matches('/').into(), https })
    }
}

impl Upstream {
    /// Its address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }
}

/// How a stack is to be started.
#[derive(Clone)]
pub struct Options {
    /// Where to listen.
    pub ports: Ports,
    /// The registry; without one, requests that pass are echoed.
    pub upstream: Option<Upstream>,
    /// Where data is kept.
    pub data: Data,
    /// Settings of the functions, over those of the template. Names that no function has are left alone.
    pub environment: BTreeMap<String, String>,
    /// Parameters of the templates, over what the stack gives them.
    pub parameters: BTreeMap<String, String>,
    /// What time it is.
    pub clock: Clock,
}

impl Options {
    /// Everything in memory, on free ports, by the system's clock.
    pub fn in_memory() -> Self {
        Self {
            ports: Ports::default(),
            upstream: None,
            data: Data::Memory,
            environment: BTreeMap::new(),
            parameters: BTreeMap::new(),
            clock: Arc::new(clock::now),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_plain_http_address() {
        for good in ["http://127.0.0.1:4873", "https://registry.example/base/", "http://[::1]:80"] {
            assert!(good.parse::<Upstream>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "registry",
            "127.0.0.1:4873",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a?b",
            "http://a#b",
            "http://a/{x}",
        ] {
            assert_eq!(bad.parse::<Upstream>(), Err(InvalidUpstream), "{bad}");
        }
    }

    #[test]
    fn an_upstream_loses_its_last_slash() {
        assert_eq!("http://a/base/".parse::<Upstream>().unwrap().url(), "http://a/base");
    }
}
