//! The end-to-end tests: one binary, since each would link the whole stack again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod attacks;
mod authorizer;
mod bootstraps;
mod clients;
mod console;
mod crashes;
mod credentials;
mod data;
mod events;
mod events_bus;
mod faults;
mod faulty;
mod gateway;
mod harness;
mod introspect;
mod issuer;
mod leaks;
mod least_privilege;
mod life;
mod limits;
mod model;
mod openapi;
mod program;
mod proxies;
mod races;
mod readme;
mod registry;
mod reminders;
mod round_trips;
mod secrets;
mod security;
mod sequences;
mod supply_chain;
mod templates;
mod time;
mod tokens;
mod verify;
