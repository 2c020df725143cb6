//! A Lambda Runtime API for one process, which tells the moments that matter.
//!
//! Source: Lambda developer guide, "Using the Lambda runtime API for custom runtimes".

use crate::Error;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// Longer than anything may take, so that what hangs is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API, and what it has seen.
pub struct RuntimeApi {
    /// `AWS_LAMBDA_RUNTIME_API`
    pub address: SocketAddr,
    events: mpsc::UnboundedSender<Bytes>,
    seen: mpsc::UnboundedReceiver<Seen>,
    server: tokio::task::AbortHandle,
}

/// What the process did, and when.
enum Seen {
    /// It asks for the next event.
    Polled(Instant),
    /// It has answered.
    Answered(Instant, Bytes),
    /// It has failed.
    Failed(String),
}

struct Shared {
    events: Mutex<mpsc::UnboundedReceiver<Bytes>>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl RuntimeApi {
    /// Listens on a port of its own.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, received) = mpsc::unbounded_channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { events: Mutex::new(received), seen: tell });
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Else an answer in two pieces waits for the first one's acknowledgement.
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, events, seen, server: server.abort_handle() })
    }

    /// When the process asked for an event: the first time, this ends its initialisation.
    pub async fn polled(&mut self) -> Result<Instant, Error> {
        match self.next().await? {
            Seen::Polled(at) => Ok(at),
            Seen::Answered(..) => Err("it answered twice".into()),
            Seen::Failed(message) => Err(message.into()),
        }
    }

    /// Gives an event to the process that has asked for it; its answer, and how long it took.
    pub async fn invoke(&mut self, event: &Bytes) -> Result<(Duration, Bytes), Error> {
        let begin = Instant::now();
        self.events.send(event.clone())?;
        match self.next().await? {
            Seen::Answered(at, answer) => Ok((at - begin, answer)),
            Seen::Polled(_) => Err("it asked for the next event without an answer to the last".into()),
            Seen::Failed(message) => Err(message.into()),
        }
    }

    async fn next(&mut self) -> Result<Seen, Error> {
        Ok(timeout(PATIENCE, self.seen.recv()).await.map_err(|_| "it does nothing")?.ok_or("its server ended")?)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Nobody hears it once the contender has been measured.
    let tell = |seen| drop(shared.seen.send(seen));
    let mut response = Response::new(Full::default());
    if request.method() == Method::GET {
        tell(Seen::Polled(Instant::now()));
        let Some(event) = shared.events.lock().await.recv().await else {
            *response.status_mut() = StatusCode::GONE;
            return Ok(response);
        };
        let headers = response.headers_mut();
        for (name, value) in [
            ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
            ("lambda-runtime-deadline-ms", "4102444800000"),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:authorize"),
            ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"),
            ("content-type", "application/json"),
        ] {
            headers.insert(name, hyper::header::HeaderValue::from_static(value));
        }
        *response.body_mut() = Full::new(event);
        return Ok(response);
    }
    let succeeded = request.uri().path().ends_with("/response");
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    tell(if succeeded {
        Seen::Answered(Instant::now(), body)
    } else {
        Seen::Failed(String::from_utf8_lossy(&body).into_owned())
    });
    *response.status_mut() = StatusCode::ACCEPTED;
    *response.body_mut() = Full::new(Bytes::from_static(b"{\"status\":\"OK\"}\n"));
    Ok(response)
}
