//! A registry that remembers what it was sent.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use local::server;
use local::wire::{BoxError, full};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::{mpsc, watch};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// Path and query to the letter.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// The registry. It answers `/challenge`, `/redirect` and `/stream` in ways of their own, and all else with 200.
pub struct Upstream {
    pub url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    /// Pieces of request bodies, as they arrive.
    pub pieces: mpsc::UnboundedReceiver<Bytes>,
    /// The body of the answer to `/stream`; dropped, it ends.
    pub stream: Option<mpsc::UnboundedSender<Bytes>>,
    _stop: watch::Sender<bool>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Recorded>>>::default();
        let (piece, pieces) = mpsc::unbounded_channel();
        let (stream, streamed) = mpsc::unbounded_channel();
        let streamed = Arc::new(Mutex::new(Some(streamed)));
        let (stop, stopped) = watch::channel(false);
        let record = Arc::clone(&requests);
        server::serve(listener, stopped, move |request: Request<Incoming>, _| {
            let (record, piece, streamed) = (Arc::clone(&record), piece.clone(), Arc::clone(&streamed));
            async move {
                let (head, mut body) = request.into_parts();
                let mut whole = vec![];
                while let Some(Ok(frame)) = body.frame().await {
                    let data = frame.into_data().unwrap_or_default();
                    whole.extend_from_slice(&data);
                    let _ = piece.send(data);
                }
                let path = head.uri.path().to_owned();
                record.lock().unwrap().push(Recorded {
                    method: head.method,
                    target: head.uri.path_and_query().unwrap().to_string(),
                    headers: head.headers,
                    body: whole.into(),
                });
                let response = Response::builder();
                match path.as_str() {
                    "/challenge" => response.status(401).header("www-authenticate", "Basic realm=\"inner\"").body(full("")),
                    "/redirect" => response.status(307).header("location", "http://elsewhere.example/x").body(full("")),
                    "/stream" => response.body(Pieces(streamed.lock().unwrap().take().unwrap()).boxed_unsync()),
                    _ => response
                        .header("set-cookie", "a=1")
                        .header("set-cookie", "b=2")
                        .header("connection", "x-mine")
                        .header("x-mine", "1")
                        .body(full("hello")),
                }
                .unwrap()
            }
        });
        Self { url, requests, pieces, stream: Some(stream), _stop: stop }
    }

    /// The one request that it was sent.
    pub fn only(&self) -> Recorded {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A body of pieces that are sent one by one.
pub struct Pieces(pub mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
