use chrono::{DateTime, TimeDelta, Utc};
use common::{
    answers::{self, AnswerMode, AnswerSettingsPatch, AssistantReply, Means, SuggestError, SuggestionKey, gate},
    automation_rules::{self, NewAutomationRule},
    clerk::{self, Change, Membership, Organization, PersonHint, UserProfile},
    clock::Clock,
    config::CliConfig,
    conversations::{self, Channel, Direction, NewMessage, SenderType},
    customers::{self, Contact},
    db::{Db, TenantTx},
    ids::{AutomationRuleId, ClerkOrgId, ClerkUserId, DealershipId, LeadId, SourceId, UserId, VehicleId},
    inquiry::form,
    intake::{ReceivedForm, receive_form},
    lead_sources::{self, Language, NewSource, SourceKind},
    leads::{self, LeadFilter, LeadSource, LeadStatus, NewLead},
    vehicles::{self, NewVehicle, VehicleStatus},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    CommandError,
    demo::{self, Dealership, DemoLead, Person},
};

/// One command at a time needs no more connections.
const CONNECTIONS: u32 = 2;
/// How long the demo people take to answer.
const ANSWERED_AFTER: TimeDelta = TimeDelta::minutes(3);

pub(crate) async fn run(config: &CliConfig) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, CONNECTIONS, "norvalt seed");
    let clock = Clock::system();
    for dealership in demo::DEALERSHIPS {
        provision(&db, dealership).await?;
        let added = add_leads(&db, dealership, clock.now()).await?;
        let people = dealership.people.len();
        match added {
            None => println!("{}: was deleted in Clerk and purged; a new database has it again", dealership.name),
            Some(0) => println!("{}: {people} people; its leads are there already", dealership.name),
            Some(n) => println!("{}: {people} people, {n} leads", dealership.name),
        }
    }
    db.close().await;
    Ok(())
}

