use std::{fmt::Write, path::Path};

use chrono::TimeDelta;
use cli::demo::{DEALERSHIPS, Dealership, Person};
use common::users::Role;
use dev::{clerk::StandIn, console::Console};

use crate::{environment::WORKER_ADMIN_PASSWORD, ports::Addresses};

/// Long enough to stay in a browser's developer tools or in a file of requests for a week.
const TTL: TimeDelta = TimeDelta::days(7);
/// She runs Tesla Oslo.
const KARI: &str = "kari.nordmann@tesla-oslo.example";
/// Nobody knows her until the second of the commands.
const INGRID: &str = "ingrid.solberg@tesla-oslo.example";

/// What a person needs to know once everything runs.
pub(crate) struct Screen<'a> {
    pub(crate) console: &'a Console,
    pub(crate) addresses: &'a Addresses,
    pub(crate) stand_in: &'a StandIn,
    /// To the database, if it is ours.
    pub(crate) way_in: Option<String>,
    /// Where the data are.
    pub(crate) kept: &'a Path,
    /// Whether changes are followed.
    pub(crate) watched: bool,
}

impl Screen<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\n");
        self.addresses(&mut text);
        let _ = writeln!(text, "\n{}, with session tokens for a week:", self.console.bold("People"));
        for dealership in DEALERSHIPS {
            for person in dealership.people {
                self.person(&mut text, dealership, person);
            }
        }
        self.commands(&mut text);
        if self.watched {
            text.push_str("\nWhat you change in the sources is built and restarted as soon as you save it.");
        }
        let kept = self.kept.display();
        let _ =
            writeln!(text, "\nCtrl-C stops everything. The data stay in {kept}; `cargo dev --reset` forgets them.\n");
        text
    }

    fn addresses(&self, text: &mut String) {
        let Addresses { port, api_admin, worker_admin } = self.addresses;
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "{}{what}", self.console.bold(&format!("{name:12}")));
        };
        line("API", &format!("http://127.0.0.1:{port}/api/v1"));
        line("API docs", &format!("http://127.0.0.1:{port}/docs"));
        line("Metrics", &format!("http://{api_admin}/metrics of the API, http://{worker_admin}/metrics of the worker"));
        line("Operators", &format!("http://{worker_admin}/  any name, password {WORKER_ADMIN_PASSWORD}"));
        line("Clerk", &format!("{}  a stand-in: tokens, members, webhooks (open it for help)", self.stand_in.url()));
        line("Database", self.way_in.as_deref().unwrap_or("yours, of DATABASE_URL"));
    }

    fn person(&self, text: &mut String, dealership: &Dealership, person: &Person) {
        let role = Role::from_clerk(person.role);
        let Person { first_name, last_name, email, .. } = person;
        let _ = writeln!(text, "{first_name} {last_name}, {role} of {}, {email}", dealership.name);
        // Whoever was removed in an earlier run has no token any more.
        let token = self.stand_in.session_token(person.user_id, Some(dealership.org_id));
        let token = token.map_or_else(|error| error.to_string(), |token| token.ttl(TTL).mint(&self.stand_in.key()));
        let _ = writeln!(text, "{}", self.console.dim(&token));
    }

    /// Each is one line that any POSIX shell takes as it stands, and that works again when it is repeated.
    fn commands(&self, text: &mut String) {
        let (port, clerk) = (self.addresses.port, self.stand_in.url());
        let leads_as = |email: &str| {
            format!(
                "curl -s 'http://127.0.0.1:{port}/api/v1/leads?limit=3' \
                 -H \"Authorization: Bearer $(curl -s '{clerk}/token?user={email}')\""
            )
        };
        let join = format!(
            "curl -s '{clerk}/organizations/tesla-oslo/members' -H 'Content-Type: application/json' \
             -d '{{\"first_name\":\"Ingrid\",\"last_name\":\"Solberg\",\"email\":\"{INGRID}\",\"role\":\"org:member\"}}'"
        );
        let mut command = |what: &str, command: &str| {
            let _ = writeln!(text, "\n{}\n{command}", self.console.bold(what));
        };
        command("1. List leads as Kari:", &leads_as(KARI));
        command(
            "2. Let Ingrid join Tesla Oslo: the stand-in sends the webhooks, and the worker gives her access:",
            &join,
        );
        command("3. List leads as Ingrid:", &leads_as(INGRID));
    }
}
