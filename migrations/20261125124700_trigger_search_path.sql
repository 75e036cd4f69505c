-- Functions of triggers say where their tables are: whoever restores a backup runs them with an empty search_path. What is
-- temporary comes last, so that a temporary table cannot take a table's place.
DO $$
DECLARE
  tables name := (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'leads'::regclass);
  of_trigger regprocedure;
BEGIN
  FOREACH of_trigger IN ARRAY ARRAY['count_backdated_lead()', 'uncount_leads()', 'keep_lead_in_place()']::regprocedure[] LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', of_trigger, tables);
  END LOOP;
END
$$;
