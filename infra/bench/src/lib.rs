//! How fast, small and cheap the authorizer is, beside others of its kind.
//!
//! Every [`contender`] is a process of its own under a Lambda Runtime API ([`runtime_api`]), and asks the same embedded
//! [`dynamodb`] over TLS. Each must first give the answer that Latchkey gives; then they take turns ([`measure`]), so
//! that the machine's moods fall on all of them.

pub mod contender;
pub mod dynamodb;
pub mod event;
pub mod goals;
pub mod measure;
pub mod plot;
pub mod prepare;
pub mod quota;
pub mod runtime_api;
pub mod statistics;
pub mod table;

/// Whatever goes wrong ends a benchmark, and says what it was.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
