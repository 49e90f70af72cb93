//! A browser under a test's control, by WebDriver.
//!
//! Source: W3C, WebDriver (Recommendation, 2018), §6.3 "Processing Model" and §6.5 "Endpoints".

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Headless Chromium with a profile of its own.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, and a line that says so, where it is not installed.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let profile = tempfile::tempdir().expect("a directory");
        let driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = driver else {
            println!("skipped: chromedriver is not installed (Debian: chromium chromium-driver)");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let port = lines.filter_map(|line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")
                .map(|port| port.trim_end_matches('.').to_owned())
        });
        let port = port.take(1).next().expect("chromedriver names its port");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: base, agent: config.into(), _profile: profile };
        let size = format!("--window-size={width},{height}");
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let switches = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &size,
            &profile,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": switches },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let answer = browser.post("", &capabilities);
        let id = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        browser.session = format!("{}/{id}", browser.session);
        // What the browser's own first page asked for is none of ours.
        browser.post("/url", &json!({ "url": "about:blank" }));
        browser.complaints_and_requests();
        Some(browser)
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}{command}", self.session);
        let sent = self.agent.post(&url).header("content-type", "application/json").send(body.to_string());
        let mut answer = sent.unwrap_or_else(|error| panic!("{command}: {error}"));
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "{command} {body}: {value}");
        value
    }

    /// Loads a file.
    pub(crate) fn open(&self, path: &Path) {
        self.post("/url", &json!({ "url": format!("file://{}", path.display()) }));
    }

    /// What a function's body returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let ids = found.as_object().expect("an element").values().next();
        ids.and_then(Value::as_str).expect("an element's name").to_owned()
    }

    /// Clicks, as a mouse would.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element, or presses keys on it.
    pub(crate) fn keys(&self, selector: &str, keys: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": keys }));
    }

    /// Presses a key where the focus is, with Shift or without.
    pub(crate) fn press(&self, key: char, shift: bool) {
        let mut actions =
            vec![json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        if shift {
            actions.insert(0, json!({ "type": "keyDown", "value": SHIFT }));
            actions.push(json!({ "type": "keyUp", "value": SHIFT }));
        }
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// Moves the pointer over an element.
    pub(crate) fn point(&self, selector: &str) {
        let element = json!({ "element-6066-11e4-a52e-4f735466cecf": self.element(selector) });
        let moves = [json!({ "type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": element })];
        self.run(&format!(
            "document.querySelector({}).scrollIntoView({{ block: 'center' }})",
            json!(selector)
        ));
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": moves }] }),
        );
    }

    /// What the page said that is wrong, and what it asked for.
    pub(crate) fn complaints_and_requests(&self) -> (Vec<String>, Vec<String>) {
        let entries = |kind: &str| {
            let entries = self.post("/se/log", &json!({ "type": kind }));
            entries.as_array().expect("entries").clone()
        };
        let complaints = entries("browser").iter().map(|entry| entry["message"].to_string()).collect();
        let requests = entries("performance").into_iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let is_request = message["message"]["method"] == "Network.requestWillBeSent";
            let url = message["message"]["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        });
        (complaints, requests.collect())
    }
}

pub(crate) const SHIFT: char = '\u{e008}';
pub(crate) const ENTER: char = '\u{e007}';
pub(crate) const LEFT: char = '\u{e012}';
pub(crate) const UP: char = '\u{e013}';
pub(crate) const RIGHT: char = '\u{e014}';
pub(crate) const DOWN: char = '\u{e015}';

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; what is left is the driver.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
