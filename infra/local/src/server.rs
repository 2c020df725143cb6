//! One HTTP/1.1 server: accepts, serves, stops.

use crate::wire::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How long requests that are under way may take to end once the stack stops.
pub const GRACE: Duration = Duration::from_secs(2);

/// What hyper reads of a request head before it answers 431 by itself. Well above the 10,240 bytes that the gateways
/// count for themselves, so that what is only a little too long gets the gateway's own answer.
const MAX_HEAD: usize = 64 * 1024;

/// Header lines before hyper answers 431 by itself; 10,240 bytes hold hardly more.
const MAX_HEADER_LINES: usize = 1_000;

/// Tells every server of a stack to stop.
pub type Stop = watch::Receiver<bool>;

/// Serves every connection of a listener until `stop`, then gives those that are busy [`GRACE`].
pub fn serve<H, F>(listener: TcpListener, mut stop: Stop, handle: H) -> JoinHandle<()>
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connection(stream, peer, stop.clone(), handle.clone()));
                    }
                    // Out of file descriptors, most likely: some are given back in a moment.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = connections.join_next() => {}
                () = stopped(&mut stop) => break,
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left after that is dropped with the set.
        let _ = tokio::time::timeout(GRACE, all).await;
    })
}

/// Returns once the stack stops.
pub async fn stopped(stop: &mut Stop) {
    // An error means that the stack is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection<H, F>(stream: TcpStream, peer: SocketAddr, mut stop: Stop, handle: H)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Response<Body>>,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = handle(request, peer);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADER_LINES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // How a connection ends is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
