//! What the templates promise, held by reading them.

use local::template::Template;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// The properties of every resource of a type, by name.
fn resources(kind: &str) -> BTreeMap<String, Value> {
    resources_with(kind, &[])
}

/// The same, with parameters.
fn resources_with(kind: &str, parameters: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let template = Template::parse("template.yaml", TEMPLATE).unwrap();
    let mut given = vec![("Issuer", "https://issuer.example"), ("Audience", "registry")];
    given.extend(parameters);
    let given = given.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut evaluated = template.evaluate(&given).unwrap();
    for resource in evaluated.resources().unwrap() {
        evaluated.define(resource.id, resource.id);
        evaluated.define(format!("{}.Arn", resource.id), format!("arn of {}", resource.id));
        evaluated.define(format!("{}.StreamArn", resource.id), format!("stream of {}", resource.id));
        evaluated.define(format!("{}.QueueName", resource.id), resource.id);
    }
    let all = evaluated.resources().unwrap();
    let of_kind = all.iter().filter(|resource| resource.kind == kind);
    let globals = (kind == "AWS::Serverless::Function").then_some("Function");
    of_kind.map(|resource| (resource.id.to_string(), evaluated.properties(resource, globals, &[]).unwrap())).collect()
}

/// The functions that decide about requests to the registry.
const DECIDING: [&str; 3] = ["Authorize", "Introspect", "Verify"];

#[test]
fn each_functions_role_has_exactly_its_actions_on_the_table_and_its_own_log() {
    let roles = resources("AWS::IAM::Role");
    let functions = resources("AWS::Serverless::Function");
    let actions = [
        ("Authorize", json!(["dynamodb:GetItem"])),
        ("Burn", json!(["dynamodb:UpdateItem"])),
        ("Change", json!(["dynamodb:GetItem", "dynamodb:UpdateItem"])),
        ("Console", json!([])),
        ("Current", json!(["dynamodb:GetItem"])),
        ("Generate", json!(["dynamodb:PutItem", "dynamodb:Query"])),
        ("Introspect", json!(["dynamodb:GetItem"])),
        ("List", json!(["dynamodb:Query"])),
        ("Remind", json!(["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"])),
        ("Revoke", json!(["dynamodb:Query", "dynamodb:UpdateItem"])),
        ("Rotate", json!(["dynamodb:GetItem", "dynamodb:UpdateItem"])),
        ("Verify", json!(["dynamodb:GetItem"])),
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
fn an_existing_table_takes_the_place_of_the_stacks_own_everywhere() {
    let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/restored";
    let with = |kind| resources_with(kind, &[("ExistingTable", arn)]);
    assert_eq!(with("AWS::DynamoDB::Table"), BTreeMap::new());
    // Without its stream no events are raised and nobody is reminded: another region does.
    assert_eq!(with("AWS::Pipes::Pipe"), BTreeMap::new());
    let due = |functions: BTreeMap<String, Value>| functions["Remind"]["Events"]["Due"]["Properties"]["State"].clone();
    assert_eq!(due(with("AWS::Serverless::Function")), "DISABLED");
    let stream = format!("{arn}/stream/2027-01-05T12:00:00.000");
    let streaming = |kind| resources_with(kind, &[("ExistingTable", arn), ("ExistingTableStreamArn", &stream)]);
    assert_eq!(due(streaming("AWS::Serverless::Function")), "ENABLED");
    let pipes = streaming("AWS::Pipes::Pipe");
    assert!(pipes.len() == 2 && pipes.values().all(|pipe| pipe["Source"] == stream), "{pipes:?}");
    assert!(streaming("AWS::IAM::Role")["PipesRole"].to_string().contains(&stream));
    for (kind, mentions) in [
        ("AWS::Serverless::Function", "\"TABLE_NAME\":"),
        ("AWS::IAM::Role", "\"dynamodb:"),
        ("AWS::CloudWatch::Alarm", "\"TableName\""),
        ("AWS::CloudWatch::Dashboard", "TableName"),
    ] {
        let named = with(kind).into_iter().map(|(name, properties)| (name, properties.to_string()));
        for (name, properties) in named.filter(|(_, properties)| properties.contains(mentions)) {
            assert!(properties.contains("restored"), "{name}: {properties}");
            assert!(!properties.contains("Tokens"), "{name}: {properties}");
        }
    }
}

/// What a parameter may be beside its default, within its pattern.
fn another(name: &str) -> &'static str {
    match name {
        "ExistingTable" => "arn:aws:dynamodb:eu-west-1:123456789012:table/restored",
        "GitHubKeysUrl" => "https://keys.example",
        "GitLabTokenSha256" => "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        _ => "7",
    }
}

#[test]
fn every_parameter_that_a_function_with_an_alias_depends_on_makes_a_new_version() {
    let parameters = TEMPLATE.split("\nParameters:\n").nth(1).unwrap().split("\nConditions:\n").next().unwrap();
    let name = |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(str::to_owned);
    let names: Vec<_> = parameters.lines().filter_map(name).map(|line| line.trim_end_matches(':').to_owned()).collect();
    assert!(names.len() > 20, "{names:?}");
    let before = resources("AWS::Serverless::Function");
    let mut aliased = before.clone();
    aliased.retain(|_, function| function.get("AutoPublishAlias").is_some());
    assert!(aliased.contains_key("Authorize"));
    for name in &names {
        let after = resources_with("AWS::Serverless::Function", &[(name, another(name))]);
        for (function, before) in &aliased {
            let after = &after[function];
            // What it was built for changes with the code; how it is deployed is no part of it.
            let depends = ["Environment", "MemorySize", "Timeout"].iter().any(|part| before[part] != after[part]);
            let described = before["VersionDescription"] != after["VersionDescription"];
            assert_eq!(described, depends, "{function}: {name}");
            assert_eq!(after["AutoPublishAliasAllProperties"], true, "{function}");
        }
    }
}

#[test]
fn every_alarm_says_what_to_do_and_has_its_paragraph_in_the_readme() {
    let readme = include_str!("../../../../README.md");
    let alarms = resources("AWS::CloudWatch::Alarm");
    assert!(alarms.len() >= 9, "{:?}", alarms.keys());
    for (name, alarm) in &alarms {
        let description = alarm["AlarmDescription"].as_str().unwrap();
        assert!(description.len() > 60 && description.ends_with('.'), "{name}: {description}");
        assert!(readme.contains(&format!("**`{name}`**")), "the runbook has no paragraph on {name}");
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}: nobody asks at night");
    }
    let rollback = &resources("AWS::Serverless::Function")["Authorize"]["DeploymentPreference"]["Alarms"];
    for alarm in rollback.as_array().unwrap() {
        assert!(alarms.contains_key(alarm.as_str().unwrap()), "{alarm}");
    }
}

