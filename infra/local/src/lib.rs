//! The whole of Latchkey on one machine: an HTTP API and a REST API as API Gateway runs them, the functions behind
//! them, an embedded DynamoDB, and an OpenID Connect issuer for signing in.
//!
//! [`deployment`] reads the templates in `infra/` through [`template`]; [`stack`] puts together what they say. A
//! request of the management API takes the path [`http_api`] → [`jwt`] → [`function`], one to the registry
//! [`rest_api`] → [`authorizer_cache`] → [`function`] → [`policy`] → the upstream, or a [`gateway_response`]. What is
//! written to the table goes on by [`events`]: [`stream`] → [`pipe`] → [`event_bus`] → [`function`].

pub mod authorizer_cache;
pub mod banner;
pub mod client;
pub mod cors;
pub mod deployment;
pub mod dynamodb;
pub mod event_bus;
pub mod event_pattern;
pub mod events;
pub mod function;
pub mod gateway_response;
pub mod grants;
pub mod http_api;
pub mod input_template;
pub mod issuer;
pub mod jwt;
pub mod options;
pub mod pipe;
pub mod policy;
pub mod rest_api;
pub mod schedule;
pub mod server;
pub mod stack;
pub mod stream;
pub mod template;
pub mod upload;
pub mod wire;

/// The account that everything seems to be in; AWS's own example.
pub const ACCOUNT_ID: &str = "123456789012";

/// The region that everything seems to be in.
pub const REGION: &str = "us-east-1";
