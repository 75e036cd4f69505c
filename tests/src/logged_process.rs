//! Binaries of which everything is kept that they say.

use std::{process::Stdio, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::processes::{Signal, signal};

/// Far longer than anything should take, on a busy machine too.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);

/// A binary of which everything is kept that it says.
pub struct LoggedProcess {
    child: Child,
    said: watch::Receiver<String>,
    listening: Vec<JoinHandle<()>>,
}

impl LoggedProcess {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (saying, said) = watch::channel(String::new());
        let saying = Arc::new(saying);
        let out = tokio::spawn(listen(child.stdout.take().expect("it is piped"), saying.clone()));
        let err = tokio::spawn(listen(child.stderr.take().expect("it is piped"), saying));
        Self { child, said, listening: vec![out, err] }
    }

    /// Waits for a JSON line with this field, and returns its value.
    pub async fn field(&mut self, name: &str) -> String {
        let value = |said: &str| {
            let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| line[name].as_str().map(str::to_owned))
        };
        let said = timeout(OUTPUT_TIMEOUT, self.said.wait_for(|said| value(said).is_some())).await;
        let said = said.unwrap_or_else(|_| panic!("no line has {name}")).expect("it lives");
        value(&said).expect("it was waited for")
    }

    /// `http://` and the address that a field has.
    pub async fn url(&mut self, field: &str) -> String {
        format!("http://{}", self.field(field).await.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1"))
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        signal(&self.child, Signal::TERM);
    }

    /// Waits for its end, and returns its exit code and everything that it said.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(OUTPUT_TIMEOUT, self.child.wait()).await.expect("it ends").expect("it is our own child");
        for listening in self.listening {
            listening.await.expect("it only reads");
        }
        (status.code(), self.said.borrow().clone())
    }

    /// Stops it cleanly, and returns everything that it said.
    pub async fn stop(self) -> String {
        self.terminate();
        let (code, said) = self.ended().await;
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

async fn listen(log: impl AsyncRead + Unpin, saying: Arc<watch::Sender<String>>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        saying.send_modify(|said| *said += &(line + "\n"));
    }
}
