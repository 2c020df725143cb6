//! A function that reads the item that its event names, and does nothing with it: the floor of whatever asks DynamoDB,
//! with the client that Latchkey's functions have.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, table) = (latchkey::store::client().await, std::env::var("TABLE_NAME")?);
    let (client, table) = (&client, &table);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let key = |name: &str| AttributeValue::S(event.payload[name].as_str().unwrap_or_default().into());
        let get = client.get_item().table_name(table).key("owner", key("owner")).key("id", key("id"));
        let found = get.consistent_read(true).send().await?;
        Ok::<_, Error>(json!({"found": found.item.is_some()}))
    }))
    .await
}
