//! The people, dealerships and leads of `norvalt seed`. The development stand-in for Clerk knows the same people.

use common::leads::{LeadSource, LeadStatus};

/// A demo dealership and those who work there.
#[derive(Debug)]
pub struct Dealership {
    pub org_id: &'static str,
    pub name: &'static str,
    pub slug: &'static str,
    /// Members of the organization.
    pub people: &'static [Person],
    /// Inquiries, newest first.
    pub leads: &'static [DemoLead],
}

/// A demo member of one dealership.
#[derive(Debug)]
pub struct Person {
    pub user_id: &'static str,
    /// Clerk organization membership id.
    pub membership_id: &'static str,
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub email: &'static str,
    /// Clerk's role key, such as `org:admin`.
    pub role: &'static str,
}

#[derive(Debug)]
pub struct DemoLead {
    pub name: &'static str,
    /// The customer's e-mail address, or nothing.
    pub email: &'static str,
    /// The customer's phone number, or nothing.
    pub phone: &'static str,
    /// What they are interested in.
    pub vehicle: &'static str,
    /// What they wrote.
    pub message: &'static str,
    /// Where the inquiry came from.
    pub source: LeadSource,
    /// How far it has come.
    pub status: LeadStatus,
    /// How promising it is, from 1 to 100.
    pub score: i16,
    /// How long before the seeding it came in.
    pub minutes_ago: u32,
    /// What the dealership answered, if it did.
    pub answer: Option<&'static str>,
}

/// One line for each inquiry, so that the table below can be read.
macro_rules! leads {
    ($($name:literal, $email:literal, $phone:literal, $vehicle:literal, $source:ident, $status:ident, $score:literal,
       $minutes_ago:literal, $message:literal, $answer:expr;)+) => {
        &[$(DemoLead {
            name: $name, email: $email, phone: $phone, vehicle: $vehicle, message: $message, answer: $answer,
            source: LeadSource::$source, status: LeadStatus::$status, score: $score, minutes_ago: $minutes_ago,
        }),+]
    };
}

