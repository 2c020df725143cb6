//! The Lambda function `burn`: settings and client once, then an event at a time.

use latchkey::{client, clock, config::Environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init();
    let environment = Environment::from_process();
    let function = burn::Function::new(&environment, client::new(&environment)?)?;
    let function = &function;
    lambda_http::run(lambda_http::service_fn(|request| async move {
        Ok::<_, std::convert::Infallible>(function.handle(request, clock::now()).await)
    }))
    .await
}
