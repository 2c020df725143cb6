//! What is to be said of tokens some day: a queue in the same table, in a partition of its own, ordered by time.
//!
//! Nothing is scanned: whoever asks reads what is due and no more. An entry is a hint; whether it still holds is decided
//! by the token's record when its time comes ([`Store::remind`]).

use super::item::{Item, number, text, time};
use super::{Store, StoreError, condition_failed};
use crate::clock::Timestamp;
use crate::id::TokenId;
use aws_sdk_dynamodb::types::AttributeValue;

/// The partition. No owner's key is as short.
const PARTITION: &str = "due";

/// An entry: what is to be looked at, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Which token.
    pub id: TokenId,
    /// The token's end, as it was when the entry was made.
    pub expires_at: Timestamp,
}

impl Due {
    /// Times of RFC 3339 are as long as each other, so that their order is that of the texts.
    fn sort_key(&self) -> String {
        format!("{}#{}", self.at, self.id)
    }

    fn key(&self) -> Item {
        Item::from([
            ("owner".into(), AttributeValue::S(PARTITION.into())),
            ("id".into(), AttributeValue::S(self.sort_key())),
        ])
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt("id");
        let (at, id) = text(item, "id")?.split_once('#').ok_or(StoreError::Corrupt("id"))?;
        let (Some(at), Ok(id)) = (Timestamp::parse(at), id.parse()) else { return Err(corrupt) };
        let expires_at = time(item, "expires_at")?.ok_or(StoreError::Corrupt("expires_at"))?;
        Ok(Self { at, id, expires_at })
    }
}

impl Store {
    /// Keeps an entry; again, it stays one.
    pub async fn enqueue(&self, due: &Due) -> Result<(), StoreError> {
        let mut item = due.key();
        item.insert("expires_at".into(), number(due.expires_at));
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// The entries whose time has come, the oldest first, at most `limit`.
    pub async fn due(&self, now: Timestamp, limit: i32) -> Result<Vec<Due>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#owner = :due AND id < :now")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":due", AttributeValue::S(PARTITION.into()))
            // `~` follows `#`: what is due in this very second as well.
            .expression_attribute_values(":now", AttributeValue::S(format!("{now}~")))
            .limit(limit)
            .send()
            .await?;
        found.items().iter().map(Due::read).collect()
    }

    /// Takes an entry away.
    pub async fn dequeue(&self, due: &Due) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(due.key())).send().await?;
        Ok(())
    }

    /// Notes on the token's record that its end is so many days ahead (0: it is there), from where the stream tells it.
    /// `false` if the record has another end by now, was revoked or is gone, or this was noted before.
    pub async fn remind(&self, due: &Due, days_left: u32) -> Result<bool, StoreError> {
        let event = if days_left == 0 { "expired" } else { "expiring" };
        let update = self
            .update(due.id)
            .update_expression("SET reminded = :days, last_event = :event")
            .condition_expression(
                "expires_at = :end AND attribute_not_exists(revoked_at) \
                 AND (attribute_not_exists(reminded) OR reminded > :days)",
            )
            .expression_attribute_values(":days", AttributeValue::N(days_left.to_string()))
            .expression_attribute_values(":end", number(due.expires_at))
            .expression_attribute_values(":event", AttributeValue::S(event.into()))
            // The whole record is more than this function may see.
            .set_return_values_on_condition_check_failure(None)
            .send()
            .await;
        match update {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error).is_some() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
