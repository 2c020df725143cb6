//! The embedded DynamoDB and its client.

use crate::REGION;
use crate::deployment::Table;
use crate::server::Stop;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, StreamSpecification, StreamViewType, TimeToLiveSpecification,
    TimeToLiveStatus,
};
use dynoxide::Database;
use latchkey::config::ConfigError;
use std::fmt;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Why there is no table.
#[derive(Debug)]
pub struct DynamoDbError(String);

impl fmt::Display for DynamoDbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DynamoDbError {}

/// A client for the DynamoDB at this port, as the functions have it. Nothing of the user's own AWS configuration is
/// read.
pub fn client(port: u16) -> Result<Client, ConfigError> {
    let own = [
        ("AWS_REGION", REGION.into()),
        ("AWS_ACCESS_KEY_ID", "local".into()),
        ("AWS_SECRET_ACCESS_KEY", "local".into()),
        ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{port}")),
    ];
    latchkey::client::new(&own.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

/// Opens the database in this file, or one in memory.
pub fn open(file: Option<&Path>) -> Result<Database, DynamoDbError> {
    let Some(file) = file else {
        return Database::memory().map_err(|error| DynamoDbError(error.to_string()));
    };
    let failed = |error: &dyn fmt::Display| DynamoDbError(format!("{}: {error}", file.display()));
    let path = file.to_str().ok_or_else(|| failed(&"its path is not UTF-8"))?;
    Database::new(path).map_err(|error| failed(&error))
}

/// Deletes what is past its time, as DynamoDB does some day.
pub async fn sweep(database: Database) -> Result<(), DynamoDbError> {
    let swept = tokio::task::spawn_blocking(move || database.sweep_ttl().map(|_| ())).await;
    let failed = |error: &dyn fmt::Display| DynamoDbError(format!("the time to live: {error}"));
    swept.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Serves a database until `stop`.
pub fn serve(listener: TcpListener, database: Database, mut stop: Stop) -> JoinHandle<()> {
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, stopped).await {
            tracing::error!("DynamoDB: {error}");
        }
    })
}

/// Makes the table if it is not there, and gives it its stream and its time to live.
pub async fn ensure_table(client: &Client, table: &Table) -> Result<(), DynamoDbError> {
    let failed = |error: &dyn fmt::Display| DynamoDbError(format!("the table {}: {error}", table.name));
    let attributes = table.attributes.iter().map(|(name, kind)| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind.as_str().into()).build()
    });
    let key = table
        .key
        .iter()
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind.as_str().into()).build());
    let stream = table.stream.then(|| {
        StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build()
    });
    let stream = stream.transpose().map_err(|error| failed(&error))?;
    let created = client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest)
        .deletion_protection_enabled(table.deletion_protection)
        .set_stream_specification(stream.clone())
        .set_attribute_definitions(Some(attributes.collect::<Result<_, _>>().map_err(|error| failed(&error))?))
        .set_key_schema(Some(key.collect::<Result<_, _>>().map_err(|error| failed(&error))?))
        .send()
        .await;
    if let Err(error) = created {
        if !error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) {
            return Err(failed(&DisplayErrorContext(error)));
        }
        let described = client.describe_table().table_name(&table.name).send().await;
        let described = described.map_err(|error| failed(&DisplayErrorContext(error)))?;
        let streams = described.table().is_some_and(|table| table.stream_specification().is_some());
        if let Some(stream) = stream.filter(|_| !streams) {
            let update = client.update_table().table_name(&table.name).stream_specification(stream);
            update.send().await.map_err(|error| failed(&DisplayErrorContext(error)))?;
        }
    }
    let Some(attribute) = &table.ttl else { return Ok(()) };
    let described = client.describe_time_to_live().table_name(&table.name).send().await;
    let described = described.map_err(|error| failed(&DisplayErrorContext(error)))?;
    let status = described.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build();
    let ttl = ttl.map_err(|error| failed(&error))?;
    let update = client.update_time_to_live().table_name(&table.name).time_to_live_specification(ttl);
    update.send().await.map(|_| ()).map_err(|error| failed(&DisplayErrorContext(error)))
}
