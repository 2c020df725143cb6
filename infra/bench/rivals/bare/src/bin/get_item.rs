//! A function that reads the item that its event names, and does nothing with it: the floor of whatever asks DynamoDB,
//! with the client that Latchkey's functions have.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use latchkey::config::Environment;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = latchkey::client::new(&Environment::from_process())?;
    let table = std::env::var("TABLE_NAME")?;
    let events = tokio::spawn(run(service_fn(move |event: LambdaEvent<Value>| {
        let key =
            |name: &str| AttributeValue::S(event.payload.get(name).and_then(Value::as_str).unwrap_or_default().into());
        let get = client.get_item().table_name(&table).key("owner", key("owner")).key("id", key("id"));
        async move {
            let found = get.consistent_read(true).send().await?;
            Ok::<_, Error>(json!({"found": found.item.is_some()}))
        }
    })));
    events.await?
}
