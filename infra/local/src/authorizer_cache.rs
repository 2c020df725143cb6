//! The REST gateway's cache of authorizer answers: by identity source, for a time.

use http::request::Parts;
use latchkey::clock::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Where a gateway finds who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// `method.request.header.NAME`
    Header(String),
    /// `method.request.querystring.NAME`
    Query(String),
}

/// An identity source that is not supported here.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownIdentitySource(String);

impl fmt::Display for UnknownIdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity source {:?} is none of method.request.header.* and method.request.querystring.*", self.0)
    }
}

impl FromStr for IdentitySource {
    type Err = UnknownIdentitySource;

    fn from_str(text: &str) -> Result<Self, UnknownIdentitySource> {
        let named = |prefix| text.strip_prefix(prefix).filter(|name| !str::is_empty(name)).map(str::to_string);
        let header = named("method.request.header.").map(|name| Self::Header(name.to_ascii_lowercase()));
        header
            .or_else(|| named("method.request.querystring.").map(Self::Query))
            .ok_or_else(|| UnknownIdentitySource(text.into()))
    }
}

impl IdentitySource {
    /// Its value in this request; `None` where it is absent or empty.
    fn value(&self, request: &Parts) -> Option<String> {
        let values: Vec<String> = match self {
            Self::Header(name) => request.headers.get_all(name).iter().map(crate::wire::text).collect(),
            Self::Query(name) => crate::wire::query_pairs(request.uri.query().unwrap_or_default())
                .filter_map(|(key, value)| (key == *name).then_some(value))
                .collect(),
        };
        Some(values.join(",")).filter(|value| !value.is_empty())
    }
}

/// Authorizer answers, each kept for a fixed time under the values of all identity sources.
///
/// It has no `Debug`: its keys are credentials.
pub struct AuthorizerCache<T> {
    sources: Vec<IdentitySource>,
    ttl_millis: u64,
    answers: Mutex<HashMap<Vec<String>, (Timestamp, T)>>,
}

/// How a request stands to the cache.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Caching is off: ask the authorizer.
    Off,
    /// An identity source is missing: 401, without asking.
    Unidentified,
    /// Ask the authorizer, and keep its answer under this key.
    Missing(Key),
    /// An answer that still holds.
    Found(T),
}

/// The values of a request's identity sources. Its `Debug` shows none of them.
#[derive(PartialEq, Eq)]
pub struct Key(Vec<String>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl<T: Clone> AuthorizerCache<T> {
    /// A cache over these sources; a time of 0 turns it off.
    pub fn new(sources: Vec<IdentitySource>, ttl_seconds: u32) -> Self {
        Self { sources, ttl_millis: u64::from(ttl_seconds) * 1000, answers: Mutex::default() }
    }

    /// Looks for the answer to a request.
    pub fn look_up(&self, request: &Parts, now: Timestamp) -> Lookup<T> {
        if self.ttl_millis == 0 {
            return Lookup::Off;
        }
        let Some(key) = self.sources.iter().map(|source| source.value(request)).collect::<Option<Vec<_>>>() else {
            return Lookup::Unidentified;
        };
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.get(&key).filter(|(since, _)| self.holds(*since, now)) {
            Some((_, answer)) => Lookup::Found(answer.clone()),
            None => Lookup::Missing(Key(key)),
        }
    }

    /// Keeps an answer from now on, and drops those whose time is over.
    pub fn keep(&self, key: Key, answer: T, now: Timestamp) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (since, _)| self.holds(*since, now));
        answers.insert(key.0, (now, answer));
    }

    /// A clock that was set back makes nothing hold.
    fn holds(&self, since: Timestamp, now: Timestamp) -> bool {
        now.as_millis().checked_sub(since.as_millis()).is_some_and(|age| age < self.ttl_millis)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get("/x?key=k%20v");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn cache(sources: &[&str], ttl: u32) -> AuthorizerCache<&'static str> {
        AuthorizerCache::new(sources.iter().map(|source| source.parse().unwrap()).collect(), ttl)
    }

    fn keep(cache: &AuthorizerCache<&'static str>, request: &Parts, answer: &'static str, now: Timestamp) {
        let Lookup::Missing(key) = cache.look_up(request, now) else { panic!("already there") };
        cache.keep(key, answer, now);
    }

    #[test]
    fn an_answer_holds_for_its_time_and_no_longer() {
        let cache = cache(&["method.request.header.Authorization"], 60);
        let alice = request(&[("authorization", "a")]);
        let at = |secs: i64| Timestamp::from_secs(1_800_000_000 + secs);
        keep(&cache, &alice, "yes", at(0));
        assert_eq!(cache.look_up(&alice, at(59)), Lookup::Found("yes"));
        assert!(matches!(cache.look_up(&alice, at(60)), Lookup::Missing(_)));
        assert!(matches!(cache.look_up(&alice, at(-1)), Lookup::Missing(_)), "the clock was set back");
    }

    #[test]
    fn answers_are_apart_by_every_identity_source() {
        let cache = cache(&["method.request.header.Authorization", "method.request.header.X-Site"], 60);
        let now = Timestamp::from_secs(1_800_000_000);
        keep(&cache, &request(&[("authorization", "a"), ("x-site", "1")]), "one", now);
        for other in [
            request(&[("authorization", "a"), ("x-site", "2")]),
            request(&[("authorization", "A"), ("x-site", "1")]),
            request(&[("authorization", "a,1"), ("x-site", "1")]),
        ] {
            assert!(matches!(cache.look_up(&other, now), Lookup::Missing(_)));
        }
    }

    #[test]
    fn a_missing_identity_source_is_told_apart_when_caching_is_on() {
        let now = Timestamp::from_secs(1_800_000_000);
        for request in [request(&[]), request(&[("authorization", "")])] {
            assert_eq!(cache(&["method.request.header.Authorization"], 1).look_up(&request, now), Lookup::Unidentified);
            assert_eq!(cache(&["method.request.header.Authorization"], 0).look_up(&request, now), Lookup::Off);
        }
    }

    #[test]
    fn a_query_parameter_can_be_an_identity_source() {
        let cache = cache(&["method.request.querystring.key"], 1);
        assert!(matches!(
            cache.look_up(&request(&[]), Timestamp::from_secs(1)),
            Lookup::Missing(Key(values)) if values == ["k v"]
        ));
    }

    #[test]
    fn an_identity_source_of_another_kind_is_refused() {
        assert!("context.httpMethod".parse::<IdentitySource>().is_err());
        assert!("method.request.header.".parse::<IdentitySource>().is_err());
    }
}
