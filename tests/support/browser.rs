//! Chromium with an empty profile, driven as a person would.

use std::{
    future::Future,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use fantoccini::{
    Client, Locator,
    elements::Element,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{host::has, lines::Lines};

/// What makes it run without a screen, as root, and without calling home.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
];

/// For how many milliseconds a page may do nothing of what is waited for. It is no expectation.
const PATIENCE: u32 = 120_000;

/// A browser, and what drives it.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    /// A pipe that nobody reads would end the driver.
    _said: Lines<ChildStdout>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; `None` where there is none.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        if !has("chromium") || !has("chromedriver") {
            return None;
        }
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is on the path");
        let stdout = driver.stdout.take().expect("it was piped");
        let mut said = Lines::new(stdout, "chromedriver".to_owned());
        let port = loop {
            let line = said.next().expect("a driver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let profile = TempDir::new().expect("there is room for temporary files");
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs little");
        let capabilities = capabilities(profile.path());
        let client = runtime.block_on(Client::with_capabilities_and_connector(
            &format!("http://127.0.0.1:{port}"),
            &capabilities,
            HttpConnector::new(),
        ));
        let browser = Self {
            runtime,
            client: client.unwrap_or_else(|error| panic!("chromium does not start: {error}")),
            driver,
            _said: said,
            _profile: profile,
        };
        // What it begins with is a page of its own, which is not looked at.
        browser.wait(browser.client.goto("about:blank"));
        browser.log("performance");
        Some(browser)
    }

    #[track_caller]
    fn wait<T>(&self, done: impl Future<Output = Result<T, CmdError>>) -> T {
        let done = self.runtime.block_on(done);
        done.unwrap_or_else(|error| panic!("the browser says: {error}"))
    }

    /// Opens a file.
    #[track_caller]
    pub(crate) fn open(&self, file: &Path) {
        self.wait(self.client.goto(&format!("file://{}", file.display())));
    }

    /// What an expression is in the page.
    #[track_caller]
    pub(crate) fn ask(&self, expression: &str) -> Value {
        self.wait(
            self.client
                .execute(&format!("return {expression};"), Vec::new()),
        )
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const look = () => {expression} ? done(true) : setTimeout(look, 20);
             look();"
        );
        let asked = self.client.execute_async(&script, Vec::new());
        let answer = self.runtime.block_on(asked);
        assert!(
            answer.is_ok(),
            "`{expression}` has not become true: {answer:?}"
        );
    }

    #[track_caller]
    fn find(&self, path: &str) -> Element {
        let locator = if path.starts_with('/') {
            Locator::XPath(path)
        } else {
            Locator::Css(path)
        };
        self.wait(self.client.find(locator))
    }

    /// Clicks on what a selector, or a path, leads to.
    #[track_caller]
    pub(crate) fn click(&self, path: &str) {
        self.wait(self.find(path).click());
    }

    /// Types into it.
    #[track_caller]
    pub(crate) fn enter(&self, path: &str, keys: &str) {
        self.wait(self.find(path).send_keys(keys));
    }

    /// Empties a field and types into it.
    #[track_caller]
    pub(crate) fn fill(&self, path: &str, text: &str) {
        let field = self.find(path);
        self.wait(field.clear());
        self.wait(field.send_keys(text));
    }

    /// Chooses an option by what it says.
    #[track_caller]
    pub(crate) fn choose(&self, path: &str, label: &str) {
        self.wait(self.find(path).select_by_label(label));
    }

    /// Answers the question that a page asks in a window.
    #[track_caller]
    pub(crate) fn answer(&self, text: &str) {
        self.wait(self.client.send_alert_text(text));
        self.wait(self.client.accept_alert());
    }

    /// Does something inside of a frame.
    #[track_caller]
    pub(crate) fn inside(&self, frame: &str, act: impl FnOnce(&Self)) {
        self.wait(self.find(frame).enter_frame());
        act(self);
        self.wait(self.client.clone().enter_parent_frame());
    }

    /// Checks that the pages so far made no request but for files, and that nobody complained.
    #[track_caller]
    pub(crate) fn expect_peace(&self) {
        let complaints = self.log("browser");
        assert!(complaints.is_empty(), "{complaints:#?}");
        let requested: Vec<String> = (self.log("performance").iter())
            .filter_map(|entry| requested(entry["message"].as_str()?))
            .collect();
        assert!(!requested.is_empty(), "not even the page was requested");
        for address in requested {
            // Pages of the browser itself ask nobody else.
            let is_own = [
                "file:",
                "data:",
                "about:",
                "blob:",
                "chrome:",
                "chrome-untrusted:",
            ];
            let is_own = is_own.iter().any(|scheme| address.starts_with(scheme));
            assert!(is_own, "the page asked for {address}");
        }
    }

    #[track_caller]
    fn log(&self, kind: &'static str) -> Vec<Value> {
        let entries = self.wait(self.client.issue_cmd(Log(kind)));
        entries.as_array().expect("a log is a list").clone()
    }
}

/// What was requested, if a message of the performance log tells of a request.
fn requested(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    let message = &message["message"];
    let is_request = message["method"] == "Network.requestWillBeSent";
    let address = message["params"]["request"]["url"].as_str()?;
    is_request.then(|| address.to_owned())
}

fn capabilities(profile: &Path) -> Capabilities {
    let profile = format!("--user-data-dir={}", profile.display());
    let flags: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
    let wanted = json!({
        "goog:chromeOptions": {"args": flags},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {"script": PATIENCE},
    });
    wanted.as_object().expect("it is one").clone()
}

/// Asks for a log, which is Chromium's own addition to the protocol.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({"type": self.0});
        (http::Method::POST, Some(body.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, and the driver has nothing else to do.
        let _ended: Result<(), CmdError> = self.runtime.block_on(self.client.clone().close());
        let _gone = self.driver.kill();
        let _gone = self.driver.wait();
    }
}