/// The same path as Clerk's events take. Version 0 yields to anything that Clerk says itself.
async fn provision(db: &Db, dealership: &Dealership) -> Result<(), CommandError> {
    let mut tx = db.system().await?;
    let org: ClerkOrgId = dealership.org_id.parse()?;
    let organization = Organization { name: Some(dealership.name.to_owned()) };
    for person in dealership.people {
        let user: ClerkUserId = person.user_id.parse()?;
        let name = Some(format!("{} {}", person.first_name, person.last_name));
        let email = Some(person.email.to_owned());
        let membership = Change::Membership {
            id: person.membership_id.parse()?,
            version: 0,
            seen: 0,
            membership: Membership { org: org.clone(), user: user.clone(), role: person.role.to_owned() },
            organization: (0, organization.clone()),
            hint: PersonHint { name: name.clone(), email: email.clone() },
        };
        clerk::apply(&mut tx, membership).await?;
        let profile = UserProfile { name, email, banned: false };
        clerk::apply(&mut tx, Change::User { id: user, version: 0, seen: 0, profile }).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Adds the demo leads to a dealership that has none, and says how many; `None` if there is no such dealership any more.
async fn add_leads(db: &Db, dealership: &Dealership, now: DateTime<Utc>) -> Result<Option<usize>, CommandError> {
    let id = DealershipId::of(&dealership.org_id.parse()?);
    let mut tx = db.tenant(id).await?;
    if leads::page(&mut tx, &LeadFilter::newest(1)).await?.total > 0 {
        return Ok(Some(0));
    }
    for (n, demo_lead) in dealership.leads.iter().enumerate() {
        let customer = example_id(id, &format!("customer {n}")).into();
        let (email, phone) = (demo_lead.email.parse().ok(), demo_lead.phone.parse().ok());
        let contact = Contact { name: Some(demo_lead.name), email: email.as_ref(), phone: phone.as_ref() };
        match customers::recognise_as(&mut tx, &contact, customer).await.map_err(leads::WriteError::from) {
            Err(leads::WriteError::DealershipGone) => return Ok(None),
            recognised => recognised?,
        };
        let person = &dealership.people[n % dealership.people.len()];
        let user = UserId::of(id, &person.user_id.parse()?);
        let received = now - TimeDelta::minutes(i64::from(demo_lead.minutes_ago));
        let lead =
            match leads::create(&mut tx, &new_lead(demo_lead, example_id(id, &format!("lead {n}")), user, received))
                .await
            {
                Err(leads::WriteError::DealershipGone) => return Ok(None),
                created => created?,
            };
        for message in messages(demo_lead, (person, user), lead.id, received) {
            conversations::create(&mut tx, &message).await?;
        }
    }
    add_vehicle_and_rule(&mut tx).await?;
    add_model_y(&mut tx).await?;
    draft_answer(&mut tx, example_id(id, "lead 1").into()).await?;
    suggest_answer(&mut tx, example_id(id, "lead 0").into(), &dealership.leads[0], now).await?;
    know_sources(&mut tx, dealership.slug).await?;
    park_forms(&mut tx).await?;
    tx.commit().await?;
    Ok(Some(dealership.leads.len()))
}

/// What most of the demo's customers ask about.
async fn add_model_y(tx: &mut TenantTx) -> Result<(), CommandError> {
    let vehicle = NewVehicle {
        id: Some(example_id(tx.dealership(), "model y").into()),
        make: "Tesla".to_owned(),
        model: "Model Y".to_owned(),
        year: 2024,
        vin: None,
        status: VehicleStatus::Available,
        price: Some(429_900),
        mileage: Some(12_400),
        fuel_type: Some("electric".to_owned()),
        listing_url: None,
    };
    vehicles::create(tx, &vehicle).await?;
    Ok(())
}

/// An automatic answer that waits for a person to send it.
async fn draft_answer(tx: &mut TenantTx, lead: LeadId) -> Result<(), CommandError> {
    let means = Means { email: true, sms: false, model: None };
    for mode in [AnswerMode::Draft, AnswerMode::On] {
        answers::update_settings(tx, &AnswerSettingsPatch { mode: Some(mode), ..AnswerSettingsPatch::default() })
            .await?;
        answers::prepare(tx, lead, 1, means).await?;
    }
    Ok(())
}

/// What an assistant would have suggested to whoever answers a lead. It is there before a worker could ask one.
async fn suggest_answer(
    tx: &mut TenantTx,
    lead: LeadId,
    demo_lead: &DemoLead,
    now: DateTime<Utc>,
) -> Result<(), CommandError> {
    match answers::suggest(tx, lead, true).await {
        Ok(_) => {}
        Err(SuggestError::NotAsked(_)) => return Ok(()),
        Err(SuggestError::Db(error)) => return Err(error.into()),
    }
    let key = SuggestionKey { lead, turn: 1 };
    let Some(request) = answers::prepare_suggestion(tx, key, true, now).await? else { return Ok(()) };
    let text = "Takk for meldingen din. Jeg undersøker det du spør om, og kommer tilbake til deg så snart jeg kan.";
    let summary = format!("{} spør om {}. Ingen har svart ennå.", demo_lead.name, demo_lead.vehicle);
    let text = json!({ "language": "nb", "reply": text, "summary": summary }).to_string();
    let verdict = gate::look_at(&text, true, &request.correspondence.facts);
    let reply = AssistantReply::Written { text, model: "demo".to_owned(), tokens: (0, 0), verdict };
    Ok(answers::finish_suggestion(tx, key, &request, reply).await?)
}

/// The same in every demo, so that the examples of the API's document can be tried out as they are.
fn example_id(dealership: DealershipId, name: &str) -> Uuid {
    Uuid::new_v5(&dealership.into(), name.as_bytes())
}

/// By what a person at a keyboard can type.
async fn know_sources(tx: &mut TenantTx, slug: &str) -> Result<(), CommandError> {
    for kind in [SourceKind::Form, SourceKind::Email] {
        lead_sources::know_as(tx, kind, slug, SourceId::first_of(tx.dealership(), kind.as_str())).await?;
    }
    let new = NewSource {
        kind: SourceKind::Adf,
        name: "Portaler".to_owned(),
        language: Language::Nb,
        allowed_origins: Vec::new(),
        thank_you_url: None,
        assigned_to: None,
    };
    let adf = lead_sources::create(tx, &new).await?;
    lead_sources::know_as(tx, SourceKind::Adf, slug, adf.id).await?;
    Ok(())
}

/// Two forms that may be a program's, for a person to decide on.
async fn park_forms(tx: &mut TenantTx) -> Result<(), CommandError> {
    let form = SourceId::first_of(tx.dealership(), SourceKind::Form.as_str());
    let Some(settings) = lead_sources::settings(tx, form).await? else { return Ok(()) };
    for (nonce, phone, message) in [
        ("demo 1", "912 34 567", "Hei, selger dere også dekk?"),
        ("demo 2", "923 45 678", "Cheap web traffic for your shop!!!"),
    ] {
        let body = json!({ "name": "Ukjent", "phone": phone, "message": message, "_nonce": nonce, "_elapsed": 300 });
        let body = body.to_string();
        let Ok(form) = form::read("application/json", &body.clone().into()) else { continue };
        let received = ReceivedForm { content_type: "application/json", origin: None, body: body.as_bytes() };
        receive_form(tx, &settings, &form, &received).await?;
    }
    Ok(())
}

async fn add_vehicle_and_rule(tx: &mut TenantTx) -> Result<(), CommandError> {
    let vehicle: VehicleId = example_id(tx.dealership(), "vehicle").into();
    if vehicles::find(tx, vehicle).await?.is_none() {
        let new = NewVehicle {
            id: Some(vehicle),
            make: "Volkswagen".to_owned(),
            model: "ID.4 GTX".to_owned(),
            year: 2024,
            vin: None,
            status: VehicleStatus::Available,
            price: Some(489_900),
            mileage: Some(18_500),
            fuel_type: Some("electric".to_owned()),
            listing_url: None,
        };
        vehicles::create(tx, &new).await?;
    }
    let rule: AutomationRuleId = example_id(tx.dealership(), "automation rule").into();
    if automation_rules::find(tx, rule).await?.is_none() {
        let new = NewAutomationRule {
            id: Some(rule),
            name: "Svar på nye leads om natten".to_owned(),
            trigger_type: "lead.created".to_owned(),
            trigger_conditions: json!({ "source": "website" }).into(),
            actions: json!([{ "type": "send_email", "template": "welcome" }]).into(),
            is_active: false,
        };
        automation_rules::create(tx, &new).await?;
    }
    Ok(())
}

fn new_lead(lead: &DemoLead, id: Uuid, assignee: UserId, received: DateTime<Utc>) -> NewLead {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    NewLead {
        id: Some(id.into()),
        source: lead.source,
        source_url: None,
        source_metadata: json!({ "demo": true }).into(),
        status: lead.status,
        // Nobody has taken the new ones yet.
        assigned_to: (lead.status != LeadStatus::New).then_some(assignee),
        customer_name: given(lead.name),
        customer_email: given(lead.email).map(|email| email.parse().expect("the demo addresses are valid")),
        customer_phone: given(lead.phone).map(|phone| phone.parse().expect("the demo numbers are valid")),
        vehicle_interest: given(lead.vehicle),
        initial_message: given(lead.message),
        lead_score: lead.score,
        created_at: Some(received),
    }
}

/// The inquiry as a message, and the answer.
fn messages(
    lead: &DemoLead,
    (person, user): (&Person, UserId),
    id: LeadId,
    received: DateTime<Utc>,
) -> Vec<NewMessage> {
    let channel = match lead.source {
        LeadSource::Website | LeadSource::Adf => Channel::Website,
        LeadSource::Email => Channel::Email,
        LeadSource::Facebook => Channel::Facebook,
        LeadSource::Manual => Channel::Manual,
    };
    let inquiry = NewMessage {
        lead_id: id,
        channel,
        direction: Direction::Inbound,
        sender: lead.name.to_owned(),
        sender_user_id: None,
        sender_clerk_user_id: None,
        impersonator: None,
        sender_type: SenderType::Customer,
        message_content: lead.message.to_owned(),
        message_metadata: json!({}),
        created_at: Some(received),
    };
    let answer = lead.answer.map(|answer| NewMessage {
        direction: Direction::Outbound,
        sender: format!("{} {}", person.first_name, person.last_name),
        sender_user_id: Some(user),
        sender_clerk_user_id: person.user_id.parse().ok(),
        sender_type: SenderType::Human,
        message_content: answer.to_owned(),
        message_metadata: json!({}),
        created_at: Some(received + ANSWERED_AFTER),
        ..inquiry.clone()
    });
    std::iter::once(inquiry).chain(answer).collect()
}
