use super::{Result, SystemTx};

/// The version of the server, such as `17.2`.
pub async fn server_version(tx: &mut SystemTx) -> Result<String> {
    Ok(sqlx::query_scalar("-- db::server_version\nSELECT split_part(current_setting('server_version'), ' ', 1)")
        .fetch_one(tx.conn())
        .await?)
}

/// Whether the role that logs in has the rights of ours without taking them, though it is no superuser: then a statement
/// outside of the two doors would see rows.
pub async fn login_inherits(tx: &mut SystemTx) -> Result<bool> {
    let inherits = sqlx::query_scalar(
        "-- db::login_inherits
         SELECT NOT rolsuper AND pg_has_role(oid, 'norvalt_system', 'USAGE') FROM pg_roles WHERE rolname = session_user",
    );
    Ok(inherits.fetch_one(tx.conn()).await?)
}
