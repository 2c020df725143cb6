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
    shown_under(browser, "Your new token").await
}

/// The token that the page shows after a rotation.
async fn shown_secret(browser: &Browser) -> String {
    shown_under(browser, "The token’s new secret").await
}

async fn shown_under(browser: &Browser, heading: &str) -> String {
    browser.heading(heading).await;
    browser.js("return document.querySelector('.token').textContent").await.as_str().unwrap().into()
}

/// The answer of the registry to a read.
async fn read(stack: &Harness, token: &str) -> u16 {
    stack.registry(Method::GET, "/x", Some(token)).await.status
}

/// Neither the page nor what the browser keeps for it holds this token's secret.
async fn is_nowhere(browser: &Browser, token: &str) {
    let kept = browser
        .js(
            "return [document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage), \
             location.href, JSON.stringify(history.state)].join('\\n')",
        )
        .await;
    assert!(!kept.as_str().unwrap().contains(&token[token.len() - 49..]), "{kept}");
}

/// The answer to the question that the page asks in a dialog.
async fn agree(browser: &Browser) {
    browser.js("document.querySelector('dialog button[value=yes]').click()").await;
}

/// The date so many days ahead.
fn in_days(stack: &Harness, days: u32) -> String {
    stack.now().plus_days(days).to_string()[..10].into()
}

