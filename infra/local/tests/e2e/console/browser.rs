//! A headless Chromium, in the words of whoever sits before it.

use crate::harness::{Harness, Process, free_port, send};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything on the page may take to appear.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Browser {
    client: Client,
    port: u16,
    /// Where the console is.
    pub url: String,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    pub async fn start(stack: &Harness) -> Self {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Process::start(command, port).await;
        let profile = TempDir::new().unwrap();
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1100,900",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments, "binary": "/usr/bin/chromium"},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let url = format!("http://127.0.0.1:{}", stack.stack.ports().api);
        Self { client, port, url, _driver: driver, _profile: profile }
    }

    pub async fn close(self) {
        self.client.close().await.unwrap();
    }

    /// Opens the console at a hash.
    pub async fn open(&self, hash: &str) {
        self.client.goto(&format!("{}/{hash}", self.url)).await.unwrap();
    }

    /// Opens any page.
    pub async fn client_goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Types into an element of a page that is not ours.
    pub async fn type_into(&self, css: &str, text: &str) {
        let field = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// From the console's first page through the stack's own form, and back.
    pub async fn sign_in(&self, name: &str) {
        self.sign_in_with(name, "").await;
    }

    /// As a member of these groups.
    pub async fn sign_in_with(&self, name: &str, groups: &str) {
        self.open("").await;
        self.press("Sign in").await;
        self.fill("Name (any will do)", name).await;
        self.fill("Groups (if any, apart by spaces)", groups).await;
        self.press("Sign in").await;
        self.heading("API Token Management").await;
    }

    /// Waits for the page with this heading.
    pub async fn heading(&self, text: &str) {
        self.see("h1", text).await;
    }

    /// Waits for an element with this text.
    pub async fn see(&self, tag: &str, text: &str) {
        let path = format!("//{tag}[contains(normalize-space(), {})]", quoted(text));
        if self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await.is_err() {
            panic!("no {tag} {text:?} in: {}", self.text().await);
        }
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        self.js("return document.body.innerText").await.as_str().unwrap_or_default().into()
    }

    /// Clicks the first visible button, link, box or tab of this name.
    pub async fn press(&self, name: &str) {
        let name = quoted(name);
        let path = format!(
            "//*[self::button or self::a][starts-with(normalize-space(), {name})] | //label[normalize-space()={name}]/input | \
             //input[@aria-label={name}]"
        );
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        if found.is_err() {
            panic!("nothing to press called {name} in: {}", self.text().await);
        }
        for element in self.client.find_all(Locator::XPath(&path)).await.unwrap() {
            if element.is_displayed().await.unwrap() {
                element.click().await.unwrap();
                return;
            }
        }
        panic!("{name} cannot be seen in: {}", self.text().await);
    }

    /// Types into the field with this label, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let label = quoted(label);
        let path = format!(
            "//input[@id=//label[normalize-space()={label}]/@for] | //label[normalize-space()={label}]/input | \
             //input[@aria-label={label}] | //select[@id=//label[normalize-space()={label}]/@for] | \
             //textarea[@id=//label[normalize-space()={label}]/@for]"
        );
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        let Ok(field) = found else { panic!("no field {label} in: {}", self.text().await) };
        if field.tag_name().await.unwrap() == "select" {
            field.select_by_label(text).await.unwrap();
        } else {
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        }
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let press = |actions: KeyActions, value| actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        let actions = keys.chars().fold(KeyActions::new("keyboard".into()), press);
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Tabs until the element of this name has the focus; it must be within reach.
    pub async fn tab_to(&self, name: &str) {
        let focused = "const e = document.activeElement; \
                       const labels = [...(e.labels ?? [])].map((label) => label.textContent).join(' '); \
                       return (e.getAttribute('aria-label') ?? (labels || e.textContent)).trim().replace(/\\s+/g, ' ')";
        for _ in 0..60 {
            self.keys(&Key::Tab.to_string()).await;
            if self.js(focused).await.as_str().is_some_and(|text| text.starts_with(name)) {
                return;
            }
        }
        panic!("{name:?} is not reached with the tab key in: {}", self.text().await);
    }

    pub async fn js(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// A script that calls its last argument when it is done.
    pub async fn js_async(&self, script: &str) -> Value {
        self.client.execute_async(script, vec![]).await.unwrap()
    }

    /// What WebDriver itself has no word for.
    async fn chrome(&self, command: &str, body: Value) -> Value {
        let session = self.client.session_id().await.unwrap().unwrap();
        let request = Request::post(format!("/session/{session}/{command}")).header("content-type", "application/json");
        let reply = send(self.port, request.body(Full::from(body.to_string())).unwrap()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json["value"].clone()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.chrome("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    pub async fn offline(&self, offline: bool) {
        self.devtools("Network.enable", json!({})).await;
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.devtools("Network.emulateNetworkConditions", conditions).await;
    }

    /// A width that no window of a desktop has.
    pub async fn narrow(&self, width: u32) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// What the console of the browser holds since it was last asked.
    pub async fn log(&self) -> Vec<String> {
        let lines = self.chrome("se/log", json!({"type": "browser"})).await;
        lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// A picture of the page into the folder that `LATCHKEY_SHOTS` names, to be looked at.
    pub async fn shot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("LATCHKEY_SHOTS") {
            let picture = self.client.screenshot().await.unwrap();
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
        }
    }
}

/// A text as XPath quotes it.
fn quoted(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") }
}
