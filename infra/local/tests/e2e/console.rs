//! The console in a real browser.

mod browser;

use crate::harness::{Harness, Process, free_port, lacks, on_path};
use browser::Browser;
use fantoccini::key::Key;
use http::{Method, Request};
use http_body_util::Full;
use local::options::Options;
use serde_json::{Value, json};
use std::process::Command;

const BROWSER: [&str; 2] = ["chromium", "chromedriver"];

/// The token that the page shows.
async fn shown_token(browser: &Browser) -> String {
    browser.heading("Your new token").await;
    browser.js("return document.querySelector('.token').textContent").await.as_str().unwrap().into()
}

/// The answer of the registry to a read.
async fn read(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

#[tokio::test]
async fn the_six_steps_end_with_a_token_that_works_and_is_seen_no_more() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("alice").await;
    browser.press("My Profile").await;
    browser.heading("My Profile").await;
    browser.press("API Token Management").await;
    browser.press("Generate New Token").await;
    browser.fill("Name", "my laptop").await;
    browser.fill("Expiry date", "30 days").await;
    browser.see("p", "(in 30 days). At most 365 days:").await;
    browser.press("Read").await;
    browser.see("p", "May read everything.").await;
    browser.press("Create Token").await;
    let token = shown_token(&browser).await;
    assert_eq!(read(&stack, &token).await, 200);
    browser.press("Test this token").await;
    browser.see("p", "It works. The service knows it as “my laptop”, active: May read everything.").await;
    browser.press("npm").await;
    browser.see("pre", &format!("_authToken={token}")).await;

    // Leaving without a copy asks first.
    browser.press("Done").await;
    browser.see("h2", "Leave without the token?").await;
    browser.press("Stay").await;
    browser.heading("Your new token").await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.heading("API Token Management").await;
    browser.see("h2", "my laptop").await;

    // It is nowhere: the choice of the client alone is kept.
    browser.reload().await;
    browser.see("h2", "my laptop").await;
    let kept = browser
        .js(
            "return [document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage), \
             location.href, JSON.stringify(history.state)].join('\\n')",
        )
        .await;
    let secret = &token[token.len() - 49..];
    assert!(!kept.as_str().unwrap().contains(secret), "{kept}");
    assert_eq!(browser.js("return JSON.stringify(localStorage)").await, json!(r#"{"latchkey.client":"npm"}"#));

    browser.press("Revoke").await;
    browser.see("h2", "Revoke “my laptop”?").await;
    browser.press("Keep it").await;
    assert_eq!(read(&stack, &token).await, 200);
    browser.press("Revoke").await;
    browser.js("document.querySelector('dialog button[value=yes]').click()").await;
    browser.see("span", "revoked").await;
    assert_eq!(read(&stack, &token).await, 403, "at the next request");

    browser.press("alice").await;
    browser.press("Sign out").await;
    browser.heading("Registry").await;
    browser.see("p", "Sign in to make").await;
    assert_eq!(browser.js("return sessionStorage.length").await, 0);
    assert!(!browser.log().await.iter().any(|line| line.contains("Security Policy")));
    browser.close().await;
}

#[tokio::test]
async fn the_six_steps_can_be_gone_by_keyboard_alone_at_320_pixels() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.narrow(320).await;
    let (enter, space) = (Key::Enter.to_string(), " ".to_owned());
    browser.open("").await;
    browser.see("button", "Sign in").await;
    browser.tab_to("Sign in").await;
    browser.keys(&enter).await;
    browser.see("label", "Name (any will do)").await;
    browser.tab_to("Name (any will do)").await;
    browser.keys(&format!("alice{enter}")).await;
    browser.heading("API Token Management").await;
    browser.tab_to("alice").await;
    browser.keys(&enter).await;
    browser.tab_to("My Profile").await;
    browser.keys(&enter).await;
    browser.heading("My Profile").await;
    browser.tab_to("API Token Management").await;
    browser.keys(&enter).await;
    browser.tab_to("Generate New Token").await;
    browser.keys(&enter).await;
    browser.tab_to("Name").await;
    browser.keys("keyboard").await;
    browser.tab_to("Expiry date").await;
    browser.keys(&Key::Up.to_string()).await;
    browser.tab_to("Read Everything").await;
    browser.keys(&space).await;
    browser.tab_to("Create Token").await;
    browser.keys(&enter).await;
    let token = shown_token(&browser).await;
    assert_eq!(read(&stack, &token).await, 200);
    browser.tab_to("Copy token").await;
    browser.keys(&enter).await;
    browser.tab_to("curl").await;
    browser.keys(&Key::Right.to_string()).await;
    browser.see("pre", "CARGO_REGISTRIES_MY_REGISTRY_TOKEN").await;
    browser.tab_to("Done").await;
    browser.keys(&enter).await;
    browser.see("h2", "keyboard").await;
    browser.tab_to("Revoke").await;
    browser.keys(&enter).await;
    browser.see("h2", "Revoke “keyboard”?").await;
    browser.tab_to("Revoke").await;
    browser.keys(&enter).await;
    browser.see("span", "revoked").await;
    assert_eq!(read(&stack, &token).await, 403);
    browser.close().await;
}

/// Every state of the page, one after another.
async fn visit(browser: &Browser, stack: &Harness, mut look: impl AsyncFnMut(&str)) {
    browser.open("").await;
    browser.see("button", "Sign in").await;
    look("welcome").await;
    browser.sign_in("alice").await;
    browser.see("p", "You have no tokens yet.").await;
    look("empty").await;
    let session = stack.session("alice").await;
    for (name, scopes, expires_at) in [
        ("<img src=x onerror=alert(1)>", json!(["read"]), None),
        ("\u{202b}\u{5e9}\u{5dc}\u{5d5}\u{5dd} CI", json!(["read:pypi/*", "write:npm/@acme/*"]), None),
        ("🦀 release 🚀", json!(["write"]), Some(json!(stack.now().to_string()[..10]))),
        (&"w".repeat(100), json!(["read:npm/*", "read:pypi/simple/flask/"]), None),
    ] {
        let mut wish = json!({"name": name.trim_start_matches('\u{202b}'), "scopes": scopes});
        if let Some(expires_at) = expires_at {
            wish["expires_at"] = expires_at;
        }
        let made = stack.api(Method::POST, "/tokens", Some(&session), Some(&wish)).await;
        assert_eq!(made.status, 201, "{made:?}");
        if name.contains("img") {
            stack.revoke("alice", made.json["id"].as_str().unwrap()).await;
        }
    }
    browser.reload().await;
    browser.see("h2", "<img src=x onerror=alert(1)>").await;
    look("list").await;
    browser.press("alice").await;
    look("menu").await;
    browser.press("My Profile").await;
    browser.heading("My Profile").await;
    look("profile").await;
    browser.open("#/tokens").await;
    browser.press("Revoke").await;
    browser.see("h2", "Revoke “").await;
    look("dialog").await;
    browser.press("Keep it").await;
    browser.press("Generate New Token").await;
    browser.heading("Generate New Token").await;
    browser.press("Create Token").await;
    browser.see("p", "Give it a name.").await;
    look("form-wrong").await;
    browser.fill("Name", "ci").await;
    browser.press("Add a path").await;
    browser.fill("Path", "npm/@acme/*").await;
    browser.press("Write this path").await;
    browser.fill("Expiry date", "Custom date").await;
    look("form").await;
    browser.fill("Expiry date", "60 days").await;
    browser.press("Create Token").await;
    browser.heading("Your new token").await;
    look("created").await;
    browser.press("Copy token").await;
    browser.js("sessionStorage.clear()").await;
    browser.press("Done").await;
    browser.open("#/tokens").await;
}

#[tokio::test]
async fn no_state_of_the_page_has_an_accessibility_violation_or_runs_over_at_any_width() {
    if lacks(&BROWSER) || lacks(&["../axe-core/axe.min.js"]) {
        return;
    }
    let axe = std::fs::read_to_string(on_path("../axe-core/axe.min.js").unwrap()).unwrap();
    for (dark, narrow) in [(false, false), (true, true), (false, true), (true, false)] {
        let stack = Harness::start_now().await;
        let browser = Browser::start(&stack).await;
        browser.dark(dark).await;
        if narrow {
            browser.narrow(320).await;
        }
        let mut states = vec![];
        visit(&browser, &stack, async |state| {
            let colours = if dark { "dark" } else { "light" };
            browser.shot(&format!("{state}-{colours}-{}", if narrow { "narrow" } else { "wide" })).await;
            browser.js(&axe).await;
            let found = browser
                .js_async(
                    "const done = arguments[0]; axe.run().then((found) => done(found.violations.map((v) => \
                           `${v.id}: ${v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; ')}`)))",
                )
                .await;
            assert_eq!(found, json!([]), "{state}, dark: {dark}");
            let over = "return Math.max(document.documentElement.scrollWidth - innerWidth, 0)";
            assert_eq!(browser.js(over).await, 0, "{state} runs over");
            states.push(state.to_owned());
        })
        .await;
        assert_eq!(states.len(), 9, "{states:?}");
        let log = browser.log().await;
        assert!(!log.iter().any(|line| line.contains("Security Policy") || line.contains("Uncaught")), "{log:?}");
        browser.close().await;
    }
}

#[tokio::test]
async fn a_session_that_ends_in_mid_form_loses_nothing_that_was_typed() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Generate New Token").await;
    browser.fill("Name", "half done").await;
    browser.fill("Expiry date", "7 days").await;
    browser.press("Write").await;
    stack.advance(3600);
    browser.press("Create Token").await;
    browser.see("p", "Your session has ended. Sign in again to go on; what you typed is kept.").await;
    browser.press("Sign in again").await;
    browser.fill("Name (any will do)", "alice").await;
    browser.press("Sign in").await;
    browser.heading("Generate New Token").await;
    browser.see("p", "May read and publish everything.").await;
    browser.press("Create Token").await;
    shown_token(&browser).await;
    browser.see("strong", "half done").await;
    let last = stack.now().plus_days(7).to_string();
    browser.see("p", &format!("({} 23:59 UTC)", &last[..10])).await;
    browser.close().await;
}

