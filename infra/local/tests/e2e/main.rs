//! The end-to-end tests: one binary, since each would link the whole stack again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod attacks;
mod authorizer;
mod bootstraps;
mod clients;
mod console;
mod credentials;
mod data;
mod events;
mod events_bus;
mod gateway;
mod harness;
mod issuer;
mod least_privilege;
mod life;
mod limits;
mod program;
mod readme;
mod registry;
mod reminders;
mod round_trips;
mod secrets;
mod security;
mod templates;
mod tokens;
