-- People of the dealership are told by text message too, and of leads that no person has answered.
ALTER TABLE users ADD COLUMN phone text;
COMMENT ON COLUMN users.phone IS 'Where they want text messages, as E.164; theirs to say.';
GRANT UPDATE (phone) ON users TO norvalt_tenant;

ALTER TABLE dealerships ADD COLUMN sla_minutes smallint;
COMMENT ON COLUMN dealerships.sla_minutes IS 'People are told of a lead that no person has answered after so many minutes; of none, if null.';
ALTER TABLE dealerships ADD CONSTRAINT dealerships_sla_minutes_check CHECK (sla_minutes BETWEEN 1 AND 1440) NOT VALID;
GRANT UPDATE (sla_minutes) ON dealerships TO norvalt_tenant;

ALTER TABLE notifications ADD COLUMN channel text NOT NULL DEFAULT 'email';
COMMENT ON COLUMN notifications.channel IS 'By what it is told; by two, it is two rows.';
ALTER TABLE notifications ADD CONSTRAINT notifications_channel_check CHECK (channel IN ('email', 'sms')) NOT VALID;
ALTER TABLE notifications DROP CONSTRAINT notifications_event_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_event_check
  CHECK (event IN ('new_lead', 'assigned', 'customer_replied', 'needs_human', 'not_delivered', 'source_broken', 'sending_broken', 'sla_at_risk'))
  NOT VALID;
