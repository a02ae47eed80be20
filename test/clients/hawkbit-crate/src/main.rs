//! A client of hawkBit DDI on the crate `hawkbit`, for the tests of OtaFlux: it sends what it is asked for, installs what it is
//! offered, by comparing all three digests, and ends when it has closed a deployment or a cancellation.
//!
//! Usage: otaflux-hawkbit-client URL TENANT CONTROLLER TOKEN FOLDER OUTCOME
//!
//! OUTCOME is `success`, `failure`, or `cut` to end after the download without a report.

use anyhow::{bail, Result};
use hawkbit::ddi::{Client, ClientAuthorization, Execution, Finished};
use serde::Serialize;
use std::path::Path;
use tokio::time::{sleep, Duration};

#[derive(Debug, Serialize)]
struct ConfigData {
    board: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, tenant, controller, token, folder, outcome] = args.as_slice() else {
        bail!("usage: otaflux-hawkbit-client URL TENANT CONTROLLER TOKEN FOLDER OUTCOME");
    };
    let authorization = ClientAuthorization::TargetToken(token.clone());
    let ddi = Client::new(url, tenant, controller, authorization, None, None, None)?;
    loop {
        let reply = ddi.poll().await?;
        println!("polled");
        if let Some(request) = reply.config_data_request() {
            let data = ConfigData { board: "h3".into() };
            request
                .upload(Execution::Closed, Finished::Success, None, data, vec![])
                .await?;
            println!("config data");
        }
        if let Some(update) = reply.update() {
            let update = update.fetch().await?;
            update
                .send_feedback(Execution::Proceeding, Finished::None, vec!["Downloading"])
                .await?;
            for artifact in update.download(Path::new(folder)).await? {
                artifact.check_md5().await?;
                artifact.check_sha1().await?;
                artifact.check_sha256().await?;
                println!("downloaded {}", artifact.file().display());
            }
            let finished = match outcome.as_str() {
                "success" => Finished::Success,
                "failure" => Finished::Failure,
                _ => return Ok(()),
            };
            update
                .send_feedback(Execution::Closed, finished, vec!["done"])
                .await?;
            println!("closed");
            return Ok(());
        }
        if let Some(cancel) = reply.cancel_action() {
            println!("cancel {}", cancel.id().await?);
            cancel
                .send_feedback(Execution::Closed, Finished::Success, vec![])
                .await?;
            return Ok(());
        }
        sleep(reply.polling_sleep()?.min(Duration::from_secs(1))).await;
    }
}
