//! The Lambda function `console`: its files made ready once, then an event at a time.

use latchkey::{config::Environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init();
    let function = console::Function::new(&Environment::from_process())?;
    let function = &function;
    lambda_http::run(lambda_http::service_fn(|request| async move {
        Ok::<_, std::convert::Infallible>(function.handle(&request))
    }))
    .await
}