#[tokio::test]
async fn every_failure_of_the_service_is_said_beside_what_caused_it() {
    if lacks(&BROWSER) {
        return;
    }
    let stack =
        Harness::start_from(&[("MAX_ACTIVE_TOKENS", "1")], Options::in_memory(), &latchkey::clock::now().to_string())
            .await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Generate New Token").await;
    browser.heading("Generate New Token").await;
    browser.press("Create Token").await;
    browser.see("p", "Give it a name.").await;
    browser.see("p", "Choose at least one permission.").await;
    browser.fill("Name", "ci").await;
    browser.press("Add a path").await;
    browser.fill("Path", "npm//x").await;
    browser.press("Read this path").await;
    browser.press("Create Token").await;
    browser.see("p", "“read:npm//x” is not possible:").await;
    browser.fill("Path", "npm/*").await;

    browser.offline(true).await;
    browser.press("Create Token").await;
    browser.see("div", "The service cannot be reached. Check your connection, then try again.").await;
    browser.offline(false).await;
    browser.press("Create Token").await;
    shown_token(&browser).await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.press("Make another like this").await;
    browser.see("p", "May read under npm/.").await;
    browser.press("Create Token").await;
    browser.see("div", "You have 1 active tokens, the most that one owner may have.").await;

    stack.drop_table().await;
    browser.press("Create Token").await;
    browser.see("div", "The token store does not answer.").await;
    browser.open("#/tokens").await;
    browser.see("p", "The token store does not answer.").await;
    browser.see("button", "Try again").await;
    browser.close().await;
}

