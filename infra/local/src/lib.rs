//! The whole of Latchkey on one machine: both gateways, the functions, an embedded DynamoDB and an issuer to sign in
//! with, wired as the templates in `infra/` say.
//!
//! [`deployment`] reads the templates, [`stack`] starts what they describe; a request comes in through
//! [`http_api`] or [`rest_api`] and reaches a [`function`] as the event that Lambda would be given.

pub mod authorizer_cache;
pub mod banner;
pub mod client;
pub mod deployment;
pub mod dynamodb;
pub mod function;
pub mod gateway_response;
pub mod http_api;
pub mod issuer;
pub mod jwt;
pub mod options;
pub mod policy;
pub mod rest_api;
pub mod server;
pub mod stack;
pub mod template;
pub mod upload;
pub mod wire;

/// The account that ARNs name.
pub(crate) const ACCOUNT_ID: &str = "123456789012";

/// The region that ARNs name, and that requests to DynamoDB are signed for.
pub(crate) const REGION: &str = "us-east-1";
