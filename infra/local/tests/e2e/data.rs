//! What a stack keeps, and where.

use crate::harness::Harness;
use http::Method;
use local::options::{Data, Options};
use local::stack::Stack;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn options(folder: &Path) -> Options {
    Options { data: Data::Dir(folder.join("data")), ..Options::in_memory() }
}

#[tokio::test]
async fn tokens_and_sessions_outlive_a_restart_and_the_key_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let begin = latchkey::clock::now().to_string();
    let first = Harness::start_from(&[], options(folder.path()), &begin).await;
    let session = first.session("alice").await;
    let token = first.token("alice", json!({"name": "kept", "scopes": ["read"]})).await;
    let ports = first.stack.ports();
    first.stack.shutdown().await;

    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/issuer-key.pem")), (0o700, 0o600));

    // The same ports: the issuer's address is a part of every session.
    let again = Options { ports, ..options(folder.path()) };
    let second = Harness::start_from(&[], again, &begin).await;
    let list = second.api(Method::GET, "/tokens", Some(&session), None).await;
    assert_eq!((list.status, &list.json["tokens"][0]["id"]), (200, &json!(token.id)));
    assert_eq!(second.registry(Method::GET, "/x", Some(&token.text)).await.status, 200);
    second.stack.shutdown().await;
}

#[tokio::test]
async fn another_table_name_is_another_table() {
    let mut options = Options::in_memory();
    options.environment.insert("TABLE_NAME".into(), "other".into());
    let stack = Stack::start(options).await.unwrap();
    let client = local::dynamodb::client(stack.ports().dynamodb).unwrap();
    assert_eq!(client.list_tables().send().await.unwrap().table_names(), ["other"]);
    let ttl = client.describe_time_to_live().table_name("other").send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("purge_at"));
    stack.shutdown().await;
}

#[tokio::test]
async fn wrong_settings_are_all_named_once_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    for (name, value) in [("MAX_TOKEN_DAYS", "many"), ("RETENTION_DAYS", "-1"), ("TOKEN_PREFIX", "")] {
        options.environment.insert(name.into(), value.into());
    }
    let error = Stack::start(options).await.err().unwrap().to_string();
    assert_eq!(
        error,
        "wrong settings:\n  MAX_TOKEN_DAYS is \"many\"; allowed: a whole number from 1 to 36500\n  \
         RETENTION_DAYS is \"-1\"; allowed: a whole number from 0 to 3650"
    );
    assert!(!folder.path().join("data").exists());
}