#[tokio::test]
async fn a_link_prefills_name_and_permissions_and_never_more() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.open("#/tokens/new?name=ci&scope=write:npm/@acme/*&scope=read:*&scope=admin:x&expires_at=2099-01-01").await;
    browser.see("p", "May read everything, and publish under npm/@acme/.").await;
    assert_eq!(browser.js("return document.querySelector('select').value").await, "90");
    assert_eq!(stack.items().await.len(), 0, "nothing is made by a link alone");
    browser.close().await;
}

#[tokio::test]
async fn the_form_offers_what_the_deployment_has() {
    if lacks(&BROWSER) {
        return;
    }
    let settings = [
        ("RESOURCES", "Packages for Python=pypi/*,Ours for npm=npm/@acme/*"),
        ("ALLOW_NO_EXPIRY", "true"),
        ("DEFAULT_TOKEN_DAYS", "45"),
        ("MAX_TOKEN_DAYS", "45"),
        ("CONSOLE_TITLE", "Acme <b>Registry</b>"),
    ];
    let now = latchkey::clock::now().to_string();
    let stack = Harness::start_from(&settings, Options::in_memory(), &now).await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.see("a", "Acme <b>Registry</b>").await;
    browser.press("Generate New Token").await;
    browser.heading("Generate New Token").await;
    let choices =
        browser.js("return [...document.querySelectorAll('option')].map((option) => option.textContent)").await;
    assert_eq!(choices, json!(["7 days", "30 days", "45 days", "Custom date", "No expiry"]));
    browser.fill("Name", "ci").await;
    browser.fill("Expiry date", "No expiry").await;
    browser.see("p", "It stays valid until it is revoked.").await;
    browser.press("Read Packages for Python").await;
    browser.press("Write Ours for npm").await;
    browser.see("p", "May read under pypi/, and publish under npm/@acme/.").await;
    browser.press("Create Token").await;
    browser.see("p", "It does not expire.").await;
    let token = shown_token(&browser).await;
    assert_eq!(stack.registry(Method::PUT, "/npm/@acme/x", Some(&token)).await.status, 200);
    assert_eq!(read(&stack, &token).await, 403);
    browser.close().await;
}

