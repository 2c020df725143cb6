//! Where records are kept: one DynamoDB table, one item a token, partition `owner`, sort key `id` (the ULID).
//!
//! The only module that knows DynamoDB. Every method is one request, but for [`Store::count_active`], which is one a
//! page of 1 MB (some 2,000 records). Each write says in `last_event` what it was: the table's stream makes events of
//! that.

mod due;
mod item;

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::last_use::{LastUse, NOTED_EVERY};
use crate::lifetime::Lifetime;
use crate::owner::Owner;
use crate::record::{MAX_RETIRED, Record, RevokedBy, Status};
use crate::scope::Scopes;
use crate::token::TokenHash;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
pub use due::Due;
use item::{Item, binary, hash, key, number, record, retired, text, texts, time, times};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

/// The most records that one request of [`Store::list`] looks at. 1,000 of the usual size stay under DynamoDB's page
/// of 1 MB.
const LOOKED_AT: i32 = 1000;

/// The records of one table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

/// The table could not be read or written. A fault, never an answer: whoever meets it must not go on.
#[derive(Debug)]
pub enum StoreError {
    /// DynamoDB refused, failed or did not answer in time.
    Unavailable(String),
    /// An item that we did not write.
    Corrupt(&'static str),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(cause) => write!(f, "DynamoDB: {cause}"),
            Self::Corrupt(attribute) => write!(f, "a record's attribute {attribute} is missing or of a wrong form"),
        }
    }
}

impl Error for StoreError {}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    /// Only codes, messages and causes: the `Debug` of an SDK error holds whole responses.
    fn from(error: SdkError<E, R>) -> Self {
        if let Some(refusal) = error.as_service_error() {
            let (code, message) =
                (refusal.code().unwrap_or("unknown error"), refusal.message().unwrap_or("no message"));
            return Self::Unavailable(format!("{code}: {message}"));
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::Unavailable(text)
    }
}

/// A page of an owner's records, newest first.
#[derive(Debug)]
pub struct Page {
    /// At most as many as were asked for; fewer do not mean that there are no more.
    pub records: Vec<Record>,
    /// From where to go on; `None` at the end.
    pub next: Option<TokenId>,
}

/// The end of a token by somebody's will.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: RevokedBy,
    /// When its record may be deleted.
    pub purge_at: Timestamp,
    /// Where it was found, if it leaked.
    pub leak_url: Option<String>,
}

/// What [`Store::revoke_presented`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A good secret; its token is revoked now.
    Revoked,
    /// A secret of a token that was revoked before.
    Ended,
    /// A secret that its token no longer has. The token goes on with another one.
    Retired,
    /// No token's secret.
    Unknown,
}

/// A new secret in place of the one that a token has.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// When.
    pub at: Timestamp,
    /// SHA-256 of the new token.
    pub hash: TokenHash,
    /// The old one is good before this moment.
    pub overlap_ends_at: Timestamp,
    /// The new end.
    pub expires_at: Option<Timestamp>,
    /// When the record may be deleted.
    pub purge_at: Option<Timestamp>,
}

/// What a token is to be from now on. What does not change is repeated.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it grants.
    pub scopes: Scopes,
    /// Its end.
    pub expires_at: Option<Timestamp>,
    /// When the record may be deleted.
    pub purge_at: Option<Timestamp>,
}

impl Store {
    /// The records of this table.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Reads what nobody has, so that the connection is there when the first token comes. What goes wrong here goes
    /// wrong again for whoever needs an answer.
    pub async fn connect(&self) -> Result<(), StoreError> {
        let nobody = HashMap::from(["owner", "id"].map(|name| (name.into(), AttributeValue::S("-".into()))));
        self.client.get_item().table_name(&self.table).set_key(Some(nobody)).send().await?;
        Ok(())
    }

