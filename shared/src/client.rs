//! The DynamoDB client, as a function on Lambda has it.
//!
//! Put together by hand, since what the SDK would look for is known here: `aws-config` asks for profiles, single
//! sign-on, other accounts' roles and instance metadata, none of which a function has. Figures in the README.

use crate::config::{ConfigError, Environment, Reader};
use crate::intact::{BrokenIsTransient, Intact};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use std::time::Duration;

/// Those who vouch for AWS's endpoints: the five that <https://www.amazontrust.com/repository/> recommends to whoever
/// has a list of their own. They end in 2037 and later.
pub const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// A client with the credentials, region and endpoint of this environment, where Lambda puts them and leaves them for
/// as long as an instance lives (Lambda developer guide, "Defined runtime environment variables").
pub fn new(environment: &Environment) -> Result<Client, ConfigError> {
    let mut read = Reader::new(environment);
    let (key, secret, session) = read.aws_credentials();
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(read.aws_region()))
        .credentials_provider(Credentials::new(key, secret, session, None, "environment"))
        .use_fips(read.aws_use_fips_endpoint())
        .use_dual_stack(read.aws_use_dualstack_endpoint())
        // The timeouts bound a body that stalls as well; watching its every second costs a timer in each request.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts())
        .retry_config(retries())
        .interceptor(Intact)
        .retry_classifier(BrokenIsTransient);
    config.set_endpoint_url(read.dynamodb_endpoint());

    let roots = read.ca_bundle().unwrap_or_else(|| AMAZON_ROOTS.into());
    let trusted = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots)).build();
    // ring, since AWS-LC gathers entropy of its own at the first handshake: 24 ms of CPU, 300 ms and more at the share
    // of 128 MB. The secrets of tokens come from the operating system either way.
    let mut http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    if let Ok(trusted) = trusted {
        http = http.tls_context(trusted);
    }
    read.finish(Client::from_conf(config.http_client(http.build_https()).build()))
}

/// An attempt that hangs, while it connects, waits or reads, leaves time for a second one; and two requests in a row, as
/// most functions make them, end within the 5 s that a function has.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(500))
        .operation_attempt_timeout(Duration::from_millis(1000))
        .operation_timeout(Duration::from_millis(2200))
        .build()
}

/// Three attempts, the first repeated after some 25 ms: a client waits for the answer.
fn retries() -> RetryConfig {
    RetryConfig::standard().with_initial_backoff(Duration::from_millis(25))
}
