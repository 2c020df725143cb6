//! The answer in the gateway's words.

use crate::policy::Document;
use latchkey::context::Context;
use serde::Serialize;

/// What the gateway is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The token's whole grant (REST APIs, and HTTP APIs that do not ask for a simple answer).
    #[serde(rename_all = "camelCase")]
    Policy {
        /// The public id of the token.
        principal_id: String,
        /// What it may do, in the whole stage.
        policy_document: Document,
        /// What the registry and the gateway responses are told.
        context: Context,
    },
    /// Yes or no to this one request (HTTP APIs, payload 2.0).
    #[serde(rename_all = "camelCase")]
    Simple {
        /// Whether it may pass.
        is_authorized: bool,
        /// What the registry is told.
        context: Context,
    },
}
