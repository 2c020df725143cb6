//! `infra/openapi.yaml` against the service: the same routes, answers, limits and problems.

use crate::events::{self, STATUS};
use crate::harness::{self, Harness};
use crate::leaks::{self, GitHub, Signer};
use http::Method;
use jsonschema::Validator;
use local::deployment::Latchkey;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../openapi.yaml");

/// The methods that `ANY` stands for.
const ANY: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(list) => list.iter().map(json_of).collect(),
        Yaml::Mapping(map) => {
            let entries = map.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json_of(value)));
            Value::Object(entries.collect())
        }
        other => panic!("{other:?}"),
    }
}

/// The document.
struct Document(Value);

/// One operation of it.
struct Operation<'a> {
    document: &'a Document,
    /// Its method, in capitals, and its path.
    key: String,
    /// Its place in the document.
    place: String,
}

impl Document {
    fn read() -> Self {
        Self(json_of(&Yaml::load_from_str(DOCUMENT).unwrap()[0]))
    }

    /// What lies at a place, references followed, and the place where it lies.
    fn at(&self, place: &str) -> Option<(&Value, String)> {
        let value = self.0.pointer(place)?;
        match value["$ref"].as_str() {
            Some(reference) if value.as_object().unwrap().len() == 1 => self.at(reference.strip_prefix('#').unwrap()),
            _ => Some((value, place.to_owned())),
        }
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = vec![];
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| ANY.contains(&key.to_uppercase().as_str())) {
                let place = format!("/paths/{}/{method}", path.replace('/', "~1"));
                operations.push(Operation { document: self, key: format!("{} {path}", method.to_uppercase()), place });
            }
        }
        operations
    }

    fn operation(&self, key: &str) -> Operation<'_> {
        self.operations().into_iter().find(|operation| operation.key == key).unwrap_or_else(|| panic!("{key}"))
    }

    /// What is valid by the schema at a place.
    fn validator(&self, place: &str) -> Validator {
        assert!(self.0.pointer(place).is_some(), "{place}");
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.0["components"], "paths": self.0["paths"], "$ref": format!("#{}", fragment(place)),
        });
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    }

    fn check(&self, place: &str, instance: &Value, what: &str) {
        let validator = self.validator(place);
        let errors: Vec<_> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what} is not as {place} says: {errors:#?}\n{instance:#}");
    }

    /// A number of the document's.
    fn number(&self, place: &str) -> usize {
        let number = self.0.pointer(place).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number at {place}")) as usize
    }
}

/// A place as it stands in an address: three characters of ours are no part of one.
fn fragment(place: &str) -> String {
    place.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")
}

impl Operation<'_> {
    fn value(&self) -> &Value {
        self.document.0.pointer(&self.place).unwrap()
    }

    fn takes_a_session(&self) -> bool {
        let security = self.value().get("security").unwrap_or(&self.document.0["security"]);
        security.as_array().unwrap().iter().any(|scheme| scheme.get("session").is_some())
    }

    /// Holds an answer of the function behind it against what the document says of it.
    fn check(&self, what: &str, answer: &Value) {
        let status = answer["statusCode"].as_u64().unwrap();
        let what = format!("{what}: {} {status}", self.key);
        let response = self.document.at(&format!("{}/responses/{status}", self.place));
        let (response, place) = response.unwrap_or_else(|| panic!("{what} is not in the document"));
        let headers = answer["headers"].as_object().unwrap();
        let empty = Map::new();
        for name in response["headers"].as_object().unwrap_or(&empty).keys() {
            let (header, place) = self.document.at(&format!("{place}/headers/{name}")).unwrap();
            match headers.get(&name.to_lowercase()) {
                Some(value) => self.document.check(&format!("{place}/schema"), value, &what),
                None => assert_ne!(header["required"], true, "{what}: {name}"),
            }
        }
        let body = answer["body"].as_str().unwrap_or_default();
        let Some(content) = response["content"].as_object() else {
            assert_eq!(body, "", "{what}");
            return;
        };
        let content_type = headers["content-type"].as_str().unwrap();
        assert!(content.contains_key(content_type), "{what}: {content_type}");
        let instance = match content_type.ends_with("json") {
            true => serde_json::from_str(body).unwrap(),
            false => json!(body),
        };
        let media = content_type.replace('/', "~1");
        self.document.check(&format!("{place}/content/{media}/schema"), &instance, &what);
    }
}

