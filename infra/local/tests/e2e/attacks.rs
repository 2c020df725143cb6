//! Attacks tried and refused, one test each, by what they go for. What clients may send and how much of it is in
//! `credentials` and `limits`; where a token must never be seen, in `secrets`; who may do what, in `tokens` and `life`.

mod bodies;
mod enumeration;
mod framing;
mod headers;
mod pages;
mod paths;
mod sessions;
mod widening;
