//! Latchkey's core: what a token, a scope and a record are, where records are kept, and how the functions speak to
//! their callers.
//!
//! Data flows one way: [`config`] is read at start, a [`caller`] or a [`token`] comes in with an event, [`record`]s go
//! through the [`store`], every use of a token through one [`decision`], and errors become HTTP in [`http`] alone. Time is always an argument ([`clock::Timestamp`]).

pub mod after;
mod base62;
pub mod cache;
pub mod caller;
pub mod client;
pub mod clock;
pub mod config;
pub mod context;
pub mod credential;
pub mod decision;
pub mod fields;
pub mod http;
pub mod id;
mod intact;
pub mod judge;
pub mod last_use;
pub mod lifetime;
pub mod log;
mod message;
mod mount;
pub mod owner;
pub mod path;
pub mod problem;
pub mod record;
pub mod requests;
pub mod scope;
pub mod shown;
pub mod source;
pub mod store;
pub mod token;
pub mod usage;
mod uses;
