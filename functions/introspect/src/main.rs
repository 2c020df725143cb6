//! The Lambda function `introspect`: settings, client and connection once, then an event at a time.

use lambda_http::Error;
use latchkey::{after, client, clock, config::Environment, log, requests};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let environment = Environment::from_process();
    let function = Arc::new(introspect::Function::new(&environment, client::new(&environment)?)?);
    // A task of its own, as in `authorize`.
    let events = tokio::spawn(async move {
        function.connect().await;
        let answering = Arc::clone(&function);
        let handler = requests::service(move |request| {
            let function = Arc::clone(&answering);
            async move { function.handle(request, clock::now()).await }
        });
        after::run(handler, move || Arc::clone(&function).settle()).await
    });
    events.await?
}
