//! What the templates promise, held by reading them.

use local::template::Template;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// The properties of every resource of a type, by name.
fn resources(kind: &str) -> BTreeMap<String, Value> {
    let template = Template::parse("template.yaml", TEMPLATE).unwrap();
    let given = [("Issuer", "https://issuer.example"), ("Audience", "registry")];
    let mut evaluated =
        template.evaluate(&given.map(|(name, value)| (name.to_string(), value.to_string())).into()).unwrap();
    for resource in evaluated.resources().unwrap() {
        evaluated.define(resource.id, resource.id);
        evaluated.define(format!("{}.Arn", resource.id), format!("arn of {}", resource.id));
        evaluated.define(format!("{}.StreamArn", resource.id), format!("stream of {}", resource.id));
        evaluated.define(format!("{}.QueueName", resource.id), resource.id);
    }
    let all = evaluated.resources().unwrap();
    let of_kind = all.iter().filter(|resource| resource.kind == kind);
    of_kind.map(|resource| (resource.id.to_string(), evaluated.properties(resource, None, &[]).unwrap())).collect()
}

/// The functions that decide about requests to the registry.
const DECIDING: [&str; 1] = ["Authorize"];

#[test]
fn each_functions_role_has_exactly_its_actions_on_the_table_and_its_own_log() {
    let roles = resources("AWS::IAM::Role");
    let functions = resources("AWS::Serverless::Function");
    let actions = [
        ("Authorize", json!(["dynamodb:GetItem"])),
        ("Change", json!(["dynamodb:GetItem", "dynamodb:UpdateItem"])),
        ("Console", json!([])),
        ("Current", json!(["dynamodb:GetItem"])),
        ("Generate", json!(["dynamodb:PutItem", "dynamodb:Query"])),
        ("List", json!(["dynamodb:Query"])),
        ("Remind", json!(["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"])),
        ("Revoke", json!(["dynamodb:Query", "dynamodb:UpdateItem"])),
        ("Rotate", json!(["dynamodb:GetItem", "dynamodb:UpdateItem"])),
    ];
    assert_eq!(functions.keys().collect::<Vec<_>>(), actions.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let of_functions = roles.keys().filter(|role| *role != "PipesRole").count();
    assert_eq!((of_functions, roles.len()), (actions.len(), actions.len() + 1), "one role a function, and the pipes'");
    for (function, actions) in actions {
        assert_eq!(functions[function]["Role"], format!("arn of {function}Role"));
        let role = &roles[&format!("{function}Role")];
        let policies = role["Policies"].as_array().unwrap();
        assert_eq!(policies.len(), 1, "{function}");
        let log = json!({
            "Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": format!("arn of {function}Log"),
        });
        let table = json!({"Effect": "Allow", "Action": actions, "Resource": "arn of Tokens"});
        // Those that decide may note a use, in the attributes that tell of it and no others.
        let uses = json!({
            "Effect": "Allow", "Action": ["dynamodb:UpdateItem"], "Resource": "arn of Tokens",
            "Condition": {
                "ForAllValues:StringEquals": {"dynamodb:Attributes": [
                    "owner", "id", "last_event", "last_used_at", "last_used_client", "last_used_ip", "retired_used_at",
                ]},
                "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]},
            },
        });
        let mut queue = table.clone();
        queue["Condition"] = json!({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["due"]}});
        let mut reminded = uses.clone();
        reminded["Condition"]["ForAllValues:StringEquals"] =
            json!({"dynamodb:Attributes": ["owner", "id", "expires_at", "last_event", "reminded", "revoked_at"]});
        let undelivered =
            json!({"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": "arn of UndeliveredEvents"});
        let expected = match function {
            "Console" => json!([log]),
            "Remind" => json!([queue, reminded, undelivered, log]),
            function if DECIDING.contains(&function) => json!([table, uses, log]),
            _ => json!([table, log]),
        };
        assert_eq!(policies[0]["PolicyDocument"]["Statement"], expected, "{function}");
        assert_eq!(
            role["AssumeRolePolicyDocument"]["Statement"],
            json!([{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}])
        );
        let known = ["AssumeRolePolicyDocument", "Policies"];
        assert!(
            role.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())),
            "{function}: nothing beside"
        );
        assert_eq!(functions[function].get("Policies"), None, "{function}: SAM adds nothing");
    }
}

#[test]
fn the_table_is_kept_whatever_happens_to_the_stack() {
    let table = &resources("AWS::DynamoDB::Table")["Tokens"];
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": "purge_at", "Enabled": true}));
    assert_eq!(table.get("GlobalSecondaryIndexes"), None);
    assert_eq!(table["StreamSpecification"], json!({"StreamViewType": "NEW_AND_OLD_IMAGES"}));
    let protected = TEMPLATE.split("\n  Tokens:\n").nth(1).unwrap();
    assert!(
        protected.starts_with(
            "    Type: AWS::DynamoDB::Table\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n"
        )
    );
}

