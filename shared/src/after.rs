//! What is done once an answer is out, and before the next event is asked for: no client waits for it.
//!
//! Lambda freezes a function between its answer and its next event only once the runtime asks for that event (Lambda
//! developer guide, "Building a custom runtime"). A layer around the whole runtime stands just there, and needs neither
//! an extension nor a second function. That the gateway has the answer by then was not tried on a live account; the AWS
//! Compute Blog says so ("Running code after returning a response from an AWS Lambda function").

use lambda_http::lambda_runtime::layers::TracingLayer;
use lambda_http::lambda_runtime::{Diagnostic, Runtime};
use lambda_http::tower::{Layer, Service};
use lambda_http::{Error, LambdaEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers events as `lambda_runtime::run` does, and does `work` after each answer.
pub fn run<E, H, A, W, F>(handler: H, work: W) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>
where
    E: DeserializeOwned + Send + 'static,
    H: Service<LambdaEvent<E>, Response = A> + Send + 'static,
    H::Future: Send + 'static,
    H::Error: Into<Diagnostic> + Debug,
    A: Serialize + Send + 'static,
    W: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Box::pin(Runtime::new(handler).layer(TracingLayer::new()).layer(After(work)).run())
}

/// A layer that does `work` after each answer.
struct After<W>(W);

struct Working<S, W> {
    answering: S,
    work: W,
}

impl<S, W: Clone> Layer<S> for After<W> {
    type Service = Working<S, W>;

    fn layer(&self, answering: S) -> Self::Service {
        Working { answering, work: self.0.clone() }
    }
}

impl<E, S, W, F> Service<E> for Working<S, W>
where
    S: Service<E>,
    S::Future: Send + 'static,
    W: Fn() -> F,
    F: Future<Output = ()> + Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.answering.poll_ready(context)
    }

    fn call(&mut self, event: E) -> Self::Future {
        let (answering, work) = (self.answering.call(event), (self.work)());
        Box::pin(async move {
            let answered = answering.await;
            work.await;
            answered
        })
    }
}
