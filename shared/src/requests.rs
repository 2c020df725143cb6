//! The events of an HTTP API, as the requests that functions answer.
//!
//! `lambda_http` makes a URI of each event and panics where that cannot be done, and a panic ends the instance. What API
//! Gateway hands on of a request that no client should have sent, no document says. So an event is [`mended`] first.

use crate::http::HttpResponse;
use lambda_http::http::header::HOST;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Request, Service, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use std::convert::Infallible;

/// What cannot stand in the query of a URI: `http::Uri` takes none but `#`, where it ends.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// What Lambda is to run: an answer to each request.
pub fn service<'a, F, A>(
    answer: F,
) -> impl Service<
    LambdaEvent<LambdaRequest>,
    Response: Serialize + Send + 'static,
    Error = Infallible,
    Future: Future + Send + 'a,
>
where
    F: Fn(Request) -> A,
    A: Future<Output = HttpResponse> + Send + 'a,
{
    let mut adapter = Adapter::from(service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    }));
    service_fn(move |event: LambdaEvent<LambdaRequest>| {
        adapter.call(LambdaEvent { payload: mended(event.payload), ..event })
    })
}

/// The same, as a URI can be made of it. Where it was sent to, nobody here asks: that is gone, and the URI is a path and a
/// query. API Gateway takes 10,240 bytes of line and headers, so that it is never too long for one, with 65,534.
pub fn mended(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event {
        request.headers.remove(HOST);
        request.request_context.domain_name = None;
        if let Some(path) = request.raw_path.as_mut().filter(|path| !path.starts_with('/')) {
            path.insert(0, '/');
        }
        if let Some(query) = &mut request.raw_query_string {
            *query = utf8_percent_encode(query, NOT_IN_A_QUERY).to_string();
        }
    }
    event
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use lambda_http::RequestExt;
    use proptest::prelude::*;
    use serde_json::json;

    fn request(path: &str, query: &str, host: &str, scheme: &str) -> Request {
        let event = json!({
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": host, "x-forwarded-proto": scheme},
            "requestContext": {
                "domainName": host,
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
                "stage": "$default",
                "timeEpoch": 0,
            },
            "isBase64Encoded": false,
        });
        mended(serde_json::from_value(event).expect("an event")).into()
    }

    #[test]
    fn a_query_that_no_client_should_send_means_the_same() {
        let request = request("/verify/a b", "a=\"<é>\"&b=1 2#c=3&d=%20+", "h", "https");
        let parameters = request.query_string_parameters();
        assert_eq!((parameters.first("a"), parameters.first("b")), (Some("\"<é>\""), Some("1 2#c=3")));
        assert_eq!(parameters.first("d"), Some("  "));
        assert_eq!(request.uri().query(), Some("a=%22%3C%C3%A9%3E%22&b=1%202%23c=3&d=%20+"));
        assert_eq!(request.raw_http_path(), "/verify/a b");
    }

    proptest! {
        #[test]
        fn no_event_makes_it_panic(path in any::<String>(), query in any::<String>(), host in "[ -~]*", scheme in "[ -~]*") {
            let request = request(&path, &query, &host, &scheme);
            prop_assert!(request.uri().host().is_none());
        }
    }
}
