//! Chromium without a window, driven over a pipe as its developer tools do it.
//! <https://chromedevtools.github.io/devtools-protocol>

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Chromium reads commands from descriptor 3 and answers on 4, and ends when it can read no more: when the test has.
const RUN: &str = r#"directory=$(mktemp -d) || exit
"$0" --user-data-dir="$directory" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1
rm -rf "$directory""#;
/// Root has no sandbox, and the pages are our own.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-component-update",
];
/// How long a page may take, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// One window with one page.
#[derive(Debug)]
pub struct Browser {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    // Not ended when this is dropped: it notices by itself, and has to clear up first.
    _chromium: Child,
}

impl Browser {
    /// Nothing where there is no Chromium.
    pub async fn start() -> Option<Self> {
        let program = installed()?;
        let mut command = Command::new("sh");
        command.args(["-c", RUN]).arg(program).args(ARGUMENTS).process_group(0);
        let mut chromium = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is a shell");
        let pipes = "both ends of a pipe exist";
        let commands = chromium.stdin.take().expect(pipes);
        let answers = BufReader::new(chromium.stdout.take().expect(pipes));
        let mut browser = Self { commands, answers, session: None, calls: 0, _chromium: chromium };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach).await["sessionId"].as_str().map(str::to_owned);
        browser.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        browser.call("Page.enable", json!({})).await;
        Some(browser)
    }

    /// Loads a page.
    pub async fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.until("document.readyState === 'complete'").await;
    }

    /// The value of an expression in the page.
    pub async fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression in the page is true.
    pub async fn until(&mut self, condition: &str) {
        let becomes_true = async {
            // Between two pages there is nothing to ask.
            while self.try_eval(condition).await != Ok(Value::Bool(true)) {
                sleep(POLL).await;
            }
        };
        if timeout(LIMIT, becomes_true).await.is_err() {
            let page = self.try_eval("document.documentElement.outerHTML").await;
            panic!("this never became true: {condition}\n{page:?}");
        }
    }

    /// Presses `Tab`, `Enter` or a letter; with `Shift+` or `Control+` before it, holding that key.
    pub async fn press(&mut self, key: &str) {
        let (modifiers, key) = match key.split_once('+') {
            Some(("Shift", key)) => (8, key),
            Some(("Control", key)) => (2, key),
            _ => (0, key),
        };
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            letter => (letter.to_ascii_uppercase().as_bytes()[0], if modifiers == 0 { letter } else { "" }),
        };
        let commands: &[&str] = if (modifiers, key) == (2, "a") { &["selectAll"] } else { &[] };
        let event = json!({
            "type": "keyDown", "key": key, "code": key, "modifiers": modifiers, "windowsVirtualKeyCode": code,
            "text": text, "commands": commands,
        });
        self.call("Input.dispatchKeyEvent", event).await;
        let event = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", event).await;
    }

    /// Writes into the field that has the focus.
    pub async fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Makes the window this wide and high.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Prefers the `light` or the `dark` scheme.
    pub async fn prefer(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Lets no script of a page run.
    pub async fn forbid_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Runs this before the scripts of every page.
    pub async fn run_first(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// What is read aloud of the fields and buttons of the page: role, name, description, and whether it is wrong.
    pub async fn read_aloud(&mut self) -> Vec<(String, String, String, bool)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().into_iter().flatten();
        let spoken = nodes.filter(|node| node["ignored"] != true).map(|node| {
            let properties = node["properties"].as_array().into_iter().flatten();
            let wrong =
                properties.filter(|property| property["name"] == "invalid").any(|p| text(&p["value"]) == "true");
            (text(&node["role"]), text(&node["name"]), text(&node["description"]), wrong)
        });
        spoken.filter(|(role, ..)| ["textbox", "button"].contains(&role.as_str())).collect()
    }

    /// Writes down how the page looks, into the directory that `SCREENSHOTS` names, if any.
    pub async fn screenshot(&mut self, name: &str) {
        let Some(directory) = env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
        let answer = self.call("Page.captureScreenshot", json!({})).await;
        let image = BASE64_STANDARD.decode(answer["data"].as_str().expect("text")).expect("base64");
        std::fs::write(directory.join(format!("{name}.png")), image).expect("SCREENSHOTS names a directory");
    }

    async fn try_eval(&mut self, expression: &str) -> Result<Value, String> {
        let options = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.try_call("Runtime.evaluate", options).await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.try_call(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.calls += 1;
        let mut command = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let line = format!("{command}\0");
        self.commands.write_all(line.as_bytes()).await.expect("Chromium reads");
        let answer = timeout(LIMIT, self.answer()).await.unwrap_or_else(|_| panic!("no answer to {method}"));
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"].clone()),
        }
    }

    /// The answer to the last command; what happens meanwhile is not needed.
    async fn answer(&mut self) -> Value {
        loop {
            let mut message = Vec::new();
            let read = self.answers.read_until(0, &mut message).await.expect("Chromium writes");
            assert!(read > 0, "Chromium has ended");
            message.pop();
            let message: Value = serde_json::from_slice(&message).expect("JSON");
            if message["id"] == self.calls {
                return message;
            }
        }
    }
}

fn installed() -> Option<PathBuf> {
    let directories: Vec<_> = env::split_paths(&env::var_os("PATH")?).collect();
    let found = NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    found.into_iter().find(|program| program.is_file())
}
