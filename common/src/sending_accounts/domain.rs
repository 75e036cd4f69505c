//! What DNS says of the domain that a dealership's mails come from: whether whoever receives them can tell that they are its.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EmailService;

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// Which servers may send. <https://www.rfc-editor.org/rfc/rfc7208>
    Spf,
    /// With which key mails are signed. <https://www.rfc-editor.org/rfc/rfc6376>
    Dkim,
    /// What is done with mails for which neither speaks. <https://www.rfc-editor.org/rfc/rfc7489>
    Dmarc,
    /// Who takes mails to the domain.
    Mx,
}

/// How a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    Found,
    Missing,
    Wrong,
    /// Its name is known to the dealership and its provider only.
    Unknown,
}

/// One record of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainRecord {
    /// What it is for.
    pub kind: RecordKind,
    /// Where in DNS it stands.
    #[schema(example = "_dmarc.bilvest.example")]
    pub name: String,
    /// How it is there.
    pub status: RecordStatus,
    /// What stands there.
    #[schema(example = "v=DMARC1; p=none")]
    pub value: Option<String>,
    /// What to put into DNS, or to have corrected.
    pub advice: Option<String>,
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub kind: RecordKind,
    pub name: String,
}

impl Question {
    /// The type of its records.
    pub fn record_type(&self) -> &'static str {
        if self.kind == RecordKind::Mx { "MX" } else { "TXT" }
    }
}

/// A domain that mails come from, and through whose service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingDomain {
    /// In its ASCII form.
    pub name: String,
    pub service: EmailService,
    /// Of a mail server.
    pub host: Option<String>,
}

/// Services of which it is known what they want in DNS: the end of their mail servers' names, what SPF includes, and where
/// keys are.
const HOSTS: [(&str, &str, &str); 3] = [
    ("office365.com", "spf.protection.outlook.com", "selector1"),
    ("gmail.com", "_spf.google.com", "google"),
    ("google.com", "_spf.google.com", "google"),
];

impl SendingDomain {
    pub fn new(address: &str, service: EmailService, host: Option<&str>) -> Self {
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
        let name = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
        Self { name, service, host: host.map(str::to_owned) }
    }

    fn of_host(&self) -> Option<(&'static str, &'static str)> {
        let host = self.host.as_deref()?;
        let is_of = |end: &str| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        HOSTS.iter().find(|(end, ..)| is_of(end)).map(|(_, include, selector)| (*include, *selector))
    }