#[tokio::test]
async fn the_list_filters_searches_and_shows_more() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let session = stack.session("alice").await;
    for i in 0..60 {
        stack.advance(1);
        let wish = json!({"name": format!("token {i}"), "scopes": ["read"]});
        assert_eq!(stack.api(Method::POST, "/tokens", Some(&session), Some(&wish)).await.status, 201);
    }
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.see("h2", "token 59").await;
    let cards = "return document.querySelectorAll('.card').length";
    assert_eq!(browser.js(cards).await, 50);
    browser.press("Show more").await;
    browser.see("h2", "token 9").await;
    assert_eq!(browser.js(cards).await, 60);
    browser.reload().await;
    browser.see("h2", "token 59").await;
    // A search is over those that are not shown yet as well.
    browser.fill("Search by name", "token 9").await;
    browser.see("h2", "token 9").await;
    assert_eq!(browser.js(cards).await, 1);
    browser.fill("Search by name", "nothing").await;
    browser.see("p", "No token has “nothing” in its name.").await;
    browser.press("Revoked").await;
    browser.see("p", "You have no revoked tokens.").await;
    browser.close().await;
}

/// A page of another origin that lists tokens.
async fn from_another_page(browser: &Browser, stack: &Harness, session: &str) -> Value {
    let script = format!(
        "const done = arguments[0]; fetch('{}/tokens', {{headers: {{Authorization: 'Bearer {session}'}}}})\
         .then((answer) => done(answer.status), (error) => done(error.name))",
        browser.url
    );
    let port = stack.stack.ports().identity;
    browser.client_goto(&format!("http://127.0.0.1:{port}/oauth2/logout")).await;
    browser.js_async(&script).await
}

