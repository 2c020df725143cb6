//! `GET /verify` and `ANY /verify/{proxy+}`: may this request of a proxy's pass? For registries behind a proxy that asks
//! before it passes a request on (forward authentication), and not behind API Gateway.
//!
//! What the proxy [`told`] becomes what is asked for, and [`latchkey::decision`] decides, as for the authorizer. The
//! [`answer`] is one to this request alone. It fails closed: every proxy refuses what is answered with anything but 2xx.

pub mod answer;
pub mod told;

use lambda_http::Request;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::context::Context;
use latchkey::decision::{Decider, Decision};
use latchkey::http::{self, HttpResponse};
use latchkey::problem::Problem;
use std::sync::Arc;

/// The function: who decides.
pub struct Function {
    decider: Decider,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let decider = Decider::read(&mut read, client);
        read.finish(Self { decider })
    }

    /// Connects to the table before the first event.
    pub async fn connect(&self) {
        self.decider.connect().await;
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        http::answer(self.verify(&request, now)).await
    }

    /// Notes what the decisions of late leave to be noted. To be called once the answer is out.
    pub async fn settle(self: Arc<Self>) {
        self.decider.settle().await;
    }

    async fn verify(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let asked = told::asked(request).map_err(|errors| {
            let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
            tracing::warn!(fields = fields.join(", "), "the proxy does not tell what is asked for");
            Problem::invalid(errors)
        })?;
        let credentials = http::credentials(request.headers());
        let decision = self.decider.decide(&asked, &credentials, now).await;
        // The line of the decision has the cause.
        Ok(match decision.map_err(|_| Problem::unavailable())? {
            Decision::Allow(record) => {
                let end = record.times.end(self.decider.lifetime());
                answer::allowed(&Context::of(&record, end, String::new()))
            }
            Decision::Deny(_, denial) | Decision::Ended(_, denial) | Decision::InQuery(denial) => {
                answer::denied(&denial.message)
            }
            Decision::Unauthorized(_) => answer::unauthorized(&self.decider.no_token(), self.decider.console_url()),
        })
    }
}
