//! The Lambda function `console`: its files made ready once, then an event at a time.

use lambda_http::{Error, lambda_runtime::run};
use latchkey::{config::Environment, log, requests};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let function = console::Function::new(&Environment::from_process())?;
    run(requests::service(|request| std::future::ready(function.handle(&request)))).await
}
