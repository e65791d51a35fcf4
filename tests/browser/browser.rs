//! A headless Chromium, driven through chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fantoccini::cookies::Cookie;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::soon;

/// Ends together with this value, also when a test fails.
pub(crate) struct Browser {
    client: Client,
    session: String,
    driver: Driver,
}

impl Browser {
    /// Starts a browser with a profile of its own that finds hosts by these rules.
    pub(crate) async fn start(host_rules: &str) -> Self {
        let driver = Driver::start();
        let capabilities = json!({
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": {
                // Cookies go along with requests of other sites, as most browsers still have it.
                "prefs": { "profile": { "cookie_controls_mode": 0, "block_third_party_cookies": false } },
                "binary": chromium(),
                "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--ignore-certificate-errors",
                    "--window-size=1000,800",
                    format!("--host-resolver-rules={host_rules}"),
                ],
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let address = format!("http://127.0.0.1:{}", driver.port);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(capabilities).connect(&address);
        let client = soon("Chromium starts", connecting)
            .await
            .expect("Chromium does not start (Debian: apt-get install chromium chromium-driver)");
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, session, driver }
    }

    pub(crate) async fn open(&self, url: &str) {
        soon("a page opens", self.client.goto(url)).await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub(crate) async fn url(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// What the page shows.
    pub(crate) async fn text(&self) -> String {
        let text = self.run("return document.body ? document.body.innerText : ''").await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the page shows a text, and gives all of its text.
    pub(crate) async fn wait_for(&self, text: &str) -> String {
        for _ in 0..500 {
            let shown = self.text().await;
            if shown.contains(text) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{text:?} does not appear on {}:\n{}", self.url().await, self.text().await);
    }

    /// Types into the field of that name.
    pub(crate) async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("input[name={name}]")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks the button or link with that text.
    pub(crate) async fn click(&self, text: &str) {
        let path = format!("//*[self::a or self::button][normalize-space()='{text}']");
        let element = self.client.find(Locator::XPath(&path)).await;
        match element {
            Ok(element) => soon("a click ends", element.click()).await.unwrap(),
            Err(_) => {
                panic!("no {text:?} to click on {}:\n{}", self.url().await, self.text().await)
            }
        }
    }

    pub(crate) async fn find(&self, selector: &str) -> Element {
        match self.client.find(Locator::Css(selector)).await {
            Ok(element) => element,
            Err(_) => panic!("no {selector} on {}:\n{}", self.url().await, self.text().await),
        }
    }

    /// Presses keys where the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(crate) async fn press(&self, key: Key) {
        self.keys(&char::from(key).to_string()).await;
    }

    /// What has the focus: its id, or its text.
    pub(crate) async fn focus(&self) -> String {
        let script = "const e = document.activeElement; return e.id || e.innerText || e.tagName";
        self.run(script).await.as_str().unwrap().to_owned()
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        soon("a script ends", self.client.execute(script, Vec::new())).await.unwrap()
    }

    /// The addresses of the pages that were asked for since this was last called, each redirect
    /// among them.
    pub(crate) async fn visited(&self) -> Vec<String> {
        let entries = self.vendor("se/log", json!({ "type": "performance" })).await;
        let entries = entries.as_array().unwrap().iter();
        let events = entries.map(|entry| entry["message"].as_str().unwrap());
        let events = events.map(|event| serde_json::from_str::<Value>(event).unwrap());
        let requests = events.map(|mut event| event["message"].take()).filter(|message| {
            message["method"] == "Network.requestWillBeSent"
                && message["params"]["type"] == "Document"
        });
        requests.map(|it| it["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// All cookies of all hosts and paths, each as `HOST PATH NAME`.
    pub(crate) async fn all_cookies(&self) -> Vec<String> {
        let all = self.devtools("Storage.getCookies", json!({})).await;
        let all = all["cookies"].as_array().unwrap().iter();
        let text = |cookie: &Value, key: &str| cookie[key].as_str().unwrap().to_owned();
        let named = |it| ["domain", "path", "name"].map(|key| text(it, key)).join(" ");
        let mut named: Vec<_> = all.map(named).collect();
        named.sort();
        named
    }

    pub(crate) async fn cookies(&self) -> Vec<Cookie<'static>> {
        self.client.get_all_cookies().await.unwrap()
    }

    pub(crate) async fn forget_cookies(&self) {
        self.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    /// Opens an empty tab and goes there.
    pub(crate) async fn new_tab(&self) -> Tab {
        let handle = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(handle.clone()).await.unwrap();
        Tab(handle)
    }

    pub(crate) async fn tab(&self) -> Tab {
        Tab(self.client.window().await.unwrap())
    }

    pub(crate) async fn go_to_tab(&self, tab: &Tab) {
        self.client.switch_to_window(tab.0.clone()).await.unwrap();
    }

    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.vendor("goog/cdp/execute", body).await
    }

    /// Sees that the console has no complaint, apart from the statuses of the pages themselves.
    pub(crate) async fn assert_clean_console(&self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// What the console complained of since it was last asked.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.vendor("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().iter();
        let messages = entries
            .filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG")
            .map(|entry| entry["message"].as_str().unwrap().to_owned());
        let is_status =
            |message: &String| message.contains("the server responded with a status of");
        messages.filter(|message| !is_status(message)).collect()
    }

    async fn vendor(&self, path: &'static str, body: Value) -> Value {
        let command = Vendor { path, body: body.to_string() };
        soon("the browser obeys", self.client.issue_cmd(command)).await.unwrap()
    }
}

impl Drop for Browser {
    /// Chromium is chromedriver's child: it ends with its session, not with chromedriver.
    fn drop(&mut self) {
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.session
        );
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.driver.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 256]);
        }
    }
}

pub(crate) struct Tab(fantoccini::wd::WindowHandle);

/// A command that only Chromium has.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: String,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.clone()))
    }
}

/// A running chromedriver, and the folder that it and Chromium leave things in.
struct Driver {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Driver {
    fn start() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-access-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`chromedriver` cannot be started (Debian: apt-get install chromium-driver)");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            let length = output.read_line(&mut line).unwrap();
            assert!(length > 0, "chromedriver ended before it listened");
            let Some((_, port)) = line.split_once("started successfully on port ") else {
                continue;
            };
            break port.trim().trim_end_matches('.').parse().unwrap();
        };
        // It may have more to say, and must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { process, port, folder }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Chromium's last processes may still be writing.
        for _ in 0..40 {
            if std::fs::remove_dir_all(&self.folder).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The path of the browser.
fn chromium() -> String {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
        .expect("Chromium is not installed (Debian: apt-get install chromium chromium-driver)")
        .display()
        .to_string()
}
