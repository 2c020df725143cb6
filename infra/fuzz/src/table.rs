//! DynamoDB, in so far as the functions ask it: it knows the sample tokens, and keeps nothing.

use crate::sample;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// What was written since it was last asked.
static WRITTEN: Mutex<Vec<Value>> = Mutex::new(vec![]);

/// A client of it.
pub fn client() -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "fuzz"))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Table)));
    Client::from_conf(config.build())
}

/// What was written since this was last called: whole requests.
pub fn written() -> Vec<Value> {
    std::mem::take(&mut WRITTEN.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Debug)]
struct Table;

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let action = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let body = request.body().bytes().unwrap_or_default();
        let answer = match action {
            Some("GetItem") => {
                let asked: Value = serde_json::from_slice(body).expect("the SDK writes JSON");
                let item = asked["Key"]["id"]["S"].as_str().and_then(sample::item);
                item.map_or_else(|| json!({}), |item| json!({"Item": item}))
            }
            Some("Query") => {
                let ids = [sample::ACTIVE, sample::EXPIRED, sample::REVOKED, sample::BOUND];
                let ids = ids.map(|text| sample::token(text).id());
                let items: Vec<_> = ids.iter().filter_map(|id| sample::item(id.ulid())).collect();
                json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items})
            }
            _ => {
                let written = serde_json::from_slice(body).expect("the SDK writes JSON");
                WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).push(written);
                json!({})
            }
        };
        let status = 200.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}
