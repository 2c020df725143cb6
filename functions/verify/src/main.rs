//! The Lambda function `verify`: settings, client and connection once, then an event at a time.

use lambda_http::{Adapter, Request, service_fn};
use latchkey::{after, client, clock, config::Environment, log};
use std::convert::Infallible;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init();
    let environment = Environment::from_process();
    let function = Arc::new(verify::Function::new(&environment, client::new(&environment)?)?);
    // A task of its own, as in `authorize`.
    let events = tokio::spawn(async move {
        function.connect().await;
        let answering = Arc::clone(&function);
        let handler = service_fn(move |request: Request| {
            let function = Arc::clone(&answering);
            async move { Ok::<_, Infallible>(function.handle(request, clock::now()).await) }
        });
        after::run(Adapter::from(handler), move || Arc::clone(&function).settle()).await
    });
    events.await?
}
