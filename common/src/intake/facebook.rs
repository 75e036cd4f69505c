use serde_json::json;

use crate::{
    db::{Db, Result},
    deliveries::{NewDelivery, Source, Status, Stored, known, store},
    jobs::ReadFacebookLead,
    lead_sources::ConnectedPage,
    queue::{NewJob, enqueue},
};

/// Has leads of a page fetched that no webhook told of, and returns how many those are.
pub async fn announce_facebook_leads(db: &Db, page: &ConnectedPage, form: &str, leads: &[String]) -> Result<usize> {
    let mut tx = db.system().await?;
    let known = known(&mut tx, Source::Facebook, leads).await?;
    let mut announced = 0;
    for lead in leads.iter().filter(|lead| !known.contains(lead)) {
        // As a webhook would have told of it.
        let value = json!({ "leadgen_id": lead, "page_id": page.page_id, "form_id": form });
        let body = json!({
            "object": "page",
            "entry": [{ "id": page.page_id, "changes": [{ "field": "leadgen", "value": value }] }],
        })
        .to_string();
        let new = NewDelivery {
            source: Source::Facebook,
            external_id: lead,
            event_type: "leadgen",
            dealership: Some(page.dealership),
            source_id: Some(page.id),
            subject: None,
            headers: json!({ "page_id": page.page_id, "found_by": "reconciliation" }),
            body: body.as_bytes(),
            status: Status::Pending,
            outcome: None,
        };
        let Stored::New(delivery_id) = store(&mut tx, &new).await? else { continue };
        let job = ReadFacebookLead { delivery_id };
        enqueue(&mut tx, &NewJob { dealership: Some(page.dealership), ..NewJob::now(&job) }).await?;
        announced += 1;
    }
    tx.commit().await?;
    Ok(announced)
}
