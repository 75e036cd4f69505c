use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

use crate::{Outcome, record::Statement};

/// How PostgreSQL runs a statement on behalf of a dealership after these others, with what it took, as text.
pub(crate) async fn explain(
    connection: &mut PgConnection,
    dealership: Uuid,
    before: &[Statement],
    statement: &Statement,
) -> Outcome<String> {
    let mut tx = connection.begin().await?;
    let enter = format!("SET LOCAL ROLE norvalt_tenant; SET LOCAL app.current_dealership_id = '{dealership}'");
    sqlx::raw_sql(AssertSqlSafe(enter)).execute(&mut *tx).await?;
    for statement in before {
        sqlx::raw_sql(AssertSqlSafe(with_values(statement))).execute(&mut *tx).await?;
    }
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {}", with_values(statement));
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *tx).await?;
    let lines: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(lines.join("\n"))
}

/// Its SQL with values in place of its parameters.
fn with_values(statement: &Statement) -> String {
    let mut sql = statement.sql.clone();
    // From the last to the first, so that $1 is not taken for the beginning of $12.
    for (number, value) in statement.parameters.iter().enumerate().rev() {
        let literal = value.as_ref().map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
        sql = sql.replace(&format!("${}", number + 1), &literal);
    }
    sql
}
