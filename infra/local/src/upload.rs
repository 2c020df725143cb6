//! A request's body: counted on its way, and never left half read.

use crate::wire::{BoxError, MAX_BODY};
use bytes::Bytes;
use http::header::{EXPECT, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// What a client may go on sending after it was answered: enough for the largest body that is allowed, and for one
/// that is somewhat larger.
const PATIENCE: usize = 4 * MAX_BODY;

/// How long a whole body may take: as long as API Gateway waits for an integration.
const SLOWEST: Duration = Duration::from_secs(30);

/// A body that fails when it turns out to be longer than allowed, however it is sent.
///
/// What is unread when it is dropped is taken in and thrown away: a client that is still sending when its connection
/// closes may never see the answer. A client that waits for `100 Continue` is not sending, and is not told to.
pub struct Upload {
    body: Option<Incoming>,
    left: usize,
    sending: bool,
    too_large: Arc<AtomicBool>,
}

/// A body over its limit.
#[derive(Debug)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is longer than allowed")
    }
}

impl std::error::Error for TooLarge {}

/// A body that takes longer than it may.
#[derive(Debug)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body takes longer than allowed")
    }
}

impl std::error::Error for TooSlow {}

impl Upload {
    /// The body of a request with these headers, of at most `limit` bytes.
    pub fn new(headers: &HeaderMap, body: Incoming, limit: usize) -> Self {
        Self { body: Some(body), left: limit, sending: !headers.contains_key(EXPECT), too_large: Arc::default() }
    }

    /// Tells, after the body was given away, whether it was too large.
    pub fn too_large(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.too_large)
    }

    /// The whole body.
    pub async fn read(self) -> Result<Bytes, BoxError> {
        match tokio::time::timeout(SLOWEST, self.collect()).await {
            Ok(body) => body.map(http_body_util::Collected::to_bytes),
            Err(_) => Err(TooSlow.into()),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.sending = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = match Pin::new(body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other.map_err(Into::into),
        };
        match self.left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.too_large.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(TooLarge.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| self.sending && !body.is_end_stream()) else { return };
        // Outside a runtime there is no connection to read from either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(SLOWEST, take_in(body)));
        }
    }
}

async fn take_in(mut body: Incoming) {
    let mut left = PATIENCE;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
