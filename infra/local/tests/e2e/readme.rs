//! Every command of the README is run: here, by another test, or by `.ci/run`.

use crate::harness;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use local::{server, wire};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Commands that need what no test has, and what stands in for it.
const NOT_RUN: [(&str, &str); 9] = [
    ("sam build --template infra/template.yaml", "an arm64 toolchain; CI runs it for x86_64"),
    ("cargo lambda build --release --arm64", "an arm64 toolchain; CI runs it for x86_64"),
    (
        "sam deploy --guided --stack-name latchkey --capabilities CAPABILITY_IAM",
        "an AWS account; the one-machine stack stands in",
    ),
    (
        "sam deploy --guided --stack-name latchkey-registry --config-env registry --template infra/registry.yaml",
        "an AWS account; the one-machine stack stands in",
    ),
    ("sam deploy", "an AWS account"),
    (
        "aws lambda update-alias --name live --function-name \"$FUNCTION\" --function-version \"$VERSION\" \
         --routing-config AdditionalVersionWeights={}",
        "an AWS account",
    ),
    (
        "aws dynamodb restore-table-to-point-in-time --source-table-name \"$TABLE\" \
         --target-table-name \"$TABLE-restored\" --restore-date-time \"$MOMENT\"",
        "an AWS account: the embedded DynamoDB has no backups",
    ),
    (
        "aws dynamodb update-table --table-name \"$TABLE\" --replica-updates \"Create={RegionName=$REGION}\"",
        "an AWS account: the embedded DynamoDB has one region",
    ),
    ("cargo deny --locked check advisories", "RustSec's database, a git repository that CI does not reach"),
];

/// Commands that `.ci/run` has, word for word.
const BY_CI: [&str; 9] = [
    "cargo test --workspace",
    "cargo lambda build --release",
    "cargo run --release -p latchkey-bench --bin bench",
    "cargo run --release -p latchkey-bench --bin scale",
    "cargo run --release -p latchkey-bench --bin load",
    "cargo bench -p latchkey-bench",
    "cargo fuzz run -s none --fuzz-dir infra/fuzz --target-dir target/fuzz \"$target\"",
    "cargo deny --locked check bans licenses sources",
    ".ci/bom",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shell blocks of the README.
fn blocks() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_of_the_readme_is_run_by_a_test_or_by_ci() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    for command in BY_CI {
        assert!(ci.contains(command), "{command}");
    }
    for block in blocks() {
        for line in block.lines() {
            let here = line.contains("curl")
                || line.contains("$CREATED")
                || line.contains("$TOKEN")
                || line.starts_with("cargo lambda invoke")
                || line.starts_with("cargo lambda deploy");
            let known = here
                || line == "cargo run"
                || line == "cargo lambda watch"
                || line.starts_with("export AWS_")
                || BY_CI.contains(&line)
                || NOT_RUN.iter().any(|(command, _)| *command == line);
            assert!(known, "who runs {line:?}?");
        }
    }
}

