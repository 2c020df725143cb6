//! The Lambda function `authorize`: settings, client and connection once, then an event at a time.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use latchkey::{after, client, clock, config::Environment, log};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let environment = Environment::from_process();
    let function = Arc::new(authorize::Function::new(&environment, client::new(&environment)?)?);
    // A task of its own: whatever wakes the one that `main` runs costs an empty `epoll_wait`, three in each request.
    let events = tokio::spawn(async move {
        function.connect().await;
        let answering = Arc::clone(&function);
        let handler = service_fn(move |event: LambdaEvent<authorize::event::Event>| {
            let function = Arc::clone(&answering);
            async move { function.handle(event.payload, clock::now()).await }
        });
        after::run(handler, move || Arc::clone(&function).settle()).await
    });
    events.await?
}