/// A stack with administrators.
async fn administered() -> Harness {
    let now = latchkey::clock::now().to_string();
    Harness::start_from(&[("ADMIN_GROUP", "admins")], Options::in_memory(), &now).await
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
    is_nowhere(&browser, &token).await;
    assert_eq!(browser.js("return JSON.stringify(localStorage)").await, json!(r#"{"latchkey.client":"npm"}"#));

    browser.press("Revoke").await;
    browser.see("h2", "Revoke “my laptop”?").await;
    browser.press("Keep it").await;
    assert_eq!(read(&stack, &token).await, 200);
    browser.press("Revoke").await;
    agree(&browser).await;
    browser.see("span", "revoked").await;
    browser.see("dd", ", by you").await;
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
    browser.tab_to("Change").await;
    browser.keys(&enter).await;
    browser.heading("Change “keyboard”").await;
    browser.tab_to("Name").await;
    browser.keys(&format!("{} 2", Key::End)).await;
    browser.tab_to("Save").await;
    browser.keys(&enter).await;
    browser.see("h2", "keyboard 2").await;
    browser.tab_to("Rotate").await;
    browser.keys(&enter).await;
    browser.heading("Rotate “keyboard 2”").await;
    browser.tab_to("The old secret goes on").await;
    browser.keys(&Key::Down.to_string()).await;
    browser.see("p", "Give them the new one before.").await;
    browser.tab_to("Rotate").await;
    browser.keys(&enter).await;
    let rotated = shown_secret(&browser).await;
    assert_eq!((read(&stack, &token).await, read(&stack, &rotated).await), (200, 200));
    browser.tab_to("Copy token").await;
    browser.keys(&enter).await;
    browser.tab_to("Done").await;
    browser.keys(&enter).await;
    browser.see("h2", "keyboard 2").await;
    browser.tab_to("Revoke").await;
    browser.keys(&enter).await;
    browser.see("h2", "Revoke “keyboard 2”?").await;
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
    browser.press("Done").await;
    browser.heading("API Token Management").await;
    life(browser, stack, look).await;
    browser.js("sessionStorage.clear()").await;
}

/// The states of the rest of a token's life, and those of an administrator.
async fn life(browser: &Browser, stack: &Harness, mut look: impl AsyncFnMut(&str)) {
    let wish = json!({"name": "ci of the website", "scopes": ["read:*", "write:npm/@acme/*"], "source_addresses": ["127.0.0.0/8"]});
    // The newest is the first in the list.
    stack.advance(1);
    let token = stack.token("alice", wish.clone()).await;
    assert_eq!(stack.registry_from([127, 0, 0, 9], "cargo/1.95.0 (x)", &token.text).await.status, 200);
    stack.stack.settled().await;
    browser.reload().await;
    browser.see("h2", "ci of the website").await;
    browser.press("Rotate").await;
    browser.heading("Rotate “ci of the website”").await;
    browser.fill("The old secret goes on", "for 1 day").await;
    look("rotate").await;
    browser.press("Rotate").await;
    browser.heading("The token’s new secret").await;
    look("rotated").await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.see("dt", "Rotated").await;
    look("card").await;
    browser.press("Change").await;
    browser.heading("Change “ci of the website”").await;
    browser.fill("Name", "").await;
    browser.press("Save").await;
    browser.see("p", "Give it a name.").await;
    look("change").await;
    stack.revoke("alice", &token.id).await;
    browser.fill("Name", "too late").await;
    browser.press("Save").await;
    browser.see("div", "was revoked on").await;
    look("change-refused").await;
    browser.open(&format!("#/tokens/{}/rotate", token.id)).await;
    browser.see("p", "is revoked: it can be neither rotated nor changed.").await;
    look("ended").await;
    let leaked = stack.token("alice", wish).await;
    stack.revoke("alice", &leaked.id).await;
    stack.set_attribute(&leaked.id, "revoked_by", "github").await;
    stack.set_attribute(&leaked.id, "leak_url", "https://github.example/acme/website/blob/main/.npmrc").await;
    browser.press("To your tokens").await;
    browser.see("dd", "found by GitHub at").await;
    browser.press("alice").await;
    browser.press("Sign out").await;
    browser.see("p", "Sign in to make").await;
    browser.sign_in_with("root", "admins").await;
    browser.fill("Tokens of", "alice").await;
    browser.press("Show").await;
    browser.heading("Tokens of alice").await;
    browser.see("h2", "ci of the website").await;
    look("others").await;
    browser.press("Revoke all of alice’s tokens").await;
    browser.see("h2", "Revoke all of alice’s tokens?").await;
    look("dialog-all").await;
    agree(browser).await;
    browser.see("p", "tokens are revoked.").await;
    browser.press("Generate New Token").await;
    browser.see("label", "For a service").await;
    browser.fill("Only from these addresses", "192.168.1.5/24, x").await;
    browser.fill("Name", "ci").await;
    browser.fill("For a service", "website-ci").await;
    browser.press("Read Everything").await;
    browser.press("Create Token").await;
    browser.see("p", "“192.168.1.5/24” is not possible:").await;
    look("form-service").await;
}

#[tokio::test]
async fn no_state_of_the_page_has_an_accessibility_violation_or_runs_over_at_any_width() {
    if lacks(&BROWSER) || lacks(&["../axe-core/axe.min.js"]) {
        return;
    }
    let axe = std::fs::read_to_string(on_path("../axe-core/axe.min.js").unwrap()).unwrap();
    for (dark, narrow) in [(false, false), (true, true), (false, true), (true, false)] {
        let stack = administered().await;
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
        assert_eq!(states.len(), 18, "{states:?}");
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
    browser.see("p", &format!("({} 23:59 UTC)", in_days(&stack, 7))).await;

    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.press("Rotate").await;
    browser.heading("Rotate “half done”").await;
    browser.fill("The old secret goes on", "for 1 day").await;
    stack.advance(3600);
    browser.press("Rotate").await;
    browser.press("Sign in again").await;
    browser.fill("Name (any will do)", "alice").await;
    browser.press("Sign in").await;
    browser.heading("Rotate “half done”").await;
    browser.see("p", "Give them the new one before.").await;
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
async fn a_link_prefills_name_permissions_and_addresses_and_never_more() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.open("#/tokens/new?name=ci&scope=write:npm/@acme/*&scope=read:*&scope=admin:x&address=192.0.2.1&address=2001:db8::/32&expires_at=2099-01-01").await;
    browser.see("p", "May read everything, and publish under npm/@acme/.").await;
    assert_eq!(browser.js("return document.querySelector('select').value").await, "90");
    assert_eq!(browser.js("return document.querySelector('textarea').value").await, "192.0.2.1\n2001:db8::/32");
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
    let modules = [
        "addresses",
        "administrator",
        "api",
        "app",
        "card",
        "change",
        "created",
        "dom",
        "draft",
        "expiry",
        "field",
        "form",
        "generate",
        "list",
        "permissions",
        "rotate",
        "session",
        "words",
    ];
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

#[tokio::test]
async fn a_rotated_token_shows_its_new_secret_once_and_the_old_one_goes_on_as_long_as_was_chosen() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let old = stack.token("alice", json!({"name": "ci", "scopes": ["read"], "expires_at": in_days(&stack, 30)})).await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Rotate").await;
    browser.see("p", "Clients that have the old secret are refused from their next request on.").await;
    browser.fill("The old secret goes on", "for 1 hour").await;
    browser.fill("Expiry date", "7 days").await;
    browser.press("Rotate").await;
    let new = shown_secret(&browser).await;
    assert_eq!(new.split('_').nth(1), old.text.split('_').nth(1), "the same id");
    browser.see("p", &format!("({} 23:59 UTC)", in_days(&stack, 7))).await;
    browser.see("p", "The old secret works until").await;
    browser.press("Test this token").await;
    browser.see("p", "It works. The service knows it as “ci”, active: May read everything.").await;
    assert_eq!((read(&stack, &old.text).await, read(&stack, &new).await), (200, 200));

    browser.press("Done").await;
    browser.see("h2", "Leave without the token?").await;
    browser.press("Stay").await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.see("dt", "Rotated").await;
    is_nowhere(&browser, &new).await;
    browser.js("history.back()").await;
    browser.heading("Rotate “ci”").await;
    is_nowhere(&browser, &new).await;

    stack.advance(3600);
    assert_eq!((read(&stack, &old.text).await, read(&stack, &new).await), (403, 200));
    browser.close().await;
}

#[tokio::test]
async fn whoever_rotates_a_token_too_late_or_with_another_at_once_is_told_beside_the_button() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let token = stack.token("alice", json!({"name": "ci", "scopes": ["read"]})).await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Rotate").await;
    browser.heading("Rotate “ci”").await;
    // Others do what this page does, until one of them all comes second.
    browser
        .js("const real = fetch; window.fetch = async (path, options) => { for (;;) { \
             const answers = await Promise.all([...'12345678'].map(() => real(path, options))); \
             const second = answers.find((answer) => answer.status === 409); if (second) return second } }")
        .await;
    browser.press("Rotate").await;
    browser.see("div", "The token was rotated, changed or revoked at the same moment.").await;
    assert_eq!(browser.js("return document.activeElement.textContent").await, "Rotate");

    browser.reload().await;
    browser.heading("Rotate “ci”").await;
    stack.revoke("alice", &token.id).await;
    browser.press("Rotate").await;
    browser.see("div", "Token ci was revoked on").await;
    browser.press("To the list").await;
    browser.see("span", "revoked").await;
    browser.open("#/tokens/lk_none/rotate").await;
    browser.see("p", "You have no token with this id.").await;
    browser.close().await;
}

#[tokio::test]
async fn a_change_takes_away_and_never_gives_and_sends_what_is_new_alone() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let scopes = json!(["write:*", "read:npm/*", "write:pypi/*"]);
    let token = stack.token("alice", json!({"name": "ci", "scopes": scopes})).await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Change").await;
    browser.heading("Change “ci”").await;
    browser.press("Save").await;
    browser.see("div", "Nothing is changed yet.").await;
    let boxes = "return [...document.querySelectorAll('[type=checkbox]')].filter((box) => !box.checked)\
                 .map((box) => `${box.ariaLabel} ${box.disabled}`)";
    assert_eq!(browser.js(boxes).await, json!(["Write npm/* true"]), "what it has not");
    browser
        .js("const real = fetch; window.bodies = []; \
             window.fetch = (path, options) => { if (options?.body) bodies.push(JSON.parse(options.body)); \
             return real(path, options) }")
        .await;
    browser.fill("Name", "ci 2").await;
    browser.press("Save").await;
    browser.see("h2", "ci 2").await;

    browser.press("Change").await;
    browser.heading("Change “ci 2”").await;
    browser.press("Write Everything").await;
    browser.press("Read npm/*").await;
    browser.fill("Expiry date", "30 days").await;
    browser.see("p", "It can end sooner, and never later.").await;
    browser.press("Save").await;
    browser.heading("API Token Management").await;
    browser.see("dd", "May read everything, and publish under pypi/.").await;
    browser.see("dd", "in 30 days").await;
    let end = in_days(&stack, 30);
    let second = json!({"scopes": ["read:*", "write:pypi/*"], "expires_at": end});
    assert_eq!(browser.js("return bodies").await, json!([{"name": "ci 2"}, second]));
    assert_eq!(stack.registry(Method::PUT, "/npm/x", Some(&token.text)).await.status, 403);

    // What another took away meanwhile is not given back.
    browser.press("Change").await;
    browser.heading("Change “ci 2”").await;
    let session = stack.session("alice").await;
    let narrow = json!({"scopes": ["read:pypi/*"], "expires_at": in_days(&stack, 7)});
    let path = format!("/tokens/{}", token.id);
    assert_eq!(stack.api(Method::PATCH, &path, Some(&session), Some(&narrow)).await.status, 200);
    browser.press("Write pypi/*").await;
    browser.fill("Expiry date", "7 days").await;
    browser.press("Save").await;
    browser.see("p", "“read:*” is not possible: what the token grants: read:pypi/*.").await;
    browser.see("div", "A token is never widened or prolonged.").await;
    browser.close().await;
}

#[tokio::test]
async fn a_token_is_bound_to_addresses_in_the_form_and_its_card_tells_its_life() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = Harness::start_now().await;
    let browser = Browser::start(&stack).await;
    browser.sign_in("alice").await;
    browser.press("Generate New Token").await;
    browser.fill("Name", "bound").await;
    browser.press("Read Everything").await;
    browser.fill("Only from these addresses", "127.0.0.5/8 2001:db8::/32").await;
    browser.press("Create Token").await;
    browser.see("p", "“127.0.0.5/8” is not possible: a block by its first address: 127.0.0.0/8.").await;
    assert_eq!(browser.js("return document.activeElement.ariaInvalid").await, "true");
    // The draft has them as well.
    browser.fill("Only from these addresses", "127.0.0.8/31,2001:db8::/32").await;
    browser.reload().await;
    browser.see("p", "May read everything.").await;
    browser.press("Create Token").await;
    browser.see("p", "It is good from 127.0.0.8/31, 2001:db8::/32 alone.").await;
    let token = shown_token(&browser).await;
    for (from, status) in [(8, 200), (10, 403)] {
        assert_eq!(stack.registry_from([127, 0, 0, from], "cargo/1.95.0 (x)", &token).await.status, status);
    }
    stack.stack.settled().await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.see("dd", "127.0.0.8/31, 2001:db8::/32").await;
    browser.see("dd", "from 127.0.0.8, with cargo/1.95.0").await;
    browser.press("Make another like this").await;
    browser.heading("Generate New Token").await;
    assert_eq!(browser.js("return document.querySelector('textarea').value").await, "127.0.0.8/31\n2001:db8::/32");

    let id = token.split('_').nth(1).unwrap();
    stack.revoke("alice", id).await;
    for (by, url, words) in [
        ("administrator", None, ", by an administrator"),
        ("token", None, ", by somebody who had the token itself"),
        ("github", Some("https://github.example/a"), ", found by GitHub at https://github.example/a"),
        ("finder", Some("javascript:alert(1)"), ", found by somebody who reported it at javascript:alert(1)"),
    ] {
        stack.set_attribute(id, "revoked_by", by).await;
        if let Some(url) = url {
            stack.set_attribute(id, "leak_url", url).await;
        }
        browser.open("#/profile").await;
        browser.heading("My Profile").await;
        browser.open("#/tokens").await;
        browser.see("dd", words).await;
        let links = browser.js("return [...document.querySelectorAll('dd a')].map((a) => [a.href, a.rel])").await;
        let expected = if by == "github" { json!([[url, "noreferrer"]]) } else { json!([]) };
        assert_eq!(links, expected);
    }
    browser.close().await;
}