#[test]
fn every_route_takes_a_session_but_the_page_and_what_a_token_says_of_itself() {
    let functions = resources("AWS::Serverless::Function");
    let mut routes = vec![];
    for (name, function) in &functions {
        let events = function["Events"].as_object().into_iter().flat_map(|events| events.values());
        for event in events.filter(|event| event["Type"] == "HttpApi") {
            let route = &event["Properties"];
            let open = match &route["Auth"] {
                Value::Null => false,
                auth => *auth == json!({"Authorizer": "NONE"}),
            };
            routes.push((
                name.as_str(),
                format!("{} {}", route["Method"].as_str().unwrap(), route["Path"].as_str().unwrap()),
                open,
            ));
        }
    }
    let expected = [
        ("Change", "PATCH /tokens/{id}", false),
        ("Console", "GET /console/{file}", true),
        ("Console", "GET /", true),
        ("Current", "GET /tokens/current", true),
        ("Generate", "POST /tokens", false),
        ("List", "GET /tokens", false),
        ("List", "GET /tokens/{id}", false),
        ("Revoke", "DELETE /tokens", false),
        ("Revoke", "DELETE /tokens/{id}", false),
        ("Rotate", "POST /tokens/{id}/rotate", false),
    ];
    assert_eq!(routes, expected.map(|(name, route, open)| (name, route.to_string(), open)));
    assert_eq!(resources("AWS::Serverless::HttpApi")["Api"]["Auth"]["DefaultAuthorizer"], "Session");
}

#[test]
fn the_pipes_role_may_read_the_stream_put_events_and_say_what_was_lost() {
    let role = &resources("AWS::IAM::Role")["PipesRole"];
    let may = |action: Value, resource: &str| json!({"Effect": "Allow", "Action": action, "Resource": resource});
    let stream = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    let expected = json!([
        may(json!(stream.map(|action| format!("dynamodb:{action}"))), "stream of Tokens"),
        may(json!(["events:PutEvents"]), "arn of Events"),
        may(json!(["sqs:SendMessage"]), "arn of UndeliveredEvents"),
    ]);
    let policies = role["Policies"].as_array().unwrap();
    assert_eq!((policies.len(), &policies[0]["PolicyDocument"]["Statement"]), (1, &expected));
    assert_eq!(
        role["AssumeRolePolicyDocument"]["Statement"],
        json!([{
            "Effect": "Allow", "Principal": {"Service": "pipes.amazonaws.com"}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        }])
    );
    assert!(
        role.as_object().unwrap().keys().all(|key| ["AssumeRolePolicyDocument", "Policies"].contains(&key.as_str()))
    );
}

#[test]
fn no_event_is_lost_at_deployment_or_in_silence() {
    let pipes = resources("AWS::Pipes::Pipe");
    // More than two readers of one stream are throttled.
    assert_eq!(pipes.keys().collect::<Vec<_>>(), ["Changes", "Purges"]);
    for (name, pipe) in &pipes {
        let stream = &pipe["SourceParameters"]["DynamoDBStreamParameters"];
        assert_eq!(stream["StartingPosition"], "TRIM_HORIZON", "{name}");
        assert_eq!(stream["DeadLetterConfig"]["Arn"], "arn of UndeliveredEvents", "{name}");
        // The stream keeps a day.
        let age = stream["MaximumRecordAgeInSeconds"].as_i64().unwrap();
        assert!((1..86_400).contains(&age), "{name}: there is time left to look for what was lost");
        assert_eq!(pipe["RoleArn"], "arn of PipesRole", "{name}");
    }
    let queue = &resources("AWS::SQS::Queue")["UndeliveredEvents"];
    assert_eq!(*queue, json!({"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": true}));
    let alarm = &resources("AWS::CloudWatch::Alarm")["EventsLost"];
    assert_eq!(alarm["Dimensions"], json!([{"Name": "QueueName", "Value": "UndeliveredEvents"}]));
}

#[test]
fn both_pipes_say_the_same_of_a_token_and_no_hash() {
    let pipes = resources("AWS::Pipes::Pipe");
    let template = |pipe: &str| pipes[pipe]["TargetParameters"]["InputTemplate"].as_str().unwrap().to_owned();
    let event = "\"<$.dynamodb.NewImage.last_event.S>\"";
    assert_eq!(template("Changes").replace(event, "\"purged\"").replace("NewImage", "OldImage"), template("Purges"));
    for secret in ["hash", "retired.", "Image>"] {
        assert!(!template("Changes").contains(secret), "{secret}");
    }
}
