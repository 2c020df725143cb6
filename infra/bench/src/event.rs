//! The request that everybody is asked about, and the token that it carries.

use crate::Error;
use bytes::Bytes;
use latchkey::clock;
use latchkey::id::OwnerKey;
use latchkey::record::{Record, Retired, Times};
use latchkey::scope::Scopes;
use latchkey::source::SourceAddresses;
use latchkey::store::Store;
use latchkey::token::{Prefix, Token};
use local::deployment::Table;
use local::dynamodb;
use serde_json::json;

/// The table's name.
pub const TABLE: &str = "latchkey";

/// The stage of the API.
pub const STAGE: &str = "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod";

/// Five of them, as a team's pipeline has.
const SCOPES: [&str; 5] =
    ["read:*", "write:npm/@acme/*", "write:pypi/simple/acme/", "write:cargo/api/v1/crates/new", "read:v2/team/app/*"];

/// One request, as it is put to those who decide and to those who do less.
pub struct Events {
    /// The authorizer event, as a REST API sends it.
    pub authorize: Bytes,
    /// The key of the token's record.
    pub get_item: Bytes,
}

/// Makes the table and a token in it; with the requests that it is sent by.
pub async fn prepare(port: u16) -> Result<(Events, Token), Error> {
    let client = dynamodb::client(port)?;
    let key = ["owner", "id"].map(str::to_string);
    let table = Table {
        name: TABLE.into(),
        attributes: key.clone().map(|name| (name, "S".into())).into(),
        key: key.into_iter().zip(["HASH".into(), "RANGE".into()]).collect(),
        ttl: None,
        stream: false,
        deletion_protection: false,
    };
    dynamodb::ensure_table(&client, &table).await?;
    let token = mint()?;
    Store::new(client, TABLE.into()).create(&record(&token)?, None).await?;
    let key = json!({"owner": token.id().owner().as_str(), "id": token.id().ulid()});
    let events = Events {
        authorize: serde_json::to_vec(&rest_request(token.expose(), "GET", "npm/@acme%2fx", "192.0.2.1"))?.into(),
        get_item: serde_json::to_vec(&key)?.into(),
    };
    Ok((events, token))
}

/// A token.
pub fn mint() -> Result<Token, Error> {
    let owner = OwnerKey::of("https://issuer.example", "alice");
    Ok(Token::mint(&Prefix::default(), owner, clock::now()).map_err(|_| "no entropy")?)
}

/// Its record.
pub fn record(token: &Token) -> Result<Record, Error> {
    let now = clock::now();
    let scopes = SCOPES.iter().map(|scope| scope.parse()).collect::<Result<Vec<_>, _>>()?;
    Ok(Record {
        id: token.id(),
        subject: "alice@acme.example".into(),
        hash: token.hash(),
        retired: Retired::default(),
        name: "release pipeline".into(),
        scopes: Scopes::new(scopes).ok_or("no scopes")?,
        source_addresses: SourceAddresses::default(),
        times: Times { created_at: now, rotated_at: None, expires_at: Some(now.plus_days(90)), revoked_at: None },
        revoked_by: None,
        leak_url: None,
        last_use: None,
    })
}

/// The event for this method, and this path without its leading slash, from this address: with the headers that npm sends
/// and those that the gateway and CloudFront add.
pub fn rest_request(token: &str, method: &str, path: &str, address: &str) -> serde_json::Value {
    let headers = [
        ("Accept", "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Authorization", &format!("Bearer {token}")),
        ("Host", "abcdef1234.execute-api.eu-west-1.amazonaws.com"),
        ("User-Agent", "npm/11.19.0 node/v22.20.0 linux x64 workspaces/false ci/github-actions"),
        ("X-Amzn-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
        ("X-Forwarded-For", address),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
        ("npm-command", "install"),
        ("pacote-req-type", "packument"),
    ];
    let single: serde_json::Map<_, _> = headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let multi: serde_json::Map<_, _> = headers.iter().map(|(name, value)| (name.to_string(), json!([value]))).collect();
    json!({
        "type": "REQUEST",
        "methodArn": format!("{STAGE}/{method}/{path}"),
        "resource": "/{proxy+}",
        "path": format!("/{path}"),
        "httpMethod": method,
        "headers": single,
        "multiValueHeaders": multi,
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {"proxy": path},
        "stageVariables": {},
        "requestContext": {
            "resourceId": "05c7jb",
            "resourcePath": "/{proxy+}",
            "httpMethod": method,
            "extendedRequestId": "Vx2nUHgWDoEFfIA=",
            "requestTime": "24/Nov/2026:12:00:00 +0000",
            "path": format!("/prod/{path}"),
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "prod",
            "domainPrefix": "abcdef1234",
            "requestTimeEpoch": 1_795_521_600_000_i64,
            "requestId": "f1a6b9f0-7c4f-4a9b-9d4e-0c1d2e3f4a5b",
            "identity": {"sourceIp": address, "userAgent": "npm/11.19.0 node/v22.20.0 linux x64"},
            "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
            "apiId": "abcdef1234"
        }
    })
}