#[tokio::test]
async fn an_administrator_lists_and_ends_the_tokens_of_others_and_looks_after_services() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = administered().await;
    let mut tokens = vec![];
    for name in ["one", "two", "three"] {
        tokens.push(stack.token("bob", json!({"name": name, "scopes": ["read"]})).await.text);
        stack.advance(1);
    }
    let browser = Browser::start(&stack).await;
    browser.sign_in_with("root", "staff admins").await;
    browser.see("p", "You have no tokens yet.").await;
    browser.fill("Tokens of", "bob").await;
    browser.press("Show").await;
    browser.heading("Tokens of bob").await;
    browser.see("h2", "three").await;
    let text = browser.text().await;
    assert!(!["Rotate", "Change", "Make another"].iter().any(|action| text.contains(action)), "{text}");
    browser.js("document.querySelector('.card button.danger').click()").await;
    browser.see("h2", "Revoke “three”?").await;
    agree(&browser).await;
    browser.see("dd", ", by an administrator").await;
    assert_eq!((read(&stack, &tokens[2]).await, read(&stack, &tokens[0]).await), (403, 200));
    browser.press("Revoke all of bob’s tokens").await;
    browser.see("p", "Clients that use any of them are refused").await;
    browser.press("Keep them").await;
    assert_eq!(read(&stack, &tokens[0]).await, 200);
    // As where somebody has more than one request ends.
    browser
        .js("const real = fetch; let first = true; window.fetch = (path, options) => { \
             if (options?.method !== 'DELETE' || !first) return real(path, options); \
             first = false; return Promise.resolve(Response.json({revoked: 200, complete: false})) }")
        .await;
    browser.press("Revoke all of bob’s tokens").await;
    agree(&browser).await;
    browser.see("p", "202 tokens are revoked.").await;
    for token in &tokens {
        assert_eq!(read(&stack, token).await, 403);
    }

    browser.press("Generate New Token").await;
    browser.fill("Name", "deploy").await;
    browser.fill("For a service", "web site").await;
    browser.press("Read Everything").await;
    browser.press("Create Token").await;
    browser.see("p", "“web site” is not possible: 1 to 60 of the characters").await;
    browser.fill("For a service", "website").await;
    browser.press("Create Token").await;
    let token = shown_token(&browser).await;
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.heading("Tokens of service:website").await;
    browser.press("Rotate").await;
    browser.heading("Rotate “deploy”").await;
    browser.press("Rotate").await;
    let rotated = shown_secret(&browser).await;
    browser.see("p", "The old secret works no more.").await;
    assert_eq!((read(&stack, &token).await, read(&stack, &rotated).await), (403, 200));
    browser.press("Copy token").await;
    browser.press("Done").await;
    browser.heading("Tokens of service:website").await;
    browser.press("Make another like this").await;
    browser.see("label", "For a service").await;
    assert_eq!(browser.js("return [...document.querySelectorAll('form input')].at(-1).value").await, "website");
    browser.close().await;
}

#[tokio::test]
async fn whoever_is_no_administrator_sees_nothing_of_one() {
    if lacks(&BROWSER) {
        return;
    }
    let stack = administered().await;
    stack.token("bob", json!({"name": "bobs", "scopes": ["read"]})).await;
    let browser = Browser::start(&stack).await;
    browser.sign_in_with("alice", "admins2 staff").await;
    for hash in ["#/tokens", "#/tokens?subject=bob"] {
        browser.open(hash).await;
        browser.see("p", "You have no tokens yet.").await;
        let text = browser.text().await;
        assert!(!text.contains("Tokens of") && !text.contains("Revoke all"), "{text}");
    }
    browser.open("#/tokens/new").await;
    browser.see("label", "Only from these addresses").await;
    assert!(!browser.text().await.contains("For a service"));
    browser.close().await;
}
