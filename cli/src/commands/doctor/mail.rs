//! Whether the domains that our mails come from, and customers' mails go to, are as receivers want them.

use common::{
    config::{EmailProvider, EmailSettings, WorkerConfig},
    sending_accounts::{EmailService, RecordStatus, SendingDomain, passes},
    telemetry::error_chain,
};
use integrations::dns::{self, Dns, DnsError};

use super::{
    Finding,
    Finding::{Fine, Note},
};

/// What DNS says of them, as far as there are any. None of it keeps anything from running.
pub(super) async fn domains(config: &WorkerConfig) -> Vec<(&'static str, Finding)> {
    let dns = Dns::new(config.outside.dns_url.as_deref().unwrap_or(dns::DEFAULT_URL));
    let mut findings = Vec::new();
    if let Some(domain) = &config.outgoing.inbound_domain {
        findings.push(("mails to us", told(&dns, |dns| inbound(dns, domain.clone())).await));
    }
    if let Some(email) = &config.outgoing.email {
        findings.push(("mails from us", told(&dns, |dns| outgoing(dns, sending_domain(email))).await));
    }
    findings
}

async fn told<F: Future<Output = Result<Finding, DnsError>>>(
    dns: &Result<Dns, DnsError>,
    ask: impl FnOnce(Dns) -> F,
) -> Finding {
    match dns {
        Ok(dns) => ask(dns.clone()).await.unwrap_or_else(|error| not_asked(&error)),
        Err(error) => not_asked(error),
    }
}

fn not_asked(error: &DnsError) -> Finding {
    Note(format!("nobody knows: {}", error_chain(error)))
}

async fn inbound(dns: Dns, domain: String) -> Result<Finding, DnsError> {
    let servers = dns.records(&domain, "MX").await?;
    Ok(if servers.is_empty() {
        Note(format!("{domain} has no MX record, so nobody can send mails there; put that of your mail provider there"))
    } else {
        Fine(format!("{domain} is taken by {}", servers.join(", ")))
    })
}

async fn outgoing(dns: Dns, domain: SendingDomain) -> Result<Finding, DnsError> {
    let mut answers = Vec::new();
    for question in domain.questions() {
        let records = dns.records(&question.name, question.record_type()).await?;
        answers.push((question, records));
    }
    let records = domain.judge(&answers);
    let wanting = records.iter().filter(|record| record.status != RecordStatus::Found);
    let lines: Vec<_> =
        wanting.filter_map(|record| Some(format!("{}: {}", record.name, record.advice.as_ref()?))).collect();
    Ok(if passes(&records) {
        Fine(format!("receivers can tell mails of {} from those of others", domain.name))
    } else {
        Note(format!("receivers may take mails of {} for spam:\n{}", domain.name, lines.join("\n")))
    })
}

fn sending_domain(email: &EmailSettings) -> SendingDomain {
    let (service, host) = match &email.provider {
        EmailProvider::Smtp(server) => (EmailService::Smtp, Some(server.host.as_str())),
        EmailProvider::SendGrid(_) => (EmailService::Sendgrid, None),
        EmailProvider::Resend(_) => (EmailService::Resend, None),
        EmailProvider::Postmark(_) => (EmailService::Postmark, None),
    };
    SendingDomain::new(&email.from, service, host)
}
