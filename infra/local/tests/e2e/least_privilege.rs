//! The functions' roles, judged as IAM does: they allow what each function asks of DynamoDB, and nothing else.
//!
//! The conditions are those of DynamoDB's fine-grained access (developer guide, "Using IAM policy conditions for
//! fine-grained access control"). `ForAllValues` holds where a request has none of the values: such a condition on
//! `dynamodb:Attributes` binds only those that name attributes. `UpdateItem` always names its key's; `GetItem` and `Query`
//! without a projection name none, and give whole items.

use crate::events;
use crate::harness::Harness;
use crate::templates;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What is asked of DynamoDB, as IAM sees it.
#[derive(Clone, Debug, Default)]
struct Request {
    action: String,
    resource: String,
    /// `dynamodb:Attributes`
    attributes: BTreeSet<String>,
    /// `dynamodb:LeadingKeys`
    leading_keys: BTreeSet<String>,
    /// `dynamodb:ReturnValues`
    return_values: Option<String>,
}

/// The table of the templates, as a request that names it is about it.
const TABLE: &str = "arn of Tokens";

/// The statements of a function's role.
fn statements(function: &str) -> Vec<Value> {
    let role = &templates::resources("AWS::IAM::Role")[&format!("{function}Role")];
    role["Policies"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        .cloned()
        .collect()
}

fn one_or_many(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map_or_else(|| vec![value.as_str().unwrap()], |many| many.iter().map(|one| one.as_str().unwrap()).collect())
}

/// Deny beats Allow; what is not allowed is denied; an element that is not known here is no reason to allow.
fn allows(statements: &[Value], request: &Request) -> bool {
    let applying = statements.iter().filter(|statement| {
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        assert!(statement.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{statement}");
        one_or_many(&statement["Action"])
            .iter()
            .any(|pattern| matches(&pattern.to_lowercase(), &request.action.to_lowercase()))
            && one_or_many(&statement["Resource"]).iter().any(|pattern| matches(pattern, &request.resource))
            && statement["Condition"].as_object().into_iter().flatten().all(|(operator, keys)| {
                keys.as_object()
                    .unwrap()
                    .iter()
                    .all(|(key, values)| holds(operator, key, &one_or_many(values), request))
            })
    });
    let effects: Vec<_> = applying.map(|statement| statement["Effect"].as_str().unwrap()).collect();
    effects.contains(&"Allow") && !effects.contains(&"Deny")
}

/// `*` is any run of characters, `?` exactly one.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().map(|(at, _)| &text[at..]).chain([""]).any(|text| matches(rest, text))
        }
        Some(c) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|found| c == '?' || c == found)
                && matches(&pattern[c.len_utf8()..], chars.as_str())
        }
    }
}

fn holds(operator: &str, key: &str, values: &[&str], request: &Request) -> bool {
    let given: Vec<&str> = match key {
        "dynamodb:Attributes" => request.attributes.iter().map(String::as_str).collect(),
        "dynamodb:LeadingKeys" => request.leading_keys.iter().map(String::as_str).collect(),
        "dynamodb:ReturnValues" => request.return_values.as_deref().into_iter().collect(),
        _ => panic!("the condition key {key} is not known"),
    };
    match operator {
        "ForAllValues:StringEquals" => given.iter().all(|given| values.contains(given)),
        "StringEqualsIfExists" => given.first().is_none_or(|given| values.contains(given)),
        "StringEquals" => given.first().is_some_and(|given| values.contains(given)),
        _ => panic!("the operator {operator} is not known"),
    }
}

/// The data plane, and what would change or take away the table.
const ACTIONS: [&str; 26] = [
    "GetItem",
    "BatchGetItem",
    "Query",
    "Scan",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "ConditionCheckItem",
    "PartiQLSelect",
    "PartiQLInsert",
    "PartiQLUpdate",
    "PartiQLDelete",
    "DescribeTable",
    "UpdateTable",
    "DeleteTable",
    "CreateTable",
    "UpdateTimeToLive",
    "UpdateContinuousBackups",
    "CreateBackup",
    "ExportTableToPointInTime",
    "RestoreTableToPointInTime",
    "PutResourcePolicy",
    "DescribeStream",
    "GetRecords",
    "GetShardIterator",
];

/// Every attribute that a record can have.
const ATTRIBUTES: [&str; 22] = [
    "owner",
    "id",
    "subject",
    "hash",
    "name",
    "scopes",
    "created_at",
    "expires_at",
    "revoked_at",
    "purge_at",
    "rotated_at",
    "retired",
    "overlap_ends_at",
    "source_addresses",
    "last_used_at",
    "last_used_ip",
    "last_used_client",
    "retired_used_at",
    "revoked_by",
    "leak_url",
    "reminded",
    "last_event",
];

