//! Latchkey's core: what a token, a scope and a record are, where records are kept, and how the functions speak to
//! their callers.
//!
//! Data flows one way: [`config`] is read at start, a [`caller`] or a [`token`] comes in with an event, [`record`]s go
//! through the [`store`], and errors become HTTP in [`http`] alone. Time is always an argument ([`clock::Timestamp`]).

mod base62;
pub mod cache;
pub mod caller;
pub mod client;
pub mod clock;
pub mod config;
pub mod credential;
pub mod http;
pub mod id;
pub mod judge;
pub mod lifetime;
pub mod log;
pub mod path;
pub mod problem;
pub mod record;
pub mod scope;
pub mod store;
pub mod token;
pub mod usage;
