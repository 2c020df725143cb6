//! The stream of the embedded DynamoDB's table.

use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::{Database, DynoxideError};
use serde_json::Value;
use std::fmt;

/// How many records are read at once.
const BATCH: usize = 100;

/// Why a stream cannot be read.
#[derive(Debug)]
pub struct StreamError(String);

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table's stream: {}", self.0)
    }
}

impl std::error::Error for StreamError {}

fn failed(error: impl fmt::Display) -> StreamError {
    StreamError(error.to_string())
}

/// A place in the stream.
pub struct Stream {
    database: Database,
    iterator: String,
}

/// Records, and the place behind them.
pub struct Batch {
    /// As a pipe sees them.
    pub records: Vec<Value>,
    next: String,
}

impl Stream {
    /// The end of a table's stream.
    pub async fn at_end(database: Database, table: String) -> Result<Self, StreamError> {
        let iterator = blocking(&database, move |database| {
            let listed = database.list_streams(ListStreamsRequest { table_name: Some(table), ..Default::default() })?;
            let Some(stream) = listed.streams.into_iter().next() else { return Ok(None) };
            let described =
                DescribeStreamRequest { stream_arn: stream.stream_arn.clone(), ..DescribeStreamRequest::default() };
            // The embedded DynamoDB has one shard a table, which is never closed.
            let shards = database.describe_stream(described)?.stream_description.shards;
            let Some(shard) = shards.into_iter().next() else { return Ok(None) };
            let iterator = database.get_shard_iterator(GetShardIteratorRequest {
                stream_arn: stream.stream_arn,
                shard_id: shard.shard_id,
                shard_iterator_type: "LATEST".into(),
                sequence_number: None,
            })?;
            Ok(iterator.shard_iterator)
        });
        let iterator = iterator.await?.ok_or_else(|| failed("there is none"))?;
        Ok(Self { database, iterator })
    }

    /// The next records; none at the end. They are read again unless the stream goes on behind them.
    pub async fn read(&self) -> Result<Batch, StreamError> {
        let request = GetRecordsRequest { shard_iterator: self.iterator.clone(), limit: Some(BATCH) };
        let answer = blocking(&self.database, move |database| database.get_records(request)).await?;
        let records = answer.records.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Batch { records, next: answer.next_shard_iterator.ok_or_else(|| failed("it has ended"))? })
    }

    /// Goes on behind a batch.
    pub fn go_on(&mut self, batch: Batch) {
        self.iterator = batch.next;
    }
}

/// The database waits for its lock and for the disk, so not in a thread that others need.
async fn blocking<T: Send + 'static>(
    database: &Database,
    ask: impl FnOnce(&Database) -> Result<T, DynoxideError> + Send + 'static,
) -> Result<T, StreamError> {
    let database = database.clone();
    tokio::task::spawn_blocking(move || ask(&database)).await.map_err(failed)?.map_err(failed)
}
