//! Says ahead that a token expires: 30, 7 and 1 days before, and when it has. Once each, and without a look at any token
//! whose time has not come.
//!
//! It hears of every end that is set (`created`, `rotated`, `changed`, from the event bus), and puts the next thing to be
//! said of it into a queue in the table. Every quarter of an hour it takes from the queue what is due, and notes it on the
//! token's record, on condition that it still holds and was not noted before; the table's stream makes the event of it, as
//! of any other change. So an event that comes twice, a run that dies half-way and two runs at once say nothing twice.

use latchkey::clock::{DAY, Timestamp};
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::id::TokenId;
use latchkey::store::{Due, Store, StoreError};
use serde::Deserialize;
use tokio::task::JoinSet;

/// How many days ahead something is said; 0 is the end itself.
const DAYS: [u32; 4] = [30, 7, 1, 0];

/// Entries that one run takes: at three writes of some 8 ms each, ten at a time, 24 s of the 60 that it has.
const MOST: usize = 10_000;

/// Entries read at a time, and worked on at a time.
const BATCH: i32 = 100;
const AT_ONCE: usize = 10;

/// An event of the bus, or a tick of the schedule.
#[derive(Debug, Deserialize)]
pub struct Event {
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(default)]
    detail: Detail,
}

/// What there is to know of a token; a time that there is none of is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    token_id: String,
    expires_at: String,
}

/// The function: its store. DynamoDB actions: `PutItem`, `Query` and `DeleteItem` in the queue, `UpdateItem` of two
/// attributes of a record.
pub struct Function {
    store: Store,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        read.finish(Self { store: Store::new(client, table) })
    }

    /// Takes one event. An error makes Lambda try again.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<(), StoreError> {
        let done = match event.detail_type.as_str() {
            "Scheduled Event" => self.say_what_is_due(now).await,
            _ => self.expect(&event.detail, now).await,
        };
        done.inspect_err(|fault| tracing::error!(%fault, "reminders"))
    }

    /// Queues the next thing to be said of a token, if its end is known.
    async fn expect(&self, detail: &Detail, now: Timestamp) -> Result<(), StoreError> {
        let end = detail.expires_at.parse().ok().map(Timestamp::from_secs);
        let (Some(expires_at), Ok(id)) = (end, detail.token_id.parse::<TokenId>()) else { return Ok(()) };
        let ahead = DAYS.into_iter().map(|days| due(id, expires_at, days)).find(|due| due.at > now);
        // One that is over by now is said to be at the next run.
        self.store.enqueue(&ahead.unwrap_or(due(id, expires_at, 0))).await
    }

    async fn say_what_is_due(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut taken = 0;
        loop {
            let entries = self.store.due(now, BATCH).await?;
            let more = entries.len() >= BATCH.unsigned_abs() as usize;
            taken += entries.len();
            for entries in entries.chunks(AT_ONCE) {
                let tasks: JoinSet<_> = entries.iter().map(|entry| say(self.store.clone(), *entry, now)).collect();
                tasks.join_all().await.into_iter().collect::<Result<(), _>>()?;
            }
            if !more || taken >= MOST {
                tracing::info!(taken, more, "reminders");
                return Ok(());
            }
        }
    }
}

/// What is to be said of a token so many days ahead of its end, which is its last valid second.
fn due(id: TokenId, expires_at: Timestamp, days: u32) -> Due {
    let over = i64::from(days == 0);
    Due { at: Timestamp::from_secs(expires_at.as_secs() - i64::from(days) * DAY + over), id, expires_at }
}

/// Says what an entry is there for. The next entry comes first: a run that dies in between says the rest the next time.
async fn say(store: Store, entry: Due, now: Timestamp) -> Result<(), StoreError> {
    let left = entry.expires_at.as_secs() - now.as_secs();
    // What holds now, however late this run is.
    let holds = |days: &u32| if *days == 0 { left < 0 } else { left <= i64::from(*days) * DAY };
    let days = DAYS.into_iter().filter(holds).min().unwrap_or(30);
    if let Some(next) = DAYS.into_iter().find(|next| *next < days) {
        store.enqueue(&due(entry.id, entry.expires_at, next)).await?;
    }
    if store.remind(&entry, days).await? {
        tracing::info!(token_id = %entry.id, days, "reminded");
    }
    store.dequeue(&entry).await
}
