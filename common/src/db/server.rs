use super::{Error, Result, SystemTx};

/// The version of the server, such as `17.2`.
pub async fn server_version(tx: &mut SystemTx) -> Result<String> {
    sqlx::query_scalar("-- db::server_version\nSELECT split_part(current_setting('server_version'), ' ', 1)")
        .fetch_one(tx.conn())
        .await
        .map_err(Error::from)
}
