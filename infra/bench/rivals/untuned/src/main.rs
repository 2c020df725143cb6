//! The authorizer without any tuning.

use aws_sdk_dynamodb::Client;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use latchkey::{clock, config::Environment, log};

#[tokio::main]
async fn main() -> Result<(), Error> {
    log::init();
    let client = Client::new(&aws_config::load_from_env().await);
    let function = authorize::Function::new(&Environment::from_process(), client)?;
    let function = &function;
    run(service_fn(|event: LambdaEvent<authorize::event::Event>| async move {
        function.handle(event.payload, clock::now()).await
    }))
    .await
}