/// The attributes of a use, and those of a reminder.
const OF_USES: [&str; 7] =
    ["owner", "id", "last_event", "last_used_at", "last_used_client", "last_used_ip", "retired_used_at"];
const OF_REMINDERS: [&str; 6] = ["owner", "id", "expires_at", "last_event", "reminded", "revoked_at"];

/// What a function may do to the table, in its own words rather than the template's.
fn may(function: &str, action: &str, attributes: &[&str], partition: &str, returning: &str) -> bool {
    let within =
        |all: &[&str]| attributes.iter().all(|attribute| all.contains(attribute)) && !returning.starts_with("ALL");
    match (function, action) {
        ("Authorize" | "Change" | "Current" | "Rotate" | "Introspect" | "Verify", "GetItem") => true,
        ("Generate" | "List" | "Revoke", "Query") => true,
        ("Generate", "PutItem") => true,
        ("Change" | "Revoke" | "Rotate" | "Burn", "UpdateItem") => true,
        ("Authorize" | "Introspect" | "Verify", "UpdateItem") => within(&OF_USES),
        ("Remind", "UpdateItem") => within(&OF_REMINDERS),
        ("Remind", "PutItem" | "Query" | "DeleteItem") => partition == "due",
        _ => false,
    }
}

#[test]
fn each_function_may_do_to_the_table_what_it_is_for_and_nothing_else() {
    let mut allowed = 0;
    for function in templates::resources("AWS::Serverless::Function").keys() {
        let statements = statements(function);
        for action in ACTIONS {
            for resource in [
                TABLE,
                "arn of Tokens/index/by-hash",
                "arn of Tokens/stream/1",
                "stream of Tokens",
                "arn of Others",
                "*",
            ] {
                for partition in ["due", "0rvCADEGFT8wfR7Ts"] {
                    for returning in ["NONE", "UPDATED_NEW", "ALL_OLD", "ALL_NEW"] {
                        // Keys alone, with each other attribute, and with all of them.
                        let one = ATTRIBUTES.iter().map(|attribute| vec!["owner", "id", attribute]);
                        for attributes in one.chain([
                            vec!["owner", "id"],
                            OF_USES.to_vec(),
                            OF_REMINDERS.to_vec(),
                            ATTRIBUTES.to_vec(),
                        ]) {
                            let request = Request {
                                action: format!("dynamodb:{action}"),
                                resource: resource.into(),
                                attributes: attributes.iter().map(|attribute| attribute.to_string()).collect(),
                                leading_keys: [partition.to_owned()].into(),
                                return_values: Some(returning.into()),
                            };
                            let expected =
                                resource == TABLE && may(function, action, &attributes, partition, returning);
                            assert_eq!(allows(&statements, &request), expected, "{function}: {request:?}");
                            allowed += usize::from(expected);
                        }
                    }
                }
            }
        }
    }
    assert!(allowed > 1_000, "{allowed}");
}

#[test]
fn a_condition_on_all_values_binds_nobody_who_names_none() {
    let nothing = Request { action: "dynamodb:UpdateItem".into(), resource: TABLE.into(), ..Request::default() };
    assert!(allows(&statements("Authorize"), &nothing), "IAM's trap; no UpdateItem is without a key");
    let hash = Request { attributes: ["owner", "id", "hash"].map(String::from).into(), ..nothing };
    assert!(!allows(&statements("Authorize"), &hash));
    // A Query names its partition, since without one it is no Query.
    for function in ["Authorize", "Remind"] {
        for action in ["dynamodb:Scan", "dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate"] {
            let request = Request { action: action.into(), resource: TABLE.into(), ..Request::default() };
            assert!(!allows(&statements(function), &request), "{function} {action}");
        }
    }
}

#[test]
fn the_evaluator_knows_denials_wildcards_and_what_is_absent() {
    let request = Request { action: "dynamodb:GetItem".into(), resource: TABLE.into(), ..Request::default() };
    let statement =
        |effect: &str, action: &str, resource: &str| json!({"Effect": effect, "Action": action, "Resource": resource});
    assert!(!allows(&[], &request));
    assert!(allows(&[statement("Allow", "DynamoDB:Get*", "arn of Token?")], &request));
    assert!(!allows(&[statement("Allow", "*", "*"), statement("Deny", "dynamodb:*", TABLE)], &request));
    assert!(!allows(&[statement("Allow", "dynamodb:GetItem", "arn of Tokens/*")], &request));
    let mut conditioned = statement("Allow", "*", "*");
    conditioned["Condition"] = json!({"StringEquals": {"dynamodb:ReturnValues": "NONE"}});
    assert!(!allows(&[conditioned.clone()], &request), "without IfExists a value must be there");
    conditioned["Condition"] = json!({"StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"}});
    assert!(allows(&[conditioned], &request));
}

