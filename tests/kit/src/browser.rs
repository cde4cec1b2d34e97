//! A real browser without a screen, driven as WebDriver says.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Context, Error, Result, within};
use crate::ports::{self, Port};
use crate::process::{Line, Process};

/// The programs that it takes, and the Debian packages that they are in.
const PROGRAMS: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];
/// How long the browser may take to start, and for any one thing that it is told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a page that is to change.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// No window, no requests of its own, and no more of `/dev/shm` than containers have. With a pipe to its driver it
/// ends when the driver does.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// The Tab key.
pub const TAB: &str = "\u{e004}";
/// The Enter key.
pub const ENTER: &str = "\u{e007}";
/// The key with the arrow to the left.
pub const ARROW_LEFT: &str = "\u{e012}";

/// The browser with its one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    // In this order: the folder goes last.
    _process: Process,
    _port: Port,
    _profile: TempDir,
}

impl Browser {
    /// What is missing here for a browser; none when all is there.
    pub fn missing() -> Option<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let is_there = |program: &str| path.split(':').any(|folder| Path::new(folder).join(program).exists());
        let missing: Vec<&str> = PROGRAMS
            .into_iter()
            .filter(|(program, _)| !is_there(program))
            .map(|(_, package)| package)
            .collect();
        (!missing.is_empty()).then(|| format!("there is no {} here", missing.join(" and no ")))
    }

    /// A browser with an empty page.
    pub async fn start() -> Result<Browser> {
        let profile = tempfile::tempdir().context("making a folder for the browser")?;
        let mut command = Command::new("chromedriver");
        // One that it chooses itself for IPv6 may be somebody else's for IPv4, and then it gives up.
        let port = ports::free()?;
        command.arg(format!("--port={port}")).env("TMPDIR", profile.path());
        let process = Process::start(command)?;
        let is_up = |line: &Line| line.text.contains("started successfully");
        process.lines.wait("chromedriver to be up", PATIENCE, is_up).await?;
        let driver = port.address();
        let folder = format!("--user-data-dir={}", profile.path().join("profile").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([folder.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": PATIENCE.as_secs() * 1_000 },
        } } });
        let session = command_to(driver, "POST", "/session", &wanted).await?;
        let session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        Ok(Browser { driver, session, _process: process, _port: port, _profile: profile })
    }

    async fn tell(&self, method: &str, command: &str, body: &Value) -> Result<Value> {
        command_to(self.driver, method, &format!("/session/{}{command}", self.session), body).await
    }

    /// Goes to a page, and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Result {
        self.tell("POST", "/url", &json!({ "url": url })).await.map(drop)
    }

    /// Runs the body of a function in the page; what it returns, or what its promise comes to.
    pub async fn run(&self, script: &str, arguments: Value) -> Result<Value> {
        self.tell("POST", "/execute/sync", &json!({ "script": script, "args": arguments })).await
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    /// When it does not become true in time: says what the page says instead.
    pub async fn wait_for(&self, expression: &str, deadline: Duration) -> Result {
        let began = Instant::now();
        while self.run(&format!("return Boolean({expression})"), json!([])).await? != true {
            if began.elapsed() > deadline {
                let page = self.text("body").await?;
                return Err(Error::new(format!(
                    "waited {deadline:?} for {expression}; the page says: {page}"
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Waits until the element that `selector` finds has `text` in it.
    pub async fn wait_for_text(&self, selector: &str, text: &str, deadline: Duration) -> Result {
        let [selector, text] = [selector, text].map(|quoted| Value::from(quoted).to_string());
        self.wait_for(&format!("document.querySelector({selector})?.innerText.includes({text})"), deadline)
            .await
    }

    /// What people read in the first element that `selector` finds.
    pub async fn text(&self, selector: &str) -> Result<String> {
        let found =
            self.run("return document.querySelector(arguments[0])?.innerText", json!([selector])).await?;
        found.as_str().map(str::to_owned).ok_or_else(|| Error::new(format!("the page has no {selector}")))
    }

    /// Clicks on the first element that `selector` finds.
    pub async fn click(&self, selector: &str) -> Result {
        let found = json!({ "using": "css selector", "value": selector });
        let element = element(&self.tell("POST", "/element", &found).await?)?;
        self.tell("POST", &format!("/element/{element}/click"), &json!({})).await.map(drop)
    }

    /// Types on whatever has the focus.
    pub async fn keys(&self, keys: &str) -> Result {
        let element = element(&self.tell("GET", "/element/active", &Value::Null).await?)?;
        self.tell("POST", &format!("/element/{element}/value"), &json!({ "text": keys })).await.map(drop)
    }

    /// Has a screen of this size, in CSS pixels; narrow ones are phones.
    pub async fn size(&self, width: u32, height: u32) -> Result {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Prefers dark pages, or light ones.
    pub async fn dark(&self, dark: bool) -> Result {
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await.map(drop)
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.tell("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// What is on the screen, as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let taken = self.tell("GET", "/screenshot", &Value::Null).await?;
        let text = taken.as_str().unwrap_or_default();
        data_encoding::BASE64.decode(text.as_bytes()).context("reading a screenshot")
    }

    /// What the console got since the last call.
    pub async fn console(&self) -> Result<Vec<String>> {
        let log = self.tell("POST", "/se/log", &json!({ "type": "browser" })).await?;
        let entries = log.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It tidies up when it is told to end; the driver's death ends it in any case.
        let request = head("DELETE", &format!("/session/{}", self.session), self.driver, 0);
        let farewell = std::net::TcpStream::connect(self.driver).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(request.as_bytes())?;
            stream.read(&mut [0; 64])
        });
        drop(farewell);
    }
}

/// The name of an element in an answer.
fn element(answer: &Value) -> Result<String> {
    let name = answer.as_object().and_then(|element| element.values().next()).and_then(Value::as_str);
    name.map(str::to_owned).ok_or_else(|| Error::new(format!("this is no element: {answer}")))
}

fn head(method: &str, path: &str, driver: SocketAddr, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {driver}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    )
}

/// One command, and the value that comes back.
async fn command_to(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value> {
    let what = format!("telling the browser {method} {path}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let exchange = async {
        let mut stream = TcpStream::connect(driver).await.context(&what)?;
        stream.write_all((head(method, path, driver, body.len()) + &body).as_bytes()).await.context(&what)?;
        read_answer(&mut stream, &what).await
    };
    let answer = within(PATIENCE, &what, exchange).await??;
    match &answer["value"] {
        Value::Object(value) if value.contains_key("error") => {
            Err(Error::new(format!("{what}: {}", value["message"].as_str().unwrap_or_default())))
        }
        value => Ok(value.clone()),
    }
}

/// Reads as much as the answer says that it is long: the driver may keep the connection.
async fn read_answer(stream: &mut TcpStream, what: &str) -> Result<Value> {
    let mut answer = Vec::new();
    loop {
        let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head_end) = head_end {
            let head = String::from_utf8_lossy(&answer[..head_end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.unwrap_or_default().trim().parse().context(what)?;
            if answer.len() >= head_end + length {
                return serde_json::from_slice(&answer[head_end..head_end + length]).context(what);
            }
        }
        if stream.read_buf(&mut answer).await.context(what)? == 0 {
            return Err(Error::new(format!("{what}: the answer ends too soon")));
        }
    }
}
