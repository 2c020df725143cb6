//! The Lambda function `rotate`: settings and client once, then an event at a time.

use lambda_http::{Error, lambda_runtime::run};
use latchkey::{client, clock, config::Environment, log, requests};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let environment = Environment::from_process();
    let function = rotate::Function::new(&environment, client::new(&environment)?)?;
    run(requests::service(|request| function.handle(request, clock::now()))).await
}
