-- How many leads a dealership has, without counting them all; see docs/adr/0007-exact-totals.md.
ALTER TABLE dealerships
  ADD COLUMN leads_counted bigint NOT NULL DEFAULT 0,
  ADD COLUMN leads_counted_before timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN dealerships.leads_counted IS 'Exactly how many leads it has that came in before leads_counted_before.';
COMMENT ON COLUMN dealerships.leads_counted_before IS 'At least a day ago; moved by the job leads.count alone.';
-- For the triggers, which run as whoever writes the lead.
GRANT UPDATE (leads_counted) ON dealerships TO norvalt_tenant;

-- A lead that comes in now is counted later. One that came in long ago may have been passed by.
CREATE FUNCTION count_backdated_lead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE dealerships SET leads_counted = leads_counted + 1
  WHERE id = NEW.dealership_id AND leads_counted_before > NEW.created_at;
  RETURN NULL;
END $$;
-- Named so that it comes after the foreign key's own trigger, whose lock keeps leads_counted_before where it is.
CREATE TRIGGER count_backdated_lead AFTER INSERT ON leads FOR EACH ROW
  WHEN (NEW.created_at < clock_timestamp() - interval '12 hours') EXECUTE FUNCTION count_backdated_lead();

CREATE FUNCTION uncount_leads() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE dealership uuid;
BEGIN
  FOR dealership IN SELECT DISTINCT dealership_id FROM gone ORDER BY 1 LOOP
    -- First the lock, so that the next statement sees where leads_counted_before stays.
    PERFORM FROM dealerships WHERE id = dealership FOR NO KEY UPDATE;
    UPDATE dealerships d SET leads_counted = leads_counted - (
      SELECT count(*) FROM gone g WHERE g.dealership_id = dealership AND g.created_at < d.leads_counted_before)
    WHERE id = dealership;
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER uncount_leads AFTER DELETE ON leads REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION uncount_leads();

CREATE FUNCTION keep_lead_in_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE 'a lead stays with its dealership and when it came in' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER keep_lead_in_place AFTER UPDATE OF dealership_id, created_at ON leads FOR EACH ROW
  WHEN (OLD.dealership_id <> NEW.dealership_id OR OLD.created_at <> NEW.created_at)
  EXECUTE FUNCTION keep_lead_in_place();
