//! What a mail comes to.

use super::{
    address::OwnAddresses,
    classify::{Kind, classify},
    mail::Mail,
    portal::{self, SenderRules},
};
use crate::inquiry::{NewInquiry, Reading, adf};

/// Reads what a mail asks, if it asks something.
pub fn read(mail: &Mail, own: &OwnAddresses, rules: &SenderRules) -> Reading {
    match classify(mail, own, rules) {
        Kind::Bounce | Kind::Complaint => Reading::Report(mail.report.clone().unwrap_or_default()),
        Kind::AutoReply => Reading::Ignored("an automatic answer".to_owned()),
        Kind::Inquiry => Reading::Inquiries(inquiries(mail, own, rules)),
        Kind::Suspected(reason) => Reading::Doubtful(format!("may be unwanted: {reason}"), inquiries(mail, own, rules)),
        Kind::Unsure(reason) => Reading::Unsure(Box::new(Unsure {
            reason: reason.to_owned(),
            inquiries: inquiries(mail, own, rules),
            mail: mail.clone(),
        })),
    }
}

/// A mail of which rules cannot tell whether a customer asks something in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsure {
    pub reason: String,
    /// What it asks, if it does.
    pub inquiries: Vec<NewInquiry>,
    pub mail: Mail,
}

/// Those of the ADF document in it, or else what it says itself.
fn inquiries(mail: &Mail, own: &OwnAddresses, rules: &SenderRules) -> Vec<NewInquiry> {
    let prospects = mail.adf().and_then(|document| adf::read(document.as_bytes(), None).ok()).unwrap_or_default();
    if !prospects.is_empty() {
        return prospects.into_iter().map(NewInquiry::from).collect();
    }
    let answers = mail.in_reply_to.iter().chain(&mail.references).cloned().collect();
    vec![NewInquiry { inquiry: portal::read(mail, rules, own), key: None, mail_id: mail.message_id.clone(), answers }]
}