fn routes() -> BTreeSet<(String, bool)> {
    let parameters = [("Issuer", "https://issuer.example"), ("Audience", "registry")];
    let parameters = parameters.map(|(name, value)| (name.to_string(), value.to_string())).into();
    let routes = Latchkey::new(&parameters, &BTreeMap::new()).unwrap().routes;
    let keys = routes.iter().flat_map(|route| {
        let methods = route.method.as_ref().map_or(ANY.to_vec(), |method| vec![method.as_str()]);
        let path = route.path.replace("+}", "}");
        methods.into_iter().map(move |method| (format!("{method} {path}"), !route.open))
    });
    keys.collect()
}

#[test]
fn the_document_has_the_templates_routes_and_no_others() {
    let document = Document::read();
    let documented: BTreeSet<_> =
        document.operations().iter().map(|operation| (operation.key.clone(), operation.takes_a_session())).collect();
    assert_eq!(documented, routes());
}

#[test]
fn every_operation_has_a_name_of_its_own_and_a_summary() {
    let document = Document::read();
    let operations = document.operations();
    let names: BTreeSet<_> = operations.iter().map(|operation| operation.value()["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len());
    let tags: Vec<_> = document.0["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for operation in &operations {
        assert!(operation.value()["summary"].is_string(), "{}", operation.key);
        assert!(tags.contains(&&operation.value()["tags"][0]), "{}", operation.key);
    }
}

#[tokio::test]
async fn every_event_is_answered_as_the_document_says() {
    let document = Document::read();
    for (function, _) in STATUS {
        for (name, event) in events::events(function) {
            let stack = Harness::start().await;
            events::keep_records(&stack).await;
            let (method, path) = (&event["requestContext"]["http"]["method"], event["routeKey"].as_str().unwrap());
            let path = path.split_once(' ').unwrap().1.replace("+}", "}");
            let operation = document.operation(&format!("{} {path}", method.as_str().unwrap()));
            let answer = stack.invoke(function, event).await.unwrap();
            operation.check(&format!("{function}/{name}"), &answer);
        }
    }
}

/// Every example in the document, with the place of its schema.
fn examples(place: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            let schema = format!("{place}/schema");
            if let (Some(example), true) = (map.get("example"), map.contains_key("schema")) {
                found.push((schema.clone(), example.clone()));
            }
            match map.get("examples") {
                Some(Value::Object(named)) => {
                    found.extend(named.values().map(|example| (schema.clone(), example["value"].clone())));
                }
                Some(Value::Array(list)) => {
                    found.extend(list.iter().map(|example| (place.to_owned(), example.clone())))
                }
                _ => {}
            }
            for (key, value) in map.iter().filter(|(key, _)| *key != "examples") {
                examples(&format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), value, found);
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                examples(&format!("{place}/{i}"), value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_example_is_valid_by_its_own_schema() {
    let document = Document::read();
    let mut found = vec![];
    examples("", &document.0, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (place, example) in found {
        document.check(&place, &example, "an example");
    }
}

/// Every type of problem that a text names.
fn problems(text: &str) -> BTreeSet<&str> {
    let ends = |c: char| !c.is_ascii_lowercase() && c != '-';
    let start = "urn:latchkey:problem:";
    let places = text.match_indices(start).map(|(at, _)| (at, at + start.len()));
    let found = places.map(|(at, name)| &text[at..name + text[name..].find(ends).unwrap_or(0)]);
    found.filter(|problem| *problem != start).collect()
}

#[test]
fn the_document_has_every_type_of_problem_that_there_is() {
    let there_are = problems(include_str!("../../../../shared/src/problem.rs"));
    assert_eq!(problems(DOCUMENT), there_are);
}

/// A body of so many bytes.
fn padded(body: &str, length: usize) -> String {
    body.to_owned() + &" ".repeat(length - body.len())
}

#[tokio::test]
async fn the_documents_limits_are_those_that_are_kept() {
    let document = Document::read();
    let limit = |place: &str| document.number(&format!("/components/schemas/{place}"));
    let stack = Harness::start_with(&[("ADMIN_GROUP", "admins"), ("MAX_ACTIVE_TOKENS", "1000")]).await;
    let session = stack.session_in("alice", "admins").await;
    let wished = async |change: Value| {
        let mut wish = json!({"name": "t", "scopes": ["read"]});
        wish.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        stack.api(Method::POST, "/tokens", Some(&session), Some(&wish)).await.status
    };

    let name = |length: usize| json!({"name": "é".repeat(length)});
    let scopes = |many: usize| json!({"scopes": (0..many).map(|i| format!("read:{i}")).collect::<Vec<_>>()});
    let scope =
        |start: &str, length: usize| json!({"scopes": [format!("{start}{}", "a".repeat(length - start.len()))]});
    let read = |length| scope("read:", length);
    let write = |length| scope("write:", length);
    let addresses =
        |many: usize| json!({"source_addresses": (0..many).map(|i| format!("192.0.2.{i}")).collect::<Vec<_>>()});
    let service = |length: usize| json!({"service": "s".repeat(length)});
    let wishes: [(&str, &dyn Fn(usize) -> Value); 6] = [
        ("Name/maxLength", &name),
        ("WishedScopes/maxItems", &scopes),
        ("Scope/anyOf/0/maxLength", &read),
        ("Scope/anyOf/1/maxLength", &write),
        ("SourceAddresses/maxItems", &addresses),
        ("NewToken/properties/service/maxLength", &service),
    ];
    for (place, wish) in wishes {
        let most = limit(place);
        assert_eq!((wished(wish(most)).await, wished(wish(most + 1)).await), (201, 400), "{place}");
    }
    for place in ["Name/minLength", "NewToken/properties/service/minLength"] {
        assert_eq!(limit(place), 1, "{place}");
    }
    assert_eq!(limit("WishedScopes/minItems"), 1);
    for empty in [name(0), scopes(0), service(0)] {
        assert_eq!(wished(empty.clone()).await, 400, "{empty}");
    }

    let token = stack.token("alice", json!({"name": "t", "scopes": ["read"]})).await;
    let rotate = format!("/tokens/{}/rotate", token.id);
    let change = format!("/tokens/{}", token.id);
    let overlap = "Rotation/properties/overlap_seconds";
    let most = limit(&format!("{overlap}/maximum"));
    assert_eq!(limit(&format!("{overlap}/minimum")), 0);
    for (seconds, status) in [(json!(-1), 400), (json!(0), 200), (json!(most), 200), (json!(most + 1), 400)] {
        let body = json!({"overlap_seconds": seconds});
        assert_eq!(stack.api(Method::POST, &rotate, Some(&session), Some(&body)).await.status, status, "{seconds}");
    }

    for (method, path, place, body) in [
        (Method::POST, "/tokens", "~1tokens/post", r#"{"name": "t", "scopes": ["read"]}"#),
        (Method::POST, rotate.as_str(), "~1tokens~1{id}~1rotate/post", "{}"),
        (Method::PATCH, change.as_str(), "~1tokens~1{id}/patch", r#"{"name": "t"}"#),
    ] {
        let most = document.number(&format!("/paths/{place}/requestBody/x-max-bytes"));
        for (length, taken) in [(most, true), (most + 1, false)] {
            let reply = stack.api_raw(method.clone(), path, Some(&session), padded(body, length).into()).await;
            assert_eq!((reply.status < 300, reply.status == 413), (taken, !taken), "{place}: {reply:?}");
        }
    }

    let place = "/paths/~1tokens/get/parameters/1/schema";
    let (least, most) = (document.number(&format!("{place}/minimum")), document.number(&format!("{place}/maximum")));
    assert_eq!(most, limit("Page/properties/tokens/maxItems"));
    for (number, status) in [(least, 200), (most, 200), (least - 1, 400), (most + 1, 400)] {
        let page = stack.api(Method::GET, &format!("/tokens?limit={number}"), Some(&session), None).await;
        assert_eq!(page.status, status, "{number}");
    }
}

#[tokio::test]
async fn the_documents_limits_of_reports_are_those_that_are_kept() {
    let document = Document::read();
    let signer = Signer::new("now");
    let github = GitHub::start(&[signer.listed(true)]).await;
    let settings = [("GITHUB_KEYS_URL", github.url.as_str()), ("GITLAB_TOKEN_SHA256", &leaks::hash("gitlab"))];
    let stack = Harness::start_with(&settings).await;
    let post = async |path: &str, body: String| {
        let signature = signer.sign(body.as_bytes());
        let request = http::Request::post(path)
            .header("authorization", "gitlab")
            .header("github-public-key-identifier", "now")
            .header("github-public-key-signature", signature);
        harness::send(stack.stack.ports().api, request.body(body.into()).unwrap()).await
    };
    let (burn, github, gitlab) = ("/tokens/burn", "/leaks/github", "/leaks/gitlab/v1/revoke_tokens");
    for (path, body, taken) in [(burn, r#"{"token": "x"}"#, 204), (github, "[]", 200), (gitlab, "[]", 204)] {
        let place = format!("/paths/{}/post/requestBody/x-max-bytes", path.replace('/', "~1"));
        let most = document.number(&place);
        for (length, status) in [(most, taken), (most + 1, 413)] {
            assert_eq!(post(path, padded(body, length)).await.status, status, "{path} {length}");
        }
    }
    let most = document.number("/components/schemas/GitHubReport/maxItems");
    for (many, status) in [(most, 200), (most + 1, 413)] {
        let report = vec![json!({"type": "latchkey_token", "token": "x", "url": "", "source": "content"}); many];
        let reply = post(github, json!(report).to_string()).await;
        assert_eq!(reply.status, status, "{many}");
        if many == most {
            document.check("/components/schemas/GitHubFeedback", &reply.json, "what GitHub is told");
        }
    }
    let most = document.number("/components/schemas/GitLabReport/maxItems");
    let kind = &document.0["components"]["schemas"]["GitLabType"]["const"];
    for (many, status) in [(most, 204), (most + 1, 413)] {
        let report = vec![json!({"type": kind, "token": "x", "location": "y"}); many];
        assert_eq!(post(gitlab, json!(report).to_string()).await.status, status, "{many}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_violation() {
    if harness::lacks(&["schemathesis"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, Document::read().0.to_string()).unwrap();

    let github = GitHub::start(&[Signer::new("now").listed(true)]).await;
    let settings = [
        ("MAX_ACTIVE_TOKENS", "100000"),
        ("ALLOW_NO_EXPIRY", "true"),
        ("ADMIN_GROUP", "admins"),
        ("GITHUB_KEYS_URL", &github.url),
        ("GITLAB_TOKEN_SHA256", &leaks::hash("gitlab")),
    ];
    // At a time of its own: the examples in the document are of then.
    let stack = Harness::start_with(&settings).await;
    let wish = |name: &str| json!({"name": name, "scopes": ["read", "write"]});
    let token = stack.token("alice", wish("first")).await;
    let api = format!("http://127.0.0.1:{}", stack.stack.ports().api);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/openapi");
    let mut schemathesis = Command::new("schemathesis");
    schemathesis
        .arg("--config-file")
        .arg(own.join("schemathesis.toml"))
        .args(["run", "--url", &api])
        .arg(file)
        .current_dir(folder.path())
        .env("GITLAB_TOKEN", "gitlab")
        .env("NOW", stack.now().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", own.join("hooks.py"))
        .env("SESSION", stack.session_in("alice", "admins").await)
        .env("TOKEN", stack.token("bob", wish("sent")).await.text)
        .env("TOKEN_ID", token.id)
        .env("TOKEN_TO_END", stack.token("bob", wish("ended")).await.text);
    let output = tokio::task::spawn_blocking(move || schemathesis.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
