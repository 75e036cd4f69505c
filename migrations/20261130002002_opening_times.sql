-- When somebody is there, so that it can be reckoned with; `opening_hours` is what people have written.
ALTER TABLE answer_settings ADD COLUMN opening_times jsonb, ADD COLUMN closed_days date[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN answer_settings.opening_times IS 'By weekday, in Norwegian time. Where they are set, they are told to customers instead of opening_hours.';
COMMENT ON COLUMN answer_settings.closed_days IS 'Closed besides.';