    /// Keeps a new record, until `purge_at` if that is given; `false` if its id is taken.
    ///
    /// An answer that got lost makes the SDK send the request again; the record it then finds in its place is its own.
    pub async fn create(&self, record: &Record, purge_at: Option<Timestamp>) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::item(record, purge_at)))
            .condition_expression("attribute_not_exists(id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else { return Ok(true) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                let found = found.item().and_then(|item| hash(item).ok());
                Ok(found.is_some_and(|found| found.matches(&record.hash)))
            }
            _ => Err(error.into()),
        }
    }

    /// The record of this token, as of now, if there is one.
    pub async fn get(&self, id: TokenId) -> Result<Option<Record>, StoreError> {
        let found =
            self.client.get_item().table_name(&self.table).set_key(Some(key(id))).consistent_read(true).send().await?;
        found.item.map(|item| record(id.owner(), &item)).transpose()
    }

    /// As [`Store::get`], with the permission to list.
    pub async fn find(&self, id: TokenId) -> Result<Option<Record>, StoreError> {
        let found = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#owner = :owner AND id = :id")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", AttributeValue::S(id.owner().as_str().into()))
            .expression_attribute_values(":id", AttributeValue::S(id.ulid().into()))
            .send()
            .await?;
        found.items().first().map(|item| record(id.owner(), item)).transpose()
    }

    /// An owner's records from behind `after`, newest first, that `wanted` takes; at most `limit`.
    pub async fn list(
        &self,
        owner: &Owner,
        after: Option<TokenId>,
        limit: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Page, StoreError> {
        let found = self
            .query(owner)
            .scan_index_forward(false)
            .limit(LOOKED_AT)
            .set_exclusive_start_key(after.map(key))
            .send()
            .await?;
        let mut records = vec![];
        for item in found.items() {
            let record = record(owner.key, item)?;
            if record.subject != owner.subject || !wanted(&record) {
                continue;
            }
            if records.len() == limit {
                let next = records.last().map(|last: &Record| last.id);
                return Ok(Page { records, next });
            }
            records.push(record);
        }
        let next = match found.last_evaluated_key() {
            None => None,
            Some(key) => Some(TokenId::of(owner.key, text(key, "id")?).map_err(|_| StoreError::Corrupt("id"))?),
        };
        Ok(Page { records, next })
    }

    /// How many tokens of this owner are active, counted no further than `most`.
    pub async fn count_active(
        &self,
        owner: &Owner,
        now: Timestamp,
        lifetime: &Lifetime,
        most: u32,
    ) -> Result<u32, StoreError> {
        let mut active = 0;
        let mut start = None;
        loop {
            let page = self
                .query(owner)
                .projection_expression("created_at, rotated_at, expires_at, revoked_at")
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items() {
                if times(item)?.status(now, lifetime) == Status::Active {
                    active += 1;
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() || active >= most {
                return Ok(active);
            }
        }
    }

    /// Revokes a token, if it is this owner's (`None`: whosever it is); `false` if there is none such. A second time
    /// changes nothing.
    pub async fn revoke(
        &self,
        id: TokenId,
        owner: Option<&Owner>,
        revocation: &Revocation,
    ) -> Result<bool, StoreError> {
        if owner.is_some_and(|owner| owner.key != id.owner()) {
            return Ok(false);
        }
        let mut update = self.revocation(id, revocation);
        update = match owner {
            None => update.condition_expression("attribute_exists(subject) AND attribute_not_exists(revoked_at)"),
            Some(owner) => update
                .condition_expression("subject = :subject AND attribute_not_exists(revoked_at)")
                .expression_attribute_values(":subject", AttributeValue::S(owner.subject.clone())),
        };
        let Err(error) = update.send().await else { return Ok(true) };
        match condition_failed(&error) {
            // Revoked before: by an earlier request, or by this one's first attempt.
            Some(found) => {
                let subject = found.and_then(|item| text(item, "subject").ok());
                Ok(subject.is_some_and(|subject| owner.is_none_or(|owner| owner.subject == subject)))
            }
            None => Err(error.into()),
        }
    }

    /// Revokes the token that has this secret, which is presented in full.
    pub async fn revoke_presented(
        &self,
        id: TokenId,
        presented: &TokenHash,
        revocation: &Revocation,
    ) -> Result<Presented, StoreError> {
        let update = self
            .revocation(id, revocation)
            .condition_expression(
                "attribute_not_exists(revoked_at) \
                 AND (#hash = :hash OR (retired[0] = :hash AND overlap_ends_at > :now))",
            )
            .expression_attribute_names("#hash", "hash")
            .expression_attribute_values(":hash", binary(presented))
            .send()
            .await;
        let Err(error) = update else { return Ok(Presented::Revoked) };
        let Some(found) = condition_failed(&error) else { return Err(error.into()) };
        let Some(item) = found else { return Ok(Presented::Unknown) };
        let was = hash(item)?.matches(presented) || retired(item)?.hashes.iter().any(|hash| hash.matches(presented));
        // Our own first attempt, whose answer got lost, or somebody's with the same wish at the same moment.
        let own = time(item, "revoked_at")? == Some(revocation.at)
            && text(item, "revoked_by").is_ok_and(|by| by == revocation.by.word());
        Ok(match (was, times(item)?.revoked_at) {
            (false, _) => Presented::Unknown,
            (true, Some(_)) if own => Presented::Revoked,
            (true, Some(_)) => Presented::Ended,
            (true, None) => Presented::Retired,
        })
    }

    fn revocation(&self, id: TokenId, revocation: &Revocation) -> UpdateItemFluentBuilder {
        let Revocation { at, by, purge_at, leak_url } = revocation;
        let event = if by.is_leak() { "leaked" } else { "revoked" };
        let set = "SET revoked_at = :now, purge_at = :purge, revoked_by = :by, last_event = :event";
        let update = match leak_url {
            None => self.update(id).update_expression(set),
            Some(url) => self
                .update(id)
                .update_expression(format!("{set}, leak_url = :url"))
                .expression_attribute_values(":url", AttributeValue::S(url.clone())),
        };
        update
            .expression_attribute_values(":now", number(*at))
            .expression_attribute_values(":purge", number(*purge_at))
            .expression_attribute_values(":by", AttributeValue::S(by.word().into()))
            .expression_attribute_values(":event", AttributeValue::S(event.into()))
    }

    /// Gives a token a new secret; `false` if it is not what it was when `record` was read.
    pub async fn rotate(&self, record: &Record, rotation: &Rotation) -> Result<bool, StoreError> {
        let retired = [&record.hash].into_iter().chain(&record.retired.hashes).take(MAX_RETIRED).map(binary).collect();
        let update = set_or_remove(
            self.update(record.id),
            "#hash = :new, retired = :retired, rotated_at = :now, overlap_ends_at = :overlap, last_event = :event",
            // Reminders begin anew with the new end.
            &["reminded"],
            [("expires_at", rotation.expires_at), ("purge_at", rotation.purge_at)],
        );
        let update = if_unchanged(update, record)
            .expression_attribute_values(":new", binary(&rotation.hash))
            .expression_attribute_values(":retired", AttributeValue::L(retired))
            .expression_attribute_values(":now", number(rotation.at))
            .expression_attribute_values(":overlap", number(rotation.overlap_ends_at))
            .expression_attribute_values(":event", AttributeValue::S("rotated".into()))
            .send()
            .await;
        let Err(error) = update else { return Ok(true) };
        match condition_failed(&error) {
            // Our own first attempt, whose answer got lost.
            Some(found) => Ok(found.and_then(|item| hash(item).ok()).is_some_and(|hash| hash.matches(&rotation.hash))),
            None => Err(error.into()),
        }
    }

    /// Changes what a token is; `false` if it is not what it was when `record` was read.
    pub async fn change(&self, record: &Record, change: &Change) -> Result<bool, StoreError> {
        let reminders: &[_] = if change.expires_at == record.times.expires_at { &[] } else { &["reminded"] };
        let update = set_or_remove(
            self.update(record.id),
            "#name = :name, scopes = :scopes, last_event = :event",
            reminders,
            [("expires_at", change.expires_at), ("purge_at", change.purge_at)],
        );
        let update = if_unchanged(update, record)
            .expression_attribute_values(":name", AttributeValue::S(change.name.clone()))
            .expression_attribute_values(":scopes", texts(change.scopes.iter()))
            .expression_attribute_values(":event", AttributeValue::S("changed".into()))
            .send()
            .await;
        let Err(error) = update else { return Ok(true) };
        let Some(found) = condition_failed(&error) else { return Err(error.into()) };
        // Our own first attempt, whose answer got lost, or somebody's with the same wish.
        let found = found.and_then(|item| item::record(record.id.owner(), item).ok());
        Ok(found.is_some_and(|found| {
            found.times.revoked_at.is_none()
                && (found.name, found.scopes, found.times.expires_at)
                    == (change.name.clone(), change.scopes.clone(), change.expires_at)
        }))
    }

    /// Notes a token's use, unless one was noted within [`NOTED_EVERY`] seconds before.
    pub async fn note_use(&self, id: TokenId, last_use: &LastUse) -> Result<(), StoreError> {
        let mut set = "last_used_at = :now, last_event = :event".to_owned();
        let mut remove = vec![];
        let address = last_use.address.map(|address| address.to_string());
        let mut update = self.update(id);
        for (name, value) in [("last_used_ip", address), ("last_used_client", last_use.client.clone())] {
            match value {
                Some(value) => {
                    set.push_str(&format!(", {name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), AttributeValue::S(value));
                }
                None => remove.push(name),
            }
        }
        self.note(update.update_expression(expression(&set, &remove)), "used", "last_used_at", last_use.at).await
    }

    /// Notes that somebody used a secret that the token no longer has, unless that was noted within [`NOTED_EVERY`]
    /// seconds before.
    pub async fn note_retired_use(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        let update = self.update(id).update_expression("SET retired_used_at = :now, last_event = :event");
        self.note(update, "retired_secret_used", "retired_used_at", at).await
    }

    async fn note(
        &self,
        update: UpdateItemFluentBuilder,
        event: &str,
        attribute: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let before = Timestamp::from_secs(at.as_secs() - NOTED_EVERY);
        let update = update
            // Without the first condition a record that was just deleted would come back as a stump.
            .condition_expression(format!(
                "attribute_exists(id) AND (attribute_not_exists({attribute}) OR {attribute} <= :before)"
            ))
            .expression_attribute_values(":now", number(at))
            .expression_attribute_values(":before", number(before))
            .expression_attribute_values(":event", AttributeValue::S(event.into()))
            .set_return_values_on_condition_check_failure(None)
            .send()
            .await;
        match update {
            Err(error) if condition_failed(&error).is_none() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn update(&self, id: TokenId) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn query(&self, owner: &Owner) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            // `owner` is a reserved word of DynamoDB's expressions.
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", AttributeValue::S(owner.key.as_str().into()))
    }
}

/// If an update failed for its condition: what it found in its place, if anything.
fn condition_failed<R>(error: &SdkError<UpdateItemError, R>) -> Option<Option<&Item>> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(found)) => Some(found.item()),
        _ => None,
    }
}

/// An update that also sets these times, or removes those that are none.
fn set_or_remove(
    mut update: UpdateItemFluentBuilder,
    set: &str,
    remove: &[&str],
    times: [(&str, Option<Timestamp>); 2],
) -> UpdateItemFluentBuilder {
    let (mut set, mut remove) = (set.to_owned(), remove.to_vec());
    for (name, time) in times {
        match time {
            None => remove.push(name),
            Some(time) => {
                set.push_str(&format!(", {name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), number(time));
            }
        }
    }
    update.update_expression(expression(&set, &remove))
}

/// An update that sets this and removes these attributes, if any.
fn expression(set: &str, remove: &[&str]) -> String {
    if remove.is_empty() { format!("SET {set}") } else { format!("SET {set} REMOVE {}", remove.join(", ")) }
}

/// On condition that nothing of the record that counts has changed since it was read, and that it was not revoked.
fn if_unchanged(update: UpdateItemFluentBuilder, record: &Record) -> UpdateItemFluentBuilder {
    let condition = "#hash = :was_hash AND #name = :was_name AND scopes = :was_scopes AND subject = :subject \
                     AND attribute_not_exists(revoked_at)";
    let update = match record.times.expires_at {
        None => update.condition_expression(format!("{condition} AND attribute_not_exists(expires_at)")),
        Some(end) => update
            .condition_expression(format!("{condition} AND expires_at = :was_end"))
            .expression_attribute_values(":was_end", number(end)),
    };
    update
        .expression_attribute_names("#hash", "hash")
        .expression_attribute_names("#name", "name")
        .expression_attribute_values(":was_hash", binary(&record.hash))
        .expression_attribute_values(":was_name", AttributeValue::S(record.name.clone()))
        .expression_attribute_values(":was_scopes", texts(record.scopes.iter()))
        .expression_attribute_values(":subject", AttributeValue::S(record.subject.clone()))
}