#[tokio::test]
async fn a_page_of_another_origin_may_call_the_api_where_the_deployment_says_so() {
    if lacks(&BROWSER) {
        return;
    }
    let identity = free_port();
    for (allowed, expected) in [
        (format!("https://a.example,http://127.0.0.1:{identity}"), json!(200)),
        (format!("http://127.0.0.1:{identity}0"), json!("TypeError")),
    ] {
        let mut options = Options::in_memory();
        options.ports.identity = identity;
        options.parameters.insert("AllowedOrigins".into(), allowed);
        let stack = Harness::start_from(&[], options, &latchkey::clock::now().to_string()).await;
        let browser = Browser::start(&stack).await;
        let session = stack.session("alice").await;
        assert_eq!(from_another_page(&browser, &stack, &session).await, expected);
        browser.close().await;
        stack.stack.shutdown().await;
    }
}

#[tokio::test]
async fn people_sign_in_with_an_independent_openid_connect_server() {
    if lacks(&BROWSER) || lacks(&["node", "../oidc-provider/lib/index.js"]) {
        return;
    }
    let (issuer, api) = (free_port(), free_port());
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/console/issuer.mjs"));
    command.arg(on_path("../oidc-provider/lib/index.js").unwrap()).args([issuer.to_string(), api.to_string()]);
    let _issuer = Process::start(command, issuer).await;
    let mut options = Options::in_memory();
    options.ports.api = api;
    options.parameters.insert("Issuer".into(), format!("http://127.0.0.1:{issuer}"));
    options.parameters.insert("Audience".into(), "console".into());
    let stack = Harness::start_from(&[], options, &latchkey::clock::now().to_string()).await;
    // Its sessions are of the true time, a moment from now.
    stack.advance(60);
    let browser = Browser::start(&stack).await;
    browser.open("").await;
    browser.press("Sign in").await;
    browser.type_into("input[name=login]", "bob").await;
    browser.type_into("input[name=password]", "any").await;
    browser.press("Sign-in").await;
    browser.press("Continue").await;
    browser.heading("API Token Management").await;
    browser.press("Generate New Token").await;
    browser.fill("Name", "ci").await;
    browser.press("Read").await;
    browser.press("Create Token").await;
    let token = shown_token(&browser).await;
    assert_eq!(read(&stack, &token).await, 200);
    browser.close().await;
}

#[tokio::test]
async fn the_page_asks_for_itself_its_style_its_modules_and_one_list() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.reload().await;
    browser.see("p", "You have no tokens yet.").await;
    let asked = browser
        .js("return performance.getEntriesByType('resource').map((entry) => entry.name.slice(location.origin.length)).sort()")
        .await;
    let modules = ["api", "app", "created", "dom", "form", "list", "session", "words"];
    let mut expected: Vec<_> = modules.map(|name| format!("/console/{name}.js")).to_vec();
    expected.extend(["/console/icon.svg", "/console/style.css", "/tokens?limit=50"].map(str::to_owned));
    expected.sort();
    assert_eq!(asked, json!(expected));
    browser.close().await;
}

#[tokio::test]
async fn the_pages_files_are_revalidated_by_strong_tags_and_weigh_less_than_100_kb() {
    let stack = Harness::start().await;
    let get = async |path: &str, tag: Option<&str>| {
        let request = Request::get(path).header("if-none-match", tag.unwrap_or("\"none\""));
        crate::harness::send(stack.stack.ports().api, request.body(Full::default()).unwrap()).await
    };
    let page = get("/", None).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    let files: Vec<_> = text.split(['"', ' ']).filter(|piece| piece.starts_with("/console/")).collect();
    assert!(files.len() >= 9, "{text}");
    let mut weight = page.body.len();
    for path in files.into_iter().chain(["/"]) {
        let file = get(path, None).await;
        assert_eq!(file.status, 200, "{path}");
        weight += file.body.len();
        let tag = file.header("etag").unwrap();
        assert!(tag.starts_with('"'), "strong: {tag}");
        let again = get(path, Some(tag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    assert!(weight < 100_000, "{weight}");
    assert_eq!(get("/console/none.js", None).await.status, 404);
}
