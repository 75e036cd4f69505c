use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use super::{Report, Reporter, report};
use crate::{
    db::{Result, SystemTx, TenantTx},
    deliveries::{NewDelivery, ProcessError, Source, Status, Stored, settle_own, store, take_own},
    hex,
    ids::DealershipId,
    jobs::ReadReport,
    queue::{NewJob, enqueue},
};

/// Stores reports, for each dealership what is about its messages, and has them written down. Says whether any is new.
/// Nothing of the customers is kept.
pub async fn receive_reports(
    tx: &mut SystemTx,
    reporter: Reporter,
    reports: Vec<(DealershipId, Report)>,
) -> Result<bool> {
    let mut by_dealership: BTreeMap<DealershipId, Vec<Report>> = BTreeMap::new();
    for (dealership, report) in reports {
        by_dealership.entry(dealership).or_default().push(report);
    }
    let mut any = false;
    for (dealership, reports) in by_dealership {
        let body = serde_json::to_vec(&reports).expect("reports are plain data");
        let new = NewDelivery {
            source: Source::Report,
            external_id: &hex(digest(&SHA256, &body).as_ref()),
            event_type: reporter.as_str(),
            dealership: Some(dealership),
            source_id: None,
            subject: None,
            headers: json!({}),
            body: &body,
            status: Status::Pending,
            outcome: None,
        };
        let Stored::New(delivery_id) = store(tx, &new).await? else { continue };
        any = true;
        let job = ReadReport { delivery_id };
        let new = NewJob { dealership: Some(dealership), ..NewJob::now(&job) };
        enqueue(tx, &new).await?;
    }
    Ok(any)
}

/// Writes down what a stored delivery reports.
pub async fn process_reports(tx: &mut TenantTx, id: i64) -> Result<Option<Status>, ProcessError> {
    let delivery = take_own(tx, id).await?;
    if delivery.status != Status::Pending {
        return Ok(None);
    }
    let reports: Vec<Report> = serde_json::from_slice(&delivery.body.unwrap_or_default()).unwrap_or_default();
    let mut known = 0_usize;
    for one in &reports {
        known += usize::from(report(tx, one).await?);
    }
    let outcome = format!("told of {known} messages; {} are not here any more", reports.len() - known);
    settle_own(tx, id, Status::Processed, &outcome, &[]).await?;
    Ok(Some(Status::Processed))
}