    fn selector(&self) -> Option<&'static str> {
        match self.service {
            EmailService::Sendgrid => Some("s1"),
            EmailService::Resend => Some("resend"),
            // It names each key anew.
            EmailService::Postmark => None,
            EmailService::Smtp => self.of_host().map(|(_, selector)| selector),
        }
    }

    /// What the record of SPF includes. The services bring a subdomain of their own, and need none: what is said then is only
    /// advice.
    fn include(&self) -> Option<&'static str> {
        match self.service {
            EmailService::Sendgrid => Some("sendgrid.net"),
            EmailService::Resend => Some("amazonses.com"),
            EmailService::Postmark => Some("spf.mtasv.net"),
            EmailService::Smtp => self.of_host().map(|(include, _)| include),
        }
    }

    /// What has to be looked up.
    pub fn questions(&self) -> Vec<Question> {
        let at = |kind, name: String| Question { kind, name };
        let name = &self.name;
        let mut questions = vec![at(RecordKind::Spf, name.clone())];
        questions.extend(self.selector().map(|key| at(RecordKind::Dkim, format!("{key}._domainkey.{name}"))));
        questions.push(at(RecordKind::Dmarc, format!("_dmarc.{name}")));
        // A subdomain has its organization's.
        let labels: Vec<_> = name.split('.').collect();
        if let [_, .., second, top] = labels.as_slice() {
            questions.push(at(RecordKind::Dmarc, format!("_dmarc.{second}.{top}")));
        }
        questions.push(at(RecordKind::Mx, name.clone()));
        questions
    }

    /// What the answers come to, one record for each kind.
    pub fn judge(&self, answers: &[(Question, Vec<String>)]) -> Vec<DomainRecord> {
        let of = |kind: RecordKind| answers.iter().filter(move |(question, _)| question.kind == kind);
        let texts =
            |kind| of(kind).map(|(_, texts)| texts).find(|texts| is_any(kind, texts)).cloned().unwrap_or_default();
        let name = |kind| of(kind).next().map(|(question, _)| question.name.clone());
        let dkim_name = name(RecordKind::Dkim).unwrap_or_else(|| format!("…._domainkey.{}", self.name));
        vec![
            self.spf(&texts(RecordKind::Spf)),
            self.dkim(dkim_name, name(RecordKind::Dkim).map(|_| texts(RecordKind::Dkim)).as_deref()),
            self.dmarc(&texts(RecordKind::Dmarc)),
            self.mx(&texts(RecordKind::Mx)),
        ]
    }

    fn spf(&self, texts: &[String]) -> DomainRecord {
        let found: Vec<_> = texts.iter().filter(|text| is_spf(text)).collect();
        let include = self.include();
        let example = include.map_or_else(
            || "a TXT record such as “v=spf1 … ~all”, with what your mail host says".to_owned(),
            |include| format!("a TXT record “v=spf1 include:{include} ~all”"),
        );
        let (status, advice) = match found.as_slice() {
            [] => (RecordStatus::Missing, Some(format!("put {example} there"))),
            [one] => match self.spf_problem(one) {
                None => (RecordStatus::Found, None),
                Some(problem) => (RecordStatus::Wrong, Some(problem)),
            },
            _ => (RecordStatus::Wrong, Some("only one record may begin with v=spf1: make one of them".to_owned())),
        };
        record(RecordKind::Spf, self.name.clone(), status, found.first().map(|text| (*text).clone()), advice)
    }

    fn spf_problem(&self, text: &str) -> Option<String> {
        let terms: Vec<String> = text.split_whitespace().skip(1).map(str::to_lowercase).collect();
        if terms.iter().any(|term| matches!(term.as_str(), "all" | "+all")) {
            return Some("“+all” lets everybody send as you: end with ~all or -all".to_owned());
        }
        let needed = self.include().filter(|_| self.service == EmailService::Smtp)?;
        let has = terms
            .iter()
            .any(|term| term.starts_with("redirect=") || term.trim_start_matches('+') == format!("include:{needed}"));
        (!has).then(|| format!("add include:{needed}, whose servers send for you"))
    }

    fn dkim(&self, name: String, texts: Option<&[String]>) -> DomainRecord {
        let Some(texts) = texts else {
            let advice =
                "see that your provider has confirmed the domain's DKIM key: only it knows the name".to_owned();
            return record(RecordKind::Dkim, name, RecordStatus::Unknown, None, Some(advice));
        };
        let key = texts.iter().find(|text| tag(text, "p").is_some());
        let (status, advice) = match key.and_then(|text| tag(text, "p")) {
            None => {
                let whose = if self.service == EmailService::Smtp { "mail host" } else { "provider" };
                (RecordStatus::Missing, Some(format!("put there what your {whose} shows for the domain's DKIM")))
            }
            Some("") => (RecordStatus::Wrong, Some("the key is revoked: put the one there that is in use".to_owned())),
            Some(_) => (RecordStatus::Found, None),
        };
        record(RecordKind::Dkim, name, status, key.cloned(), advice)
    }

    fn dmarc(&self, texts: &[String]) -> DomainRecord {
        let found: Vec<_> = texts.iter().filter(|text| is_dmarc(text)).collect();
        let policy = |text: &str| tag(text, "p").map(str::to_lowercase);
        let is_policy =
            |text: &str| policy(text).is_some_and(|policy| matches!(&*policy, "none" | "quarantine" | "reject"));
        let (status, advice) = match found.as_slice() {
            [] => (
                RecordStatus::Missing,
                Some("put a TXT record “v=DMARC1; p=none” there; stricter once it works".to_owned()),
            ),
            [one] if is_policy(one) => (RecordStatus::Found, None),
            [_] => (RecordStatus::Wrong, Some("it needs p=none, p=quarantine or p=reject".to_owned())),
            _ => (RecordStatus::Wrong, Some("only one record may begin with v=DMARC1: make one of them".to_owned())),
        };
        let name = format!("_dmarc.{}", self.name);
        record(RecordKind::Dmarc, name, status, found.first().map(|text| (*text).clone()), advice)
    }

    fn mx(&self, texts: &[String]) -> DomainRecord {
        let host = |text: &String| text.split_whitespace().last().unwrap_or_default().trim_end_matches('.').to_owned();
        let (status, advice) = match texts.first().map(host) {
            None => (
                RecordStatus::Missing,
                Some("without an MX record many receivers take the domain for made up".to_owned()),
            ),
            Some(host) if host.is_empty() => {
                (RecordStatus::Wrong, Some("the domain says that it takes no mail: name your mail servers".to_owned()))
            }
            Some(_) => (RecordStatus::Found, None),
        };
        record(RecordKind::Mx, self.name.clone(), status, texts.first().cloned(), advice)
    }
}

/// Whether receivers can tell the domain's mails from those of others: by a key or by its servers, with a rule for the rest.
pub fn passes(records: &[DomainRecord]) -> bool {
    let is = |kind, status| records.iter().any(|record| record.kind == kind && record.status == status);
    let decides = [RecordKind::Spf, RecordKind::Dkim, RecordKind::Dmarc];
    !decides.iter().any(|kind| is(*kind, RecordStatus::Wrong))
        && is(RecordKind::Dmarc, RecordStatus::Found)
        && (is(RecordKind::Dkim, RecordStatus::Found) || is(RecordKind::Spf, RecordStatus::Found))
}

/// Characters of a record that are kept.
const MAX_VALUE: usize = 500;

fn record(
    kind: RecordKind,
    name: String,
    status: RecordStatus,
    value: Option<String>,
    advice: Option<String>,
) -> DomainRecord {
    let value = value.map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect());
    DomainRecord { kind, name, status, value, advice }
}