#[tokio::test]
async fn the_first_token_of_the_readme_does_what_it_says() {
    let stack = harness::Harness::start_now().await;
    let ports = stack.stack.ports();
    let curl = |block: &String| block.contains("curl") && !block.contains("cargo");
    let script: String = blocks().into_iter().filter(curl).collect::<Vec<_>>().join("echo\n");
    let script = script
        .replace(":3000", &format!(":{}", ports.api))
        .replace(":3001", &format!(":{}", ports.registry))
        .replace(":3002", &format!(":{}", ports.identity))
        // A line of output for each answer.
        .replace("\ncurl", "\necho; curl");
    assert!(script.contains("curl"));
    if harness::lacks(&["curl"]) {
        return;
    }
    let run = tokio::task::spawn_blocking(move || Command::new("sh").args(["-ec", &script]).output().unwrap());
    let output = String::from_utf8(run.await.unwrap().stdout).unwrap();
    let lines: Vec<_> = output.lines().filter(|line| !line.is_empty()).collect();
    let expected = [
        "lk_",
        "\"path\":\"/pypi/simple/\"",
        "\"method\":\"PUT\",\"path\":\"/npm/@acme/x\"",
        "This request needs write:npm/other.",
        "\"status\":\"active\"",
        "was revoked on",
    ];
    assert_eq!(lines.len(), expected.len(), "{output}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

/// A process that ends with the test, and those that it has started with it.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_functions_answer_the_readmes_invocations() {
    if harness::lacks(&["cargo-lambda"]) {
        return;
    }
    let stack = harness::Harness::start_now().await;
    let mut watch = Command::new("cargo");
    watch.args(["lambda", "watch", "--ignore-changes"]).current_dir(root());
    watch.env("AWS_ENDPOINT_URL_DYNAMODB", stack.dynamodb_url());
    for (name, value) in
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")]
    {
        watch.env(name, value);
    }
    let mut watch = Watch(watch.spawn().unwrap());
    while tokio::net::TcpStream::connect("127.0.0.1:9000").await.is_err() {
        assert!(watch.0.try_wait().unwrap().is_none(), "`cargo lambda watch` ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let invoke = |block: &String| block.starts_with("cargo lambda invoke");
    let lines: Vec<_> =
        blocks().into_iter().filter(invoke).flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let expected = ["\"statusCode\":201", "\"statusCode\":200", "\"statusCode\":404", "\"Effect\":\"Deny\""];
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.into_iter().zip(expected) {
        let mut invoke = tokio::process::Command::new("sh");
        invoke.args(["-c", &line]).current_dir(root()).kill_on_drop(true);
        // It compiles the function first, and waits for ever for one that does not compile.
        let output = tokio::time::timeout(Duration::from_secs(900), invoke.output()).await;
        let output = output.unwrap_or_else(|_| panic!("{line}: no answer in 15 minutes")).unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.contains(expected), "{line}: {answer} {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A stand-in for Lambda's API that knows one function, with a role, a variable and the alias `live`.
fn lambda(method: &str, path: &str) -> Value {
    match (method, path.rsplit('/').next()) {
        ("PUT", Some("code")) => {
            json!({"FunctionArn": "arn:aws:lambda:us-east-1:1:function:authorizer", "Version": "7"})
        }
        (_, Some("live")) => json!({"Name": "live", "FunctionVersion": "6"}),
        _ => json!({"Configuration": {
            "FunctionArn": "arn:aws:lambda:us-east-1:1:function:authorizer", "Role": "arn:aws:iam::1:role/authorizer",
            "Environment": {"Variables": {"TABLE_NAME": "tokens"}}, "MemorySize": 256, "Timeout": 5,
            "State": "Active", "LastUpdateStatus": "Successful",
        }}),
    }
}

#[tokio::test]
async fn a_function_deployed_alone_keeps_its_configuration_and_its_alias_turns_to_it() {
    if harness::lacks(&["cargo-lambda"]) {
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let calls = Arc::new(Mutex::new(vec![]));
    let kept = Arc::clone(&calls);
    server::serve(listener, stopped, move |request: Request<hyper::body::Incoming>, _| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, body) = request.into_parts();
            let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
            let mut body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
            let answer = wire::json(StatusCode::OK, &lambda(&method, &path));
            if let Some(archive) = body.get_mut("ZipFile") {
                *archive = json!("…");
            }
            kept.lock().unwrap().push((method, path, body));
            answer
        }
    });
    let built = tempfile::tempdir().unwrap();
    std::fs::create_dir(built.path().join("authorize")).unwrap();
    // Any program will do: the archive is not run.
    std::fs::copy("/bin/sh", built.path().join("authorize/bootstrap")).unwrap();
    let blocks = blocks();
    let line = blocks.iter().flat_map(|block| block.lines()).find(|line| line.starts_with("cargo lambda deploy"));
    let mut deploy = Command::new("sh");
    deploy.args(["-ec", &format!("{} --lambda-dir {}", line.unwrap(), built.path().display())]).current_dir(root());
    deploy.envs([("FUNCTION", "authorizer"), ("AWS_ENDPOINT_URL", &url), ("AWS_REGION", "us-east-1")]);
    deploy.envs([("AWS_ACCESS_KEY_ID", "none"), ("AWS_SECRET_ACCESS_KEY", "none")]);
    let output = tokio::task::spawn_blocking(move || deploy.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let writes: Vec<_> = calls.lock().unwrap().iter().filter(|(method, ..)| method != "GET").cloned().collect();
    let function = "/2015-03-31/functions/authorizer";
    assert_eq!(
        writes,
        [
            ("PUT".to_owned(), format!("{function}/code"), json!({"Publish": true, "ZipFile": "…"})),
            ("PUT".to_owned(), format!("{function}/aliases/live"), json!({"FunctionVersion": "7"})),
        ]
    );
}
