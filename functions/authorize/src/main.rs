//! The Lambda function `authorize`: settings and client once, then an event at a time.

use lambda_runtime::LambdaEvent;
use latchkey::{clock, config::Environment, log, store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let function = authorize::Function::new(&Environment::from_process(), store::client().await)?;
    let function = &function;
    lambda_runtime::run(lambda_runtime::service_fn(|event: LambdaEvent<authorize::event::Event>| async move {
        function.handle(event.payload, clock::now()).await
    }))
    .await
}
