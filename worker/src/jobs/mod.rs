//! What jobs do. A new kind of job: its payload in `common::jobs`, a file in its area here that implements one of the
//! traits in [`crate::kinds`], a line in [`registry`].

mod answers;
mod clerk;
mod facebook;
mod intake;
mod sending;
mod upkeep;

use std::time::Duration;

use common::{
    config::WorkerConfig,
    jobs::{
        AnswerInTime, CheckDomain, CheckForm, ConnectPage, CountLeads, ListPages, NotifyPeople, ProcessClerkEvent,
        Prune, ReadFacebookLead, ReadInquiry, ReadReport, ReadSms, ReconcileClerk, ReconcileFacebook, SendEmail,
        SendSms, SortMail, WatchLead, WriteAnswer, WriteSuggestion,
    },
};

use crate::Registry;

/// How often to look for leads that webhooks missed. Of what Meta lets us ask in a day, that is little.
const FACEBOOK: Duration = Duration::from_hours(6);

/// Every kind of job that this worker runs.
pub fn registry(config: &WorkerConfig) -> Registry {
    let registry = Registry::default()
        .system::<ProcessClerkEvent>()
        .tenant::<ReadInquiry>()
        .network::<CheckForm>()
        .network::<SortMail>()
        .network::<ReadFacebookLead>()
        .network::<ConnectPage>()
        .network::<ListPages>()
        .network::<CheckDomain>()
        .network::<SendEmail>()
        .network::<SendSms>()
        .network::<WriteAnswer>()
        .network::<WriteSuggestion>()
        .tenant::<AnswerInTime>()
        .tenant::<NotifyPeople>()
        .tenant::<WatchLead>()
        .tenant::<ReadReport>()
        .tenant::<ReadSms>()
        .idempotent::<CountLeads>()
        .idempotent::<Prune>()
        .every(Duration::from_hours(1), &CountLeads {})
        .every(Duration::from_mins(1), &Prune {});
    let registry = match &config.outside.meta {
        Some(_) => registry.idempotent::<ReconcileFacebook>().every(FACEBOOK, &ReconcileFacebook {}),
        None => registry,
    };
    match &config.clerk {
        // Who cannot ask Clerk leaves its jobs to those who can.
        Some(_) => registry.idempotent::<ReconcileClerk>().every(config.sync_interval, &ReconcileClerk {}),
        None => registry,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use common::{config::Settings, jobs::KINDS};

    use super::*;

    #[test]
    fn the_list_of_kinds_is_what_a_worker_runs() {
        let settings = [
            ("DATABASE_URL", "postgres://localhost/norvalt"),
            ("CLERK_SECRET_KEY", "sk_test_of_nobody"),
            ("FACEBOOK_APP_ID", "1"),
            ("FACEBOOK_APP_SECRETS", "a-secret-of-nobody"),
        ];
        let config = WorkerConfig::read(&mut Settings::from_values(settings)).expect("the settings are valid");
        assert_eq!(registry(&config).kinds(), BTreeSet::from(KINDS));
    }
}
