//! A record as an item of the table, and back.

use super::StoreError;
use crate::clock::Timestamp;
use crate::id::{OwnerKey, TokenId};
use crate::last_use::LastUse;
use crate::record::{Record, Retired, RevokedBy, Times};
use crate::scope::Scopes;
use crate::source::SourceAddresses;
use crate::token::TokenHash;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use std::fmt::Display;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Where a record lies.
pub(super) fn key(id: TokenId) -> Item {
    HashMap::from([
        ("owner".into(), AttributeValue::S(id.owner().as_str().into())),
        ("id".into(), AttributeValue::S(id.ulid().into())),
    ])
}

/// A new record.
pub(super) fn item(record: &Record, purge_at: Option<Timestamp>) -> Item {
    let mut item = key(record.id);
    item.extend([
        ("subject".into(), AttributeValue::S(record.subject.clone())),
        ("hash".into(), binary(&record.hash)),
        ("name".into(), AttributeValue::S(record.name.clone())),
        ("scopes".into(), texts(record.scopes.iter())),
        ("created_at".into(), number(record.times.created_at)),
        ("last_event".into(), AttributeValue::S("created".into())),
    ]);
    if !record.source_addresses.is_anywhere() {
        item.insert("source_addresses".into(), texts(record.source_addresses.iter()));
    }
    let times =
        [("expires_at", record.times.expires_at), ("revoked_at", record.times.revoked_at), ("purge_at", purge_at)];
    item.extend(times.into_iter().filter_map(|(name, time)| Some((name.into(), number(time?)))));
    item
}

/// The record that an item of this owner is.
pub(super) fn record(owner: OwnerKey, item: &Item) -> Result<Record, StoreError> {
    Ok(Record {
        id: TokenId::of(owner, text(item, "id")?).map_err(|_| StoreError::Corrupt("id"))?,
        subject: text(item, "subject")?.into(),
        hash: hash(item)?,
        retired: retired(item)?,
        name: text(item, "name")?.into(),
        scopes: parsed(item, "scopes")?.and_then(Scopes::new).ok_or(StoreError::Corrupt("scopes"))?,
        source_addresses: source_addresses(item)?,
        times: times(item)?,
        revoked_by: optional(item, "revoked_by")?.and_then(RevokedBy::from_word),
        leak_url: optional(item, "leak_url")?.map(str::to_owned),
        last_use: last_use(item)?,
    })
}

pub(super) fn times(item: &Item) -> Result<Times, StoreError> {
    Ok(Times {
        created_at: time(item, "created_at")?.ok_or(StoreError::Corrupt("created_at"))?,
        rotated_at: time(item, "rotated_at")?,
        expires_at: time(item, "expires_at")?,
        revoked_at: time(item, "revoked_at")?,
    })
}

pub(super) fn hash(item: &Item) -> Result<TokenHash, StoreError> {
    item.get("hash").and_then(as_hash).ok_or(StoreError::Corrupt("hash"))
}

fn as_hash(value: &AttributeValue) -> Option<TokenHash> {
    TokenHash::from_bytes(value.as_b().ok()?.as_ref())
}

pub(super) fn retired(item: &Item) -> Result<Retired, StoreError> {
    let Some(list) = item.get("retired") else { return Ok(Retired::default()) };
    let hashes = list.as_l().ok().and_then(|list| list.iter().map(as_hash).collect());
    Ok(Retired {
        hashes: hashes.ok_or(StoreError::Corrupt("retired"))?,
        overlap_ends_at: time(item, "overlap_ends_at")?,
    })
}

/// A binding that cannot be read must not be taken for none.
fn source_addresses(item: &Item) -> Result<SourceAddresses, StoreError> {
    let Some(blocks) = parsed(item, "source_addresses")? else { return Ok(SourceAddresses::default()) };
    let addresses = SourceAddresses::new(blocks).filter(|addresses| !addresses.is_anywhere());
    addresses.ok_or(StoreError::Corrupt("source_addresses"))
}

fn last_use(item: &Item) -> Result<Option<LastUse>, StoreError> {
    let Some(at) = time(item, "last_used_at")? else { return Ok(None) };
    let address = optional(item, "last_used_ip")?.and_then(|address| address.parse().ok());
    Ok(Some(LastUse { at, address, client: optional(item, "last_used_client")?.map(str::to_owned) }))
}

/// A list of texts, each read; `None` if there is none.
fn parsed<T: std::str::FromStr>(item: &Item, name: &'static str) -> Result<Option<Vec<T>>, StoreError> {
    let Some(list) = item.get(name) else { return Ok(None) };
    let list = list.as_l().ok().and_then(|list| list.iter().map(|text| text.as_s().ok()?.parse().ok()).collect());
    list.map(Some).ok_or(StoreError::Corrupt(name))
}

pub(super) fn text<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, StoreError> {
    optional(item, name)?.ok_or(StoreError::Corrupt(name))
}

fn optional<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a str>, StoreError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    value.as_s().map(|text| Some(text.as_str())).map_err(|_| StoreError::Corrupt(name))
}

pub(super) fn time(item: &Item, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    let time = value.as_n().ok().and_then(|secs| secs.parse().ok()).and_then(Timestamp::exactly);
    time.map(Some).ok_or(StoreError::Corrupt(name))
}

pub(super) fn number(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_secs().to_string())
}

pub(super) fn binary(hash: &TokenHash) -> AttributeValue {
    AttributeValue::B(Blob::new(hash.as_bytes()))
}

pub(super) fn texts(values: impl Iterator<Item = impl Display>) -> AttributeValue {
    AttributeValue::L(values.map(|value| AttributeValue::S(value.to_string())).collect())
}
