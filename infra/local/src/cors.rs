//! Pages of other origins, as an HTTP API lets them in.

use crate::wire::{self, Body};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use http::{Method, Response, StatusCode};
use serde::Deserialize;

/// `CorsConfiguration` of an HTTP API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Cors {
    allow_origins: Vec<String>,
    allow_methods: Vec<String>,
    allow_headers: Vec<String>,
    max_age: u32,
}

impl Cors {
    /// The gateway's own answer to a preflight request: for an origin that is not allowed it says nothing of it.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let asks = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        asks.then(|| {
            let mut response = Response::new(wire::full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            self.allow(headers, response.headers_mut());
            if response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
                insert(&mut response, ACCESS_CONTROL_ALLOW_METHODS, &self.allow_methods.join(","));
                insert(&mut response, ACCESS_CONTROL_ALLOW_HEADERS, &self.allow_headers.join(","));
                insert(&mut response, ACCESS_CONTROL_MAX_AGE, &self.max_age.to_string());
            }
            response
        })
    }

    /// Lets a page of an allowed origin read a response.
    pub fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let Some(origin) = request.get(ORIGIN) else { return };
        if self.allow_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

fn insert(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
