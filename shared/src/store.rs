//! Where records are kept: one DynamoDB table, one item a token, partition `owner`, sort key `id` (the ULID).
//!
//! The only module that knows DynamoDB. Every method is one request, but for [`Store::count_active`], which is one a
//! page of 1 MB (some 2,000 records).

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::id::{OwnerKey, TokenId};
use crate::lifetime::Lifetime;
use crate::record::{Record, Status, Times};
use crate::scope::Scopes;
use crate::token::TokenHash;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

type Item = HashMap<String, AttributeValue>;

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

    /// Keeps a new record, until `purge_at` if that is given.
    ///
    /// An answer that got lost makes the SDK send the request again; the record it then finds in its place is its own.
    pub async fn create(&self, record: &Record, purge_at: Option<Timestamp>) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(record, purge_at)))
            .condition_expression("attribute_not_exists(id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else { return Ok(()) };
        if let Some(PutItemError::ConditionalCheckFailedException(found)) = error.as_service_error() {
            let found = found.item().and_then(|item| hash(item).ok());
            if found.is_some_and(|found| found.matches(&record.hash)) {
                return Ok(());
            }
        }
        Err(error.into())
    }

    /// The record of this token, as of now, if there is one.
    pub async fn get(&self, id: TokenId) -> Result<Option<Record>, StoreError> {
        let found =
            self.client.get_item().table_name(&self.table).set_key(Some(key(id))).consistent_read(true).send().await?;
        found.item.map(|item| record(id.owner(), &item)).transpose()
    }

    /// The caller's records from behind `after`, newest first, that `wanted` takes; at most `limit`.
    pub async fn list(
        &self,
        caller: &Caller,
        after: Option<TokenId>,
        limit: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Page, StoreError> {
        let found = self
            .query(caller.owner)
            .scan_index_forward(false)
            .limit(LOOKED_AT)
            .set_exclusive_start_key(after.map(key))
            .send()
            .await?;
        let mut records = vec![];
        for item in found.items() {
            let record = record(caller.owner, item)?;
            if record.subject != caller.subject || !wanted(&record) {
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
            Some(key) => Some(TokenId::of(caller.owner, text(key, "id")?).map_err(|_| StoreError::Corrupt("id"))?),
        };
        Ok(Page { records, next })
    }

    /// How many tokens of this owner are active, counted no further than `most`.
    pub async fn count_active(
        &self,
        caller: &Caller,
        now: Timestamp,
        lifetime: &Lifetime,
        most: u32,
    ) -> Result<u32, StoreError> {
        let mut active = 0;
        let mut start = None;
        loop {
            let page = self
                .query(caller.owner)
                .projection_expression("created_at, expires_at, revoked_at")
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

    /// Revokes the caller's token; `false` if they have none with this id. A second time changes nothing.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
        purge_at: Timestamp,
    ) -> Result<bool, StoreError> {
        if id.owner() != caller.owner {
            return Ok(false);
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .update_expression("SET revoked_at = :now, purge_at = :purge")
            .condition_expression("subject = :subject AND attribute_not_exists(revoked_at)")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":purge", number(purge_at))
            .expression_attribute_values(":subject", AttributeValue::S(caller.subject.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = update else { return Ok(true) };
        match error.as_service_error() {
            // Revoked before: by an earlier request, or by this one's first attempt.
            Some(UpdateItemError::ConditionalCheckFailedException(found)) => Ok(found
                .item()
                .is_some_and(|item| text(item, "subject").is_ok_and(|subject| subject == caller.subject))),
            _ => Err(error.into()),
        }
    }

    fn query(&self, owner: OwnerKey) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            // `owner` is a reserved word of DynamoDB's expressions.
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", AttributeValue::S(owner.as_str().into()))
    }
}

fn key(id: TokenId) -> Item {
    HashMap::from([
        ("owner".into(), AttributeValue::S(id.owner().as_str().into())),
        ("id".into(), AttributeValue::S(id.ulid().into())),
    ])
}

fn item(record: &Record, purge_at: Option<Timestamp>) -> Item {
    let scopes = record.scopes.iter().map(|scope| AttributeValue::S(scope.to_string())).collect();
    let mut item = key(record.id);
    item.extend([
        ("subject".into(), AttributeValue::S(record.subject.clone())),
        ("hash".into(), AttributeValue::B(Blob::new(record.hash.as_bytes()))),
        ("name".into(), AttributeValue::S(record.name.clone())),
        ("scopes".into(), AttributeValue::L(scopes)),
        ("created_at".into(), number(record.times.created_at)),
    ]);
    let times = [
        ("expires_at", record.times.expires_at),
        ("revoked_at", record.times.revoked_at),
        ("last_used_at", record.last_used_at),
        ("purge_at", purge_at),
    ];
    item.extend(times.into_iter().filter_map(|(name, time)| Some((name.into(), number(time?)))));
    item
}

fn record(owner: OwnerKey, item: &Item) -> Result<Record, StoreError> {
    let scopes = item.get("scopes").and_then(|scopes| scopes.as_l().ok()).ok_or(StoreError::Corrupt("scopes"))?;
    let scopes = scopes.iter().map(|scope| scope.as_s().ok()?.parse().ok()).collect::<Option<Vec<_>>>();
    Ok(Record {
        id: TokenId::of(owner, text(item, "id")?).map_err(|_| StoreError::Corrupt("id"))?,
        subject: text(item, "subject")?.into(),
        hash: hash(item)?,
        name: text(item, "name")?.into(),
        scopes: scopes.and_then(Scopes::new).ok_or(StoreError::Corrupt("scopes"))?,
        times: times(item)?,
        last_used_at: time(item, "last_used_at")?,
    })
}

fn times(item: &Item) -> Result<Times, StoreError> {
    Ok(Times {
        created_at: time(item, "created_at")?.ok_or(StoreError::Corrupt("created_at"))?,
        expires_at: time(item, "expires_at")?,
        revoked_at: time(item, "revoked_at")?,
    })
}

fn hash(item: &Item) -> Result<TokenHash, StoreError> {
    let bytes = item.get("hash").and_then(|hash| hash.as_b().ok());
    bytes.and_then(|bytes| TokenHash::from_bytes(bytes.as_ref())).ok_or(StoreError::Corrupt("hash"))
}

fn text<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, StoreError> {
    item.get(name).and_then(|text| text.as_s().ok()).map(String::as_str).ok_or(StoreError::Corrupt(name))
}

fn time(item: &Item, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    let secs = value.as_n().ok().and_then(|secs| secs.parse().ok());
    secs.map(|secs| Some(Timestamp::from_secs(secs))).ok_or(StoreError::Corrupt(name))
}

fn number(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_secs().to_string())
}