fn is_any(kind: RecordKind, texts: &[String]) -> bool {
    match kind {
        RecordKind::Spf => texts.iter().any(|text| is_spf(text)),
        RecordKind::Dmarc => texts.iter().any(|text| is_dmarc(text)),
        RecordKind::Dkim | RecordKind::Mx => !texts.is_empty(),
    }
}

fn is_spf(text: &str) -> bool {
    text.split_whitespace().next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
}

fn is_dmarc(text: &str) -> bool {
    tag(text, "v").is_some_and(|version| version == "DMARC1") && text.trim_start().starts_with(['v', 'V'])
}

/// The value of a tag such as `p=none;`.
fn tag<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
    tags.find(|(given, _)| given.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a domain's records are judged to be, in the order of the kinds, and whether it passes.
    fn judged(domain: &SendingDomain, zone: &[(&str, &str)]) -> (Vec<RecordStatus>, bool) {
        let answer = |question: Question| {
            let texts = zone.iter().filter(|(name, text)| {
                let is_mx = text.starts_with("10 ") || text.starts_with("0 ");
                *name == question.name && is_mx == (question.record_type() == "MX")
            });
            let texts = texts.map(|(_, text)| (*text).to_owned()).collect();
            (question, texts)
        };
        let answers: Vec<_> = domain.questions().into_iter().map(answer).collect();
        let records = domain.judge(&answers);
        for record in &records {
            let is_fine = record.status == RecordStatus::Found;
            assert_eq!(record.advice.is_none(), is_fine, "{record:?}");
        }
        let passes = passes(&records);
        (records.into_iter().map(|record| record.status).collect(), passes)
    }

    fn at(service: EmailService, host: Option<&str>) -> SendingDomain {
        SendingDomain::new("salg@post.bil.no", service, host)
    }

    #[test]
    fn a_domain_passes_whose_mails_can_be_told_from_others() {
        use RecordStatus::{Found, Missing, Unknown, Wrong};
        let key = ("resend._domainkey.post.bil.no", "v=DKIM1; k=rsa; p=MIGf");
        let dmarc = ("_dmarc.post.bil.no", "v=DMARC1; p=none; rua=mailto:d@bil.no");
        let parent = ("_dmarc.bil.no", "v=DMARC1;p=reject");
        let spf = ("post.bil.no", "v=spf1 include:_spf.bil.no -all");
        let mx = ("post.bil.no", "10 mx.bil.no.");
        let other = ("post.bil.no", "google-site-verification=x");
        let resend = at(EmailService::Resend, None);
        for (zone, expected, passes) in [
            (&[other, spf, key, dmarc, mx][..], [Found, Found, Found, Found], true),
            (&[key, parent, mx], [Missing, Found, Found, Found], true),
            (&[spf, dmarc], [Found, Missing, Found, Missing], true),
            (&[spf, key, mx], [Found, Found, Missing, Found], false),
            (&[dmarc], [Missing, Missing, Found, Missing], false),
            (&[], [Missing, Missing, Missing, Missing], false),
            (&[spf, spf, key, dmarc], [Wrong, Found, Found, Missing], false),
            (&[("post.bil.no", "v=spf1 +all"), key, dmarc], [Wrong, Found, Found, Missing], false),
            (&[("resend._domainkey.post.bil.no", "p="), spf, dmarc], [Found, Wrong, Found, Missing], false),
            (&[spf, key, ("_dmarc.post.bil.no", "v=DMARC1; sp=none")], [Found, Found, Wrong, Missing], false),
            (&[spf, key, dmarc, ("post.bil.no", "0 .")], [Found, Found, Found, Wrong], true),
            (&[("post.bil.no", "v=spf10 -all"), key, dmarc], [Missing, Found, Found, Missing], true),
        ] {
            assert_eq!(judged(&resend, zone), (expected.to_vec(), passes), "{zone:?}");
        }
        let own = at(EmailService::Smtp, Some("smtp.bil.no"));
        assert_eq!(judged(&own, &[spf, dmarc, mx]), (vec![Found, Unknown, Found, Found], true));
        let office = at(EmailService::Smtp, Some("smtp.office365.com"));
        assert_eq!(judged(&office, &[spf, dmarc, mx]).0, [Wrong, Missing, Found, Found]);
        let with = ("post.bil.no", "v=spf1 include:spf.protection.outlook.com -all");
        assert_eq!(judged(&office, &[with, dmarc, mx]), (vec![Found, Missing, Found, Found], true));
        assert_eq!(at(EmailService::Smtp, Some("smtp.notoffice365.com")).selector(), None);
    }

    #[test]
    fn a_domain_is_looked_up_in_ascii() {
        let domain = SendingDomain::new("post@blåbær.no", EmailService::Postmark, None);
        assert_eq!(domain.name, "xn--blbr-roah.no");
        let names: Vec<_> = domain.questions().into_iter().map(|question| question.name).collect();
        assert_eq!(names, ["xn--blbr-roah.no", "_dmarc.xn--blbr-roah.no", "xn--blbr-roah.no"]);
    }
}
