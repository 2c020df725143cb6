//! The gateways' own HTTP client: to a registry's upstream and to the issuer.

use crate::wire::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::fmt;

/// A client for one kind of address. It follows no redirect and changes no path.
#[derive(Clone)]
pub enum Client {
    /// `http:` alone, which works on a machine without any certificates.
    Plain(legacy::Client<HttpConnector, Body>),
    /// `https:` with the machine's certificates, and `http:`.
    Tls(legacy::Client<HttpsConnector<HttpConnector>, Body>),
}

/// The machine has no certificates to trust.
#[derive(Debug)]
pub struct ClientError(std::io::Error);

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificates for https on this machine: {}", self.0)
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// A client for `https` addresses, or for `http` ones.
    pub fn for_scheme(https: bool) -> Result<Self, ClientError> {
        let builder = legacy::Client::builder(TokioExecutor::new());
        if !https {
            return Ok(Self::Plain(builder.build(HttpConnector::new())));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(ClientError)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self::Tls(builder.build(connector)))
    }

    /// Sends a request; the answer's body streams.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, legacy::Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_for_https_is_made_or_says_what_is_missing() {
        // Whether this machine has certificates or not.
        if let Err(error) = Client::for_scheme(true) {
            assert!(error.to_string().contains("certificates"));
        }
        assert!(Client::for_scheme(false).is_ok());
    }
}
