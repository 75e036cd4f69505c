use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failure::Failure;

/// An API that is healthy is ready within a second or two.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Waits until the API on that port serves.
pub(crate) async fn wait_until_ready(port: u16) -> Result<(), Failure> {
    let client = reqwest::Client::builder().no_proxy().timeout(READY_WITHIN).build();
    let client = client.expect("a client without certificates of its own can be built");
    let deadline = Instant::now() + READY_WITHIN;
    let mut answer = "it does not listen".to_owned();
    while Instant::now() < deadline {
        if let Ok(response) = client.get(format!("http://127.0.0.1:{port}/health/ready")).send().await {
            if response.status().is_success() {
                return Ok(());
            }
            answer = format!("{} {}", response.status(), response.text().await.unwrap_or_default());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(Failure::NotReady { seconds: READY_WITHIN.as_secs(), answer })
}
