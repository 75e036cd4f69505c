use std::{env, fmt::Write};

use cli::demo::{DEALERSHIPS, Dealership, Person};
use common::role::Role;
use dev::console::Console;

use crate::{
    environment::{INBOUND_DOMAIN, WORKER_ADMIN_PASSWORD},
    outside::StandIns,
    ports::Addresses,
};

/// By what senders know the sources of the first demo dealership.
const FORM: &str = DEALERSHIPS[0].slug;

/// What a person needs to know once everything runs: 24 lines of 100 columns, so that a terminal of 30 lines still shows
/// all of it when the first jobs have told their end.
pub(crate) struct Screen<'a> {
    pub(crate) console: &'a Console,
    pub(crate) addresses: &'a Addresses,
    pub(crate) stand_ins: &'a StandIns,
    /// What the database is.
    pub(crate) database: String,
    /// Whether the operators' pages have a password of the person's.
    pub(crate) has_admin_password: bool,
    /// Whether changes are followed.
    pub(crate) watched: bool,
}

impl Screen<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\n");
        self.addresses(&mut text);
        text.push('\n');
        match &self.stand_ins.clerk {
            Some(stand_in) => self.demo(&mut text, &host(&stand_in.url())),
            None => self.real_clerk(&mut text),
        }
        let more = if self.watched { "what you save is built and restarted." } else { "cargo dev --help says more." };
        let _ = writeln!(text, "\nCtrl-C stops everything and keeps the data; {more}\n");
        text
    }

    fn addresses(&self, text: &mut String) {
        let Addresses { port, api_admin, worker_admin } = self.addresses;
        self.line(text, "API", &format!("http://127.0.0.1:{port}/api/v1  documented at /docs"));
        self.line(text, "Mailbox", &format!("{}/  what customers receive", self.stand_ins.mailbox.url()));
        let password = if self.has_admin_password { "WORKER_ADMIN_PASSWORD" } else { WORKER_ADMIN_PASSWORD };
        self.line(text, "Operators", &format!("http://{worker_admin}/  name admin, password {password}"));
        self.line(text, "Metrics", &format!("http://{api_admin}/metrics, http://{worker_admin}/metrics"));
        if let Some(stand_in) = &self.stand_ins.clerk {
            self.line(text, "A form", &format!("http://127.0.0.1:{port}/forms/{FORM}  as customers see it"));
            let facebook = self.stand_ins.facebook.url();
            self.line(text, "Stand-ins", &format!("{}/ for Clerk, {facebook}/ for Facebook", stand_in.url()));
        }
        self.line(text, "Database", &format!("{}: eval \"$(cargo dev env)\"; psql \"$DATABASE_URL\"", self.database));
    }

    fn demo(&self, text: &mut String, clerk: &str) {
        for (number, dealership) in DEALERSHIPS.iter().enumerate() {
            self.line(text, if number == 0 { "People" } else { "" }, &people(dealership));
        }
        self.line(text, "A token", &format!("TOKEN=$(curl -s '{clerk}/token?user=kari')"));
        text.push('\n');
        for (what, command) in self.commands(clerk) {
            let _ = writeln!(text, "{}\n  {command}", self.console.dim(&format!("# {what}")));
        }
        let _ = writeln!(
            text,
            "{}",
            self.console.dim("# Inquiries by form, mail, ADF and Facebook: each is a lead within a second")
        );
        for command in self.inquiries() {
            let _ = writeln!(text, "  {command}");
        }
    }

    /// One for each source, from the directory of the repository.
    fn inquiries(&self) -> [String; 4] {
        let api = format!("127.0.0.1:{}/webhooks", self.addresses.port);
        [
            format!("curl -s {api}/form/{FORM} -d 'name=Ola&phone=45678901&message=Hei'"),
            format!(
                "cargo run -q --bin norvalt inbound email --to {FORM}@{INBOUND_DOMAIN} < docs/examples/inquiry.eml"
            ),
            format!("curl -s {api}/adf/{FORM} --data-binary @docs/examples/inquiry.adf"),
            format!("curl -s -X POST {}/leads", host(&self.stand_ins.facebook.url())),
        ]
    }

    /// Each is one line that any POSIX shell takes as it stands, and that works again when it is repeated.
    fn commands(&self, clerk: &str) -> [(&'static str, String); 3] {
        let api = format!("127.0.0.1:{}/api/v1", self.addresses.port);
        let readable = if is_in_path("jq") { " | jq" } else { "" };
        [
            (
                "The newest leads that Kari sees",
                format!("curl -s '{api}/leads?limit=2' -H \"Authorization: Bearer $TOKEN\"{readable}"),
            ),
            (
                "Ingrid joins: the stand-in sends the webhooks, and the worker lets her in (then: user=ingrid)",
                format!("curl -s {clerk}/organizations/tesla-oslo/members -d '{{\"email\":\"ingrid@tesla.example\"}}'"),
            ),
            (
                "Whether all is well, by the operators' command line",
                "eval \"$(cargo dev env)\"; cargo run -q --bin norvalt doctor".to_owned(),
            ),
        ]
    }

    fn real_clerk(&self, text: &mut String) {
        let port = self.addresses.port;
        self.line(text, "Clerk", "yours, by the keys of .env");
        self.line(
            text,
            "Webhooks",
            &format!("any tunnel to port {port}; its address + /webhooks/clerk in the dashboard"),
        );
        self.line(text, "A token", "in the browser's console of your frontend: await Clerk.session.getToken()");
        text.push('\n');
        let what = "What webhooks missed, such as everybody from before today (needs CLERK_SECRET_KEY)";
        let command = "eval \"$(cargo dev env)\"; cargo run -q --bin norvalt sync";
        let _ = writeln!(text, "{}\n  {command}", self.console.dim(&format!("# {what}")));
    }

    fn line(&self, text: &mut String, name: &str, what: &str) {
        let _ = writeln!(text, "{}{what}", self.console.bold(&format!("{name:11}")));
    }
}

fn people(dealership: &Dealership) -> String {
    let described =
        |person: &Person| format!("{} {}, {}", person.first_name, person.last_name, Role::from_clerk(person.role));
    let people: Vec<_> = dealership.people.iter().map(described).collect();
    format!("{:11}{}", dealership.name, people.join(" · "))
}

/// A URL without its scheme, which `curl` does not need.
fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
