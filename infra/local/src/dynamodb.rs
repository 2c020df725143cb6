//! The embedded DynamoDB, with the table that the template describes.

use crate::deployment::Table;
use crate::options::Data;
use crate::{REGION, server};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use dynoxide::Database;
use latchkey::store;
use std::fmt::Display;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Opens the database and serves it until `stop`.
pub fn serve(data: &Data, listener: TcpListener, mut stop: server::Stop) -> Result<JoinHandle<()>, String> {
    let database = match data {
        Data::Memory => Database::memory(),
        Data::Dir(folder) => Database::new(&folder.join("dynamodb.sqlite").to_string_lossy()),
    };
    let database = database.map_err(|error| format!("the database cannot be opened: {error}"))?;
    let stopped = async move { server::stopped(&mut stop).await };
    Ok(tokio::spawn(async move {
        let serving = dynoxide::server::serve_with_shutdown(listener, database, stopped);
        if let Err(error) = serving.await {
            tracing::error!("{error}");
        }
    }))
}

/// A client of the database on this port. Any credentials do, and none of the user's are looked for.
pub fn client(port: u16) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "latchkey-local"))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .timeout_config(store::timeouts())
        .retry_config(store::retries());
    Client::from_conf(config.build())
}

/// Makes the table, if it is not there yet.
pub async fn create(client: &Client, table: &Table) -> Result<(), String> {
    let failed = |error: &dyn Display| format!("table {}: {error}", table.name);
    let attributes = table.attribute_definitions.iter().map(|attribute| {
        AttributeDefinition::builder()
            .attribute_name(&attribute.attribute_name)
            .attribute_type(ScalarAttributeType::from(attribute.attribute_type.as_str()))
            .build()
    });
    let key = table.key_schema.iter().map(|element| {
        KeySchemaElement::builder()
            .attribute_name(&element.attribute_name)
            .key_type(KeyType::from(element.key_type.as_str()))
            .build()
    });
    let created = client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.collect::<Result<_, _>>().map_err(|error| failed(&error))?))
        .set_key_schema(Some(key.collect::<Result<_, _>>().map_err(|error| failed(&error))?))
        .send()
        .await;
    match created {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            return Ok(());
        }
        Err(error) => return Err(failed(&DisplayErrorContext(error))),
    }
    let ttl = &table.time_to_live_specification;
    let ttl = TimeToLiveSpecification::builder().attribute_name(&ttl.attribute_name).enabled(ttl.enabled);
    let ttl = ttl.build().map_err(|error| failed(&error))?;
    let update = client.update_time_to_live().table_name(&table.name).time_to_live_specification(ttl);
    update.send().await.map_err(|error| failed(&DisplayErrorContext(error)))?;
    Ok(())
}
