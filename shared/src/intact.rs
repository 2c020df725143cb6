//! Whether an answer of DynamoDB came over whole.
//!
//! The SDK takes a 200 without a body for an empty answer: a record that is not there, a write that was done. DynamoDB
//! says `{}` then, and sends the checksum of what it says, which the SDK does not look at.

use aws_sdk_dynamodb::config::interceptors::{AfterDeserializationInterceptorContextRef, InterceptorContext};
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// Refuses an answer without a body, or with another one than its checksum is of. One without a checksum passes.
#[derive(Debug)]
pub struct Intact;

impl Intercept for Intact {
    fn name(&self) -> &'static str {
        "Intact"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // What is an error already stays the one that it is.
        if context.output_or_error().is_err() {
            return Ok(());
        }
        let response = context.response();
        let body = response.body().bytes().unwrap_or_default();
        if body.is_empty() {
            return Err("an answer without a body".into());
        }
        match response.headers().get("x-amz-crc32") {
            Some(checksum) if checksum.parse() != Ok(crc32fast::hash(body)) => {
                Err("an answer with a wrong checksum".into())
            }
            _ => Ok(()),
        }
    }
}

/// A 200 that cannot be read may be readable the next time.
#[derive(Debug)]
pub struct BrokenIsTransient;

impl ClassifyRetry for BrokenIsTransient {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let succeeded = context.response().is_some_and(|response| response.status().is_success());
        match context.output_or_error() {
            Some(Err(_)) if succeeded => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "BrokenIsTransient"
    }
}
