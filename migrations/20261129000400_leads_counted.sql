-- How many leads a dealership has, without counting them all; see docs/adr/0007-exact-totals.md. Functions of triggers say
-- where their tables are: whoever restores a backup runs them with an empty search_path. What is temporary comes last, so
-- that a temporary table cannot take a table's place.

-- A lead that comes in now is counted later. One that came in long ago may have been passed by.
CREATE FUNCTION count_backdated_lead() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE dealerships SET leads_counted = leads_counted + 1
  WHERE id = NEW.dealership_id AND leads_counted_before > NEW.created_at;
  RETURN NULL;
END $$;
-- Named so that it comes after the foreign key's own trigger, whose lock keeps leads_counted_before where it is.
CREATE TRIGGER count_backdated_lead AFTER INSERT ON leads FOR EACH ROW
  WHEN (NEW.created_at < clock_timestamp() - interval '12 hours') EXECUTE FUNCTION count_backdated_lead();

CREATE FUNCTION uncount_leads() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  dealership uuid;
  counted_before timestamptz;
  uncounted bigint;
BEGIN
  FOR dealership IN SELECT DISTINCT dealership_id FROM gone ORDER BY 1 LOOP
    -- The lock comes first: leads_counted_before then stays where it is.
    SELECT leads_counted_before INTO counted_before FROM dealerships WHERE id = dealership FOR NO KEY UPDATE;
    SELECT count(*) INTO uncounted FROM gone WHERE dealership_id = dealership AND created_at < counted_before;
    UPDATE dealerships SET leads_counted = leads_counted - uncounted WHERE id = dealership;
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER uncount_leads AFTER DELETE ON leads REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION uncount_leads();

CREATE FUNCTION keep_lead_in_place() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  RAISE 'a lead stays with its dealership and when it came in' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER keep_lead_in_place AFTER UPDATE OF dealership_id, created_at ON leads FOR EACH ROW
  WHEN (OLD.dealership_id <> NEW.dealership_id OR OLD.created_at <> NEW.created_at)
  EXECUTE FUNCTION keep_lead_in_place();
