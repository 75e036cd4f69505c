//! When a message may go.

use std::time::Duration;

use sqlx::FromRow;

use crate::{
    db::{Result, TenantTx},
    ids::OutboxId,
};

/// While too many are waiting for their turn, though some could be sent.
const YIELD_SECONDS: f64 = 2.0;

#[derive(FromRow)]
struct Queue {
    /// Handed over within the last minute.
    sent: i64,
    /// Seconds until the first of those is a minute ago.
    room_in: Option<f64>,
    /// Older ones that wait.
    ahead: i64,
}

/// How long a queued message has to wait so that the dealership sends at most `per_minute` of its channel; `None` if it need not.
/// Who has waited longer goes first.
pub async fn wait_for_turn(tx: &mut TenantTx, id: OutboxId, per_minute: u32) -> Result<Option<Duration>> {
    if per_minute == 0 {
        return Ok(None);
    }
    let limit = i64::from(per_minute);
    let queue: Option<Queue> = sqlx::query_as(
        "-- outbox::wait_for_turn
         WITH mine AS (SELECT channel, created_at FROM outbox WHERE id = $1 AND dealership_id = $2 AND status = 'queued'),
         sent AS (
           SELECT o.sending_at FROM mine JOIN outbox o ON o.channel = mine.channel
           WHERE o.dealership_id = $2 AND o.sending_at > now() - interval '1 minute'
           ORDER BY o.sending_at DESC LIMIT $3)
         SELECT (SELECT count(*) FROM sent) AS sent,
                (SELECT extract(epoch FROM min(sending_at) + interval '1 minute' - now())::float8 FROM sent) AS room_in,
                (SELECT count(*) FROM outbox o WHERE o.dealership_id = $2 AND o.status = 'queued' AND o.channel = mine.channel
                 AND o.created_at < mine.created_at AND o.created_at > mine.created_at - interval '10 minutes') AS ahead
         FROM mine",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(limit)
    .fetch_optional(tx.conn())
    .await?;
    let Some(Queue { sent, room_in, ahead }) = queue.filter(|queue| queue.sent + queue.ahead >= limit) else {
        return Ok(None);
    };
    let room_in = room_in.filter(|_| sent >= limit).unwrap_or(YIELD_SECONDS).max(1.0);
    let minutes_ahead = u32::try_from(ahead / limit).unwrap_or(u32::MAX).min(24 * 60);
    Ok(Some(Duration::from_secs_f64(room_in) + Duration::from_mins(minutes_ahead.into())))
}

/// Nine in the evening to nine in the morning, in Norway, nobody's telephone rings because of us: how long to wait until then.
/// Whoever wrote within the last quarter of an hour is awake.
pub async fn quiet_for(tx: &mut TenantTx, id: OutboxId) -> Result<Option<Duration>> {
    let seconds: Option<Option<f64>> = sqlx::query_scalar(
        "-- outbox::quiet_for
         WITH clock AS (SELECT now() AT TIME ZONE 'Europe/Oslo' AS here)
         SELECT CASE WHEN extract(hour FROM here) >= 9 AND extract(hour FROM here) < 21 THEN NULL
                     WHEN greatest(l.created_at, (
                            SELECT max(created_at) FROM conversations c
                            WHERE c.lead_id = l.id AND c.dealership_id = $2 AND c.direction = 'inbound'))
                          > now() - interval '15 minutes' THEN NULL
                     ELSE extract(epoch FROM date_trunc('day', here - interval '9 hours') + interval '33 hours' - here)::float8 END
         FROM outbox o JOIN leads l ON l.id = o.lead_id AND l.dealership_id = $2 CROSS JOIN clock
         WHERE o.id = $1 AND o.dealership_id = $2 AND o.automatic AND o.status = 'queued'",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?;
    Ok(seconds.flatten().map(|seconds| Duration::from_secs_f64(seconds.max(1.0))))
}