/// Takes down every request that a client sends, as IAM would see it.
#[derive(Clone, Debug, Default)]
struct Taken(Arc<Mutex<Vec<Request>>>);

impl Intercept for Taken {
    fn name(&self) -> &'static str {
        "Taken"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let action = request.headers().get("x-amz-target").unwrap().rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.0.lock().unwrap().push(seen(&action, &body));
        Ok(())
    }
}

/// A request's action, resource and condition keys.
fn seen(action: &str, body: &Value) -> Request {
    let resource = match &body["IndexName"] {
        Value::Null => TABLE.into(),
        index => format!("{TABLE}/index/{}", index.as_str().unwrap()),
    };
    assert_eq!(body["TableName"], "latchkey");
    for old in
        ["AttributesToGet", "AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ConditionalOperator"]
    {
        assert!(body[old].is_null(), "{old} is not looked into");
    }
    let keys =
        |field: &str| body[field].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<Vec<_>>();
    let mut attributes: BTreeSet<String> = keys("Key").into_iter().chain(keys("Item")).collect();
    for expression in [
        "UpdateExpression",
        "ConditionExpression",
        "KeyConditionExpression",
        "FilterExpression",
        "ProjectionExpression",
    ] {
        attributes.extend(named(body[expression].as_str().unwrap_or_default(), &body["ExpressionAttributeNames"]));
    }
    let mut leading_keys: BTreeSet<String> = BTreeSet::new();
    for field in ["Key", "Item"] {
        leading_keys.extend(body[field]["owner"]["S"].as_str().map(str::to_owned));
    }
    if let Some(condition) = body["KeyConditionExpression"].as_str() {
        let value = condition.strip_prefix("#owner = ").unwrap().split(' ').next().unwrap();
        leading_keys.extend(body["ExpressionAttributeValues"][value]["S"].as_str().map(str::to_owned));
        assert_eq!(leading_keys.len(), 1, "{condition}");
    }
    let return_values = body["ReturnValues"].as_str().map(str::to_owned);
    Request { action: format!("dynamodb:{action}"), resource, attributes, leading_keys, return_values }
}

/// The attributes that an expression names.
fn named(expression: &str, names: &Value) -> Vec<String> {
    const WORDS: [&str; 12] = [
        "SET",
        "REMOVE",
        "ADD",
        "DELETE",
        "AND",
        "OR",
        "NOT",
        "BETWEEN",
        "IN",
        "attribute_exists",
        "attribute_not_exists",
        "size",
    ];
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && !"_#:".contains(c));
    let names_of = |word: &str| match word.strip_prefix('#') {
        Some(_) => names[word].as_str().unwrap().to_owned(),
        None => word.to_owned(),
    };
    let attribute = |word: &&str| {
        !word.is_empty() && !word.starts_with(':') && !WORDS.contains(word) && word.parse::<u32>().is_err()
    };
    words.filter(attribute).map(names_of).collect()
}

#[test]
fn the_attributes_of_an_expression_are_found() {
    let names = json!({"#hash": "hash"});
    let found = named("SET #hash = :new, a_b = :x REMOVE c, d[0] AND (attribute_not_exists(e) OR f <= :g)", &names);
    assert_eq!(found, ["hash", "a_b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn every_request_that_a_function_sends_is_allowed_by_its_role() {
    let functions = templates::resources("AWS::Serverless::Function");
    let mut without = vec![];
    for name in functions.keys() {
        let (function, statements) = (name.to_lowercase(), statements(name));
        let mut sent = BTreeSet::new();
        for (event, json) in events::events(&function) {
            let stack = Harness::start().await;
            events::keep_records(&stack).await;
            // For `remind`: what was heard of before is due by now.
            if function == "remind" {
                stack.invoke("remind", events::events("remind")["created"].clone()).await.unwrap();
                stack.advance_days(365);
            }
            let taken = Taken::default();
            let client = Client::from_conf(stack.dynamodb().config().to_builder().interceptor(taken.clone()).build());
            let under_test = stack.function(&function, client);
            let _ = under_test.invoke(&json, stack.now()).await;
            under_test.settled().await;
            for request in std::mem::take(&mut *taken.0.lock().unwrap()) {
                assert!(allows(&statements, &request), "{function}, {event}: {request:?}");
                sent.insert(request.action);
            }
        }
        // Nor may it do anything that it never does.
        for action in ACTIONS.map(|action| format!("dynamodb:{action}")) {
            let may = statements.iter().any(|statement| one_or_many(&statement["Action"]).contains(&action.as_str()));
            if may && !sent.contains(&action) {
                without.push(format!("{name} {action}"));
            }
        }
    }
    assert_eq!(without, [] as [&str; 0], "permissions that no sample event needs");
}
