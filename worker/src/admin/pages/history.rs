use axum::extract::{Query, State};
use common::{
    audit::{Action, actions},
    db::Db,
};
use maud::{Markup, html};

use super::{
    PageError,
    layout::{Viewer, page},
    pager::{Position, limit},
    table::{Column, Look, table},
    text::{count, moment},
};

/// Ids that are shown of one action, at most.
const SHOWN: usize = 10;

/// What operators did, newest first.
pub(in crate::admin) async fn show(
    State(db): State<Db>,
    Query(position): Query<Position>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let mut found = actions(&mut tx, position.seek(), limit()).await?;
    let pager = position.pager(&mut found, |action| action.id, "/history", &[]);
    let content = html! {
        p { "Who did what to jobs, deliveries and queues, here and with " code { "norvalt" } "." }
        (actions_table(&found, &viewer))
        (pager)
    };
    Ok(page("/history", "History", &viewer, &content))
}

/// Recorded actions, as a table.
pub(super) fn actions_table(actions: &[Action], viewer: &Viewer) -> Markup {
    let columns = [
        Column("When", Look::Plain),
        Column("Who", Look::Plain),
        Column("Did", Look::Plain),
        Column("To", Look::Long),
        Column("Why", Look::Long),
    ];
    let rows = actions.iter().map(|action| {
        [
            moment(action.at, viewer.now),
            html! { (action.operator) @if action.via == "command" { " (norvalt)" } },
            html! { (action.action) },
            subject(action),
            html! { (action.reason.as_deref().unwrap_or_default()) },
        ]
    });
    table("Actions of operators", &columns, rows, "Nothing so far.")
}

fn subject(action: &Action) -> Markup {
    let (path, one, several) = match action.subject.as_str() {
        "jobs" => ("/jobs", "job", "jobs"),
        "deliveries" => ("/deliveries", "delivery", "deliveries"),
        queue => return html! { "queue " (queue) },
    };
    html! {
        (count(action.affected, one, several)) ":"
        @for id in action.ids.iter().take(SHOWN) { " " a href={ (path) "/" (id) } { (id) } }
        @if action.ids.len() > SHOWN { " …" }
    }
}
