//! The Lambda function `remind`: settings and client once, then an event at a time.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use latchkey::{client, clock, config::Environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let environment = Environment::from_process();
    let function = remind::Function::new(&environment, client::new(&environment)?)?;
    let function = &function;
    run(service_fn(|event: LambdaEvent<remind::Event>| async {
        function.handle(event.payload, clock::now()).await.map_err(|fault| fault.to_string())
    }))
    .await
}
