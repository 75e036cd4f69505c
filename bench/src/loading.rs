//! Fills a database as years of use would.

use common::{db::Db, ids::DealershipId, leads};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{Outcome, postgres::Database};

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) dealerships: i64,
    pub(crate) leads: i64,
    pub(crate) conversations: i64,
    pub(crate) users: i64,
}

/// The ids of dealerships follow from their organizations', as everywhere.
const IDS: &str = "
    DROP TABLE IF EXISTS pg_temp.loaded;
    CREATE TEMPORARY TABLE loaded (n bigint PRIMARY KEY, id uuid NOT NULL);
    CREATE OR REPLACE FUNCTION pg_temp.dealership(bigint) RETURNS uuid LANGUAGE sql STABLE
      AS 'SELECT id FROM pg_temp.loaded WHERE n = $1'";

/// All other ids follow from numbers, so that what belongs together is found without asking.
const DEALERSHIPS: &str = "
    INSERT INTO dealerships (id, clerk_org_id, name, email, subscription_status)
    SELECT pg_temp.dealership(n), 'org_{name}_' || n, 'Bilhuset ' || n || ' AS', 'post@bilhuset' || n || '.example', 'active'
    FROM generate_series(1, {dealerships}) n";

const USERS: &str = "
    INSERT INTO users (id, dealership_id, clerk_user_id, email, name, role)
    SELECT md5('{name} user ' || n)::uuid, pg_temp.dealership(1 + (n - 1) % {dealerships}), 'user_{name}_' || n,
           'selger' || n || '@bilhuset.example', 'Selger Nummer ' || n, (ARRAY['admin', 'manager', 'sales_rep'])[1 + n % 3]
    FROM generate_series(1, {users}) n";

/// Of three years, in the order of time, so that those of one dealership lie scattered.
const LEADS: &str = "
    INSERT INTO leads (id, dealership_id, assigned_to, source, source_url, status, customer_name, customer_email, customer_phone,
                       customer_phone_e164, vehicle_interest, initial_message, lead_score, created_at, updated_at)
    SELECT md5('{name} lead ' || n)::uuid, pg_temp.dealership(d),
           CASE WHEN n % 2 = 0 THEN md5('{name} user ' || d + {dealerships} * (n / 2 % ({users} / {dealerships})))::uuid END,
           (ARRAY['website', 'email', 'facebook', 'manual'])[1 + n % 4], 'https://bilhuset.example/biler/' || n % 997,
           (ARRAY['new', 'contacted', 'qualified', 'won', 'lost'])[1 + n / 7 % 5],
           (ARRAY['Bjørn', 'Kari', 'Åse', 'Ola', 'Ingrid', 'Håkon', 'Sigrid'])[1 + n % 7] || ' '
             || (ARRAY['Hansen', 'Nordmann', 'Bakken', 'Øverland', 'Lie', 'Solberg', 'Dahl', 'Moen', 'Aas', 'Strand', 'Vik'])[1 + n % 11]
             || CASE WHEN n % 9973 = 0 THEN ' Håkonsen' ELSE '' END,
           'kunde' || n || '@example.no', '+47 9' || lpad((n % 10000000)::text, 7, '0'), '+479' || lpad((n % 10000000)::text, 7, '0'),
           (ARRAY['Tesla Model Y', 'VW ID.4', 'Volvo EX30', 'Polestar 2', 'Skoda Enyaq'])[1 + n % 5],
           'Hei! Jeg lurer på om dere har denne på lager, og om jeg kan prøvekjøre den en ettermiddag i uke ' || n % 52 || '. Mvh',
           1 + n % 100, now() - ({leads} - n + 1) * (interval '3 years' / {leads}), now() - ({leads} - n + 1) * (interval '3 years' / {leads})
    FROM (SELECT n, 1 + n % {dealerships} AS d FROM generate_series(1, {leads}::bigint) n) numbered";

const CONVERSATIONS: &str = "
    INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
    SELECT md5('{name} lead ' || l)::uuid, pg_temp.dealership(1 + l % {dealerships}), 'email',
           (ARRAY['inbound', 'outbound'])[1 + k % 2], 'Kari', (ARRAY['customer', 'human'])[1 + k % 2],
           'Takk for sist! Bilen står klar, og du er velkommen innom når det passer deg. ' || k, now() - k * interval '1 second'
    FROM (SELECT k, 1 + k * 7919 % {leads}::bigint AS l FROM generate_series(1, {conversations}::bigint) k) numbered";

/// Loads dealerships of one name. Foreign keys hold by construction and are not checked row by row.
pub(crate) async fn load(database: &Database, name: &str, size: Size) -> Outcome<()> {
    let mut connection = database.connect().await?;
    insert(&mut connection, name, size).await?;
    // As the worker does once an hour.
    let db = Db::new(&database.url.parse()?, 1, "norvalt bench");
    leads::count(&db).await?;
    db.close().await;
    for table in ["dealerships", "users", "leads", "conversations"] {
        connection.execute(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).await?;
    }
    connection.execute("CHECKPOINT").await?;
    Ok(connection.close().await?)
}

async fn insert(connection: &mut PgConnection, name: &str, size: Size) -> Outcome<()> {
    let filled = |template: &str| {
        template
            .replace("{name}", name)
            .replace("{dealerships}", &size.dealerships.to_string())
            .replace("{leads}", &(size.dealerships * size.leads).to_string())
            .replace("{users}", &size.users.to_string())
            .replace("{conversations}", &size.conversations.to_string())
    };
    connection.execute(IDS).await?;
    let organizations = (1..=size.dealerships).map(|n| format!("org_{name}_{n}").parse());
    let ids: Vec<DealershipId> =
        organizations.map(|org| org.map(|org| DealershipId::of(&org))).collect::<Result<_, _>>()?;
    let note = "INSERT INTO pg_temp.loaded SELECT n, id FROM unnest($1::uuid[]) WITH ORDINALITY AS one (id, n)";
    sqlx::query(note).bind(ids).execute(&mut *connection).await?;
    connection.execute("SET session_replication_role = replica").await?;
    for template in [DEALERSHIPS, USERS, LEADS, CONVERSATIONS] {
        connection.execute(AssertSqlSafe(filled(template))).await?;
    }
    connection.execute("RESET session_replication_role").await?;
    Ok(())
}
