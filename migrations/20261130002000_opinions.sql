-- What the assistant said of a mail that rules could not tell.
ALTER TABLE deliveries ADD COLUMN opinion jsonb, ADD COLUMN opinion_at timestamptz, ADD COLUMN opinion_tokens bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN deliveries.opinion IS 'What the assistant was given, and what it said. Erased with the body.';
COMMENT ON COLUMN deliveries.opinion_at IS 'When it last said something.';
COMMENT ON COLUMN deliveries.opinion_tokens IS 'What that has cost so far.';
GRANT UPDATE (opinion, opinion_at, opinion_tokens) ON deliveries TO norvalt_tenant;