/// Two dealerships with two people and ten inquiries each.
pub const DEALERSHIPS: &[Dealership] = &[
    Dealership {
        org_id: "org_demo_tesla_oslo",
        name: "Tesla Oslo",
        slug: "tesla-oslo",
        people: &[
            Person {
                user_id: "user_demo_kari",
                membership_id: "orgmem_demo_kari",
                first_name: "Kari",
                last_name: "Nordmann",
                email: "kari.nordmann@tesla-oslo.example",
                role: "org:admin",
            },
            Person {
                user_id: "user_demo_jonas",
                membership_id: "orgmem_demo_jonas",
                first_name: "Jonas",
                last_name: "Bråthen",
                email: "jonas.braathen@tesla-oslo.example",
                role: "org:member",
            },
        ],
        leads: leads![
            "Bjørn Håkonsen", "bjorn.hakonsen@example.no", "+47 912 34 567", "Model Y Long Range", Website, New, 82, 4,
                "Hei! Har dere Model Y i blått på lager? Kan jeg prøvekjøre på torsdag?", None;
            "Åse Lunde", "ase.lunde@example.no", "", "Model 3", Email, New, 64, 19,
                "Hva blir innbyttet på en 2019 Leaf med 68 000 km?", None;
            "Mohammed Ali", "mohammed.ali@example.no", "+47 400 11 223", "Model 3 Performance", Facebook, New, 71, 47,
                "Leveringstid på Performance?", None;
            "Ingrid Sørensen", "ingrid.sorensen@example.no", "988 77 665", "Model Y", Website, Contacted, 58, 130,
                "Trenger hengerfeste. Er det mulig å ettermontere?",
                Some("Hei Ingrid! Ja, det ettermonterer vi på en dag. Skal jeg sette opp en time?");
            "Øyvind Myhre", "", "+47 934 55 120", "Model X", Manual, Contacted, 45, 320,
                "Ringte og lurte på finansiering over fem år.",
                Some("Hei Øyvind, her er finansieringseksempelet vi snakket om.");
            "Sofie Dahl", "sofie.dahl@example.no", "+47 415 90 233", "Model S Plaid", Website, Qualified, 90, 1500,
                "Ønsker tilbud på Plaid med leasing.", Some("Hei Sofie! Tilbudet ligger vedlagt. Passer det med en prat i morgen?");
            "Håvard Ås", "havard.as@example.no", "", "Model 3", Email, Qualified, 77, 2900,
                "Kan dere holde av den hvite til fredag?", Some("Den er holdt av til fredag kl. 16.");
            "Maja Kristiansen", "maja.kristiansen@example.no", "+46 70 123 45 67", "Model Y", Facebook, Won, 88, 7200,
                "Flytter fra Sverige i mai, kan jeg kjøpe nå?", Some("Ja, vi ordner registreringen for deg.");
            "Torbjørn Næss", "torbjorn.naess@example.no", "+47 977 01 010", "Model X", Website, Lost, 22, 10100,
                "Er prisen fast?", Some("Hei Torbjørn, ja, prisen er fast.");
            "Anne-Grethe Østby", "anne.ostby@example.no", "", "Model 3", Website, Lost, 15, 15000,
                "Fant en annen bil, takk likevel.", None;
        ],
    },
    Dealership {
        org_id: "org_demo_vw_bergen",
        name: "VW Bergen",
        slug: "vw-bergen",
        people: &[
            Person {
                user_id: "user_demo_silje",
                membership_id: "orgmem_demo_silje",
                first_name: "Silje",
                last_name: "Ødegård",
                email: "silje.odegard@vw-bergen.example",
                role: "org:admin",
            },
            Person {
                user_id: "user_demo_lars",
                membership_id: "orgmem_demo_lars",
                first_name: "Lars",
                last_name: "Tveit",
                email: "lars.tveit@vw-bergen.example",
                role: "org:manager",
            },
        ],
        leads: leads![
            "Eirik Vågen", "eirik.vagen@example.no", "+47 901 22 334", "ID.4 GTX", Website, New, 79, 8,
                "Hvor lang er rekkevidden om vinteren med varmepumpe?", None;
            "Solveig Bjørnstad", "solveig.bjornstad@example.no", "", "ID.Buzz", Email, New, 85, 33,
                "Vi er fem i familien. Kan vi se på en Buzz på lørdag?", None;
            "Piotr Kowalski", "piotr.kowalski@example.no", "+48 501 234 567", "Crafter", Facebook, New, 61, 75,
                "Trenger varebil til firmaet, helst brukt.", None;
            "Håkon Ljøsne", "hakon.ljosne@example.no", "55 12 34 56", "Golf", Website, Contacted, 49, 210,
                "Er Golfen fra 2021 fortsatt til salgs?", Some("Hei Håkon! Ja, den står her. Stikk gjerne innom.");
            "Tuva Grønlie", "", "+47 466 78 901", "Polo", Manual, Contacted, 40, 600,
                "Var innom og ville tenke på det.", Some("Hei Tuva, takk for besøket! Si fra om du har spørsmål.");
            "Geir Åmodt", "geir.amodt@example.no", "+47 928 44 556", "ID.7 Tourer", Website, Qualified, 91, 1700,
                "Ønsker tilbud på firmaleasing av to biler.", Some("Hei Geir, tilbudet er sendt. Vi kan levere i januar.");
            "Marte Høiland", "marte.hoiland@example.no", "", "ID.3", Email, Qualified, 68, 3300,
                "Kan jeg få innbytte vurdert på bilder?", Some("Ja, send bilder av alle fire sider og av interiøret.");
            "Jan-Erik Sæther", "jan.saether@example.no", "+47 951 00 112", "Tiguan", Website, Won, 86, 8000,
                "Tar den. Når kan jeg hente?", Some("Så hyggelig! Fredag fra kl. 12.");
            "Nina Fjørtoft", "nina.fjortoft@example.no", "+47 481 23 450", "Passat", Facebook, Lost, 30, 11000,
                "For dyrt for oss denne gangen.", Some("Forstår det. Vi sier fra om det kommer en kampanje.");
            "Ola Skjæveland", "ola.skjaeveland@example.no", "", "Amarok", Website, Lost, 12, 16000,
                "Kjøpte hos en annen.", None;
        ],
    },
];
