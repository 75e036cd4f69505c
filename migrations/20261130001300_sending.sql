ALTER TABLE notifications DROP CONSTRAINT notifications_event_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_event_check
  CHECK (event IN ('new_lead', 'assigned', 'customer_replied', 'needs_human', 'not_delivered', 'source_broken', 'sending_broken'))
  NOT VALID;

-- People say how they want to be told of what happens.
GRANT UPDATE (notification_preferences) ON users TO norvalt_tenant;