#[test]
fn the_dashboard_is_json_and_shows_every_function() {
    let body = resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"].as_str().unwrap().to_owned();
    let dashboard: Value = serde_json::from_str(&body).unwrap();
    let mut places = vec![];
    for widget in dashboard["widgets"].as_array().unwrap() {
        let number = |name: &str| widget[name].as_u64().unwrap();
        assert!(number("x") + number("width") <= 24, "{widget}");
        places.push((number("x"), number("y")));
        let searches = widget.pointer("/properties/metrics").unwrap().as_array().unwrap().iter();
        for search in searches.filter_map(|metric| metric.pointer("/0/expression")?.as_str()) {
            assert!(search.len() < 1024, "CloudWatch's limit: {search}");
            if search.contains("AWS/Lambda") {
                for function in resources("AWS::Serverless::Function").keys() {
                    assert!(search.contains(&format!("\"{function}\"")), "{function}: {search}");
                }
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), dashboard["widgets"].as_array().unwrap().len(), "no two in one place");
}

#[test]
fn every_route_takes_a_session_but_the_page_and_those_that_take_a_token_itself() {
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
        ("Burn", "DELETE /tokens/current", true),
        ("Burn", "POST /tokens/burn", true),
        ("Burn", "POST /leaks/github", true),
        ("Burn", "POST /leaks/gitlab/v1/revoke_tokens", true),
        ("Burn", "GET /leaks/gitlab/v1/revocable_token_types", true),
        ("Change", "PATCH /tokens/{id}", false),
        ("Console", "GET /console/{file}", true),
        ("Console", "GET /", true),
        ("Current", "GET /tokens/current", true),
        ("Generate", "POST /tokens", false),
        ("Introspect", "POST /introspect", true),
        ("List", "GET /tokens", false),
        ("List", "GET /tokens/{id}", false),
        ("Revoke", "DELETE /tokens", false),
        ("Revoke", "DELETE /tokens/{id}", false),
        ("Rotate", "POST /tokens/{id}/rotate", false),
        ("Verify", "ANY /verify/{proxy+}", true),
        ("Verify", "GET /verify", true),
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
