//! The Lambda authorizer: may this request pass?
//!
//! An [`event`] becomes what is asked for and the credentials that come with it, and [`latchkey::decision`] decides. The
//! answer is the token's whole grant as a [`policy`], or a refusal.
//!
//! It fails closed: what is not granted is denied, a request without a known token is `Unauthorized`, and a fault is an
//! error, which the gateway answers with 500 and does not cache.

pub mod answer;
pub mod event;
pub mod policy;

use answer::Answer;
use event::{Event, Request, Shape};
use lambda_runtime::Diagnostic;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::context::Context;
use latchkey::decision::{Decider, Decision, Denial, Source};
use latchkey::record::Record;
use policy::{Document, Grants, Policy};
use std::fmt;
use std::sync::Arc;

/// Who a request without a known token is from, where the gateway wants a name.
const NOBODY: &str = "anonymous";

/// The function: who decides, and how it answers.
pub struct Function {
    decider: Decider,
    simple_response: bool,
    grants: Grants,
}

/// Why there is no answer. `Display` is what the gateway goes by: `Unauthorized`, to the letter, makes it answer 401,
/// and anything else 500.
#[derive(Debug)]
pub enum Refusal {
    /// No credential, or one that matches no token.
    Unauthorized,
    /// The decision could not be made.
    Fault(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::Fault(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Diagnostic {
    fn from(refusal: Refusal) -> Self {
        let error_type = match refusal {
            Refusal::Unauthorized => "Unauthorized",
            Refusal::Fault(_) => "Fault",
        };
        Self { error_type: error_type.into(), error_message: refusal.to_string() }
    }
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let decider = Decider::read(&mut read, client);
        let simple_response = read.simple_response();
        read.finish(Self { decider, simple_response, grants: Grants::default() })
    }

    /// Connects to the table before the first event.
    pub async fn connect(&self) {
        self.decider.connect().await;
    }

    /// Answers one event of any of the four shapes.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Answer, Refusal> {
        let (mut request, credentials) = event.read().map_err(|unknown| {
            tracing::error!(reason = %unknown, "not an authorizer event");
            Refusal::Fault(unknown.to_string())
        })?;
        let simple = self.simple_response && request.shape == Shape::Http2;
        if simple && request.shared_by_addresses {
            request.asked.source = Source::Unknown;
        }
        let decision = self.decider.decide(&request.asked, &credentials, now).await;
        let decision = decision.map_err(|fault| Refusal::Fault(fault.to_string()))?;
        if simple { self.yes_or_no(decision) } else { self.policy(&request, decision) }
    }

    /// Notes what the decisions of late leave to be noted. To be called once the answer is out.
    pub async fn settle(self: Arc<Self>) {
        self.decider.settle().await;
    }

    fn yes_or_no(&self, decision: Decision) -> Result<Answer, Refusal> {
        let (is_authorized, context) = match decision {
            Decision::Allow(record) => (true, self.context(&record, self.decider.whole_grant(&record))),
            Decision::Deny(record, denial) | Decision::Ended(record, denial) => {
                (false, self.context(&record, denial.message))
            }
            Decision::InQuery(denial) => (false, Context::nobody(denial.message)),
            Decision::Unauthorized(_) => return Err(Refusal::Unauthorized),
        };
        Ok(Answer::Simple { is_authorized, context })
    }

    fn policy(&self, request: &Request, decision: Decision) -> Result<Answer, Refusal> {
        let stage_arn = request.stage_arn.as_str();
        let (policy, context) = match decision {
            Decision::Allow(record) => {
                // What a client reads if the gateway refuses a later request by this policy.
                let message = self.decider.whole_grant(&record);
                (self.grant(stage_arn, &record), self.context(&record, message))
            }
            Decision::Deny(record, Denial { message, of_this_request: false, .. }) => {
                (self.grant(stage_arn, &record), self.context(&record, message))
            }
            Decision::Deny(record, Denial { message, .. }) => {
                let whole = Policy::grant(stage_arn, &record, self.decider.read_by_post());
                let policy = whole.except(stage_arn, &request.asked.method, &request.asked.path);
                (Document::of(&policy), self.context(&record, message))
            }
            Decision::Ended(record, Denial { message, .. }) => {
                (Document::of(&Policy::deny(stage_arn)), self.context(&record, message))
            }
            Decision::InQuery(denial) => (Document::of(&Policy::deny(stage_arn)), Context::nobody(denial.message)),
            Decision::Unauthorized(_) => return Err(Refusal::Unauthorized),
        };
        let policy_document = policy.map_err(|error| Refusal::Fault(error.to_string()))?;
        let principal_id = context.token_id().map_or_else(|| NOBODY.into(), |id| id.as_str().into());
        Ok(Answer::Policy { principal_id, policy_document, context })
    }

    fn grant(&self, stage_arn: &str, record: &Arc<Record>) -> Result<Document, serde_json::Error> {
        self.grants.document(stage_arn, record, self.decider.read_by_post())
    }

    fn context(&self, record: &Record, message: String) -> Context {
        Context::of(record, record.times.end(self.decider.lifetime()), message)
    }
}
