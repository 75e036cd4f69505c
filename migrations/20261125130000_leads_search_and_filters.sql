-- How texts are compared by a search: without case, accents and other marks; ø is o, æ is ae, å and aa are a. The same on
-- every database, whatever its locale, since nothing here asks for one. The one place where this is decided: what is
-- stored and what is looked for both go through it.
CREATE FUNCTION search_fold(raw text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
DECLARE
  folded text := raw;
BEGIN
  IF octet_length(folded) <> length(folded) THEN
    -- Norwegian letters first: most texts need no more.
    folded := replace(replace(replace(replace(replace(replace(folded,
      'å', 'a'), 'Å', 'a'), 'ø', 'o'), 'Ø', 'o'), 'æ', 'ae'), 'Æ', 'ae');
  END IF;
  IF octet_length(folded) <> length(folded) THEN
    -- Letters apart from their marks, then away with the marks and with what is not visible.
    folded := regexp_replace(normalize(folded, NFKD),
      U&'[\0300-\036F\00AD\061C\200B-\200F\202A-\202E\2060-\2064\2066-\2069\FEFF]', '', 'g');
    folded := replace(replace(replace(replace(replace(replace(folded,
      'ø', 'o'), 'Ø', 'o'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe');
    folded := replace(replace(replace(replace(replace(replace(replace(replace(folded,
      'ß', 'ss'), 'ẞ', 'ss'), 'þ', 'th'), 'Þ', 'th'), 'ð', 'd'), 'Ð', 'd'), 'đ', 'd'), 'Đ', 'd');
    folded := replace(replace(replace(replace(replace(replace(folded,
      'ł', 'l'), 'Ł', 'l'), 'ħ', 'h'), 'Ħ', 'h'), 'ŧ', 't'), 'Ŧ', 't');
    folded := replace(replace(replace(replace(folded, 'ı', 'i'), 'ŋ', 'n'), 'Ŋ', 'n'), 'ς', 'σ');
    -- Hyphens and apostrophes are typed in many ways.
    folded := regexp_replace(regexp_replace(folded, U&'[\2010-\2015\2212]', '-', 'g'), U&'[\2018\2019\02BC\00B4]', '''', 'g');
    IF folded ~ U&'[\0370-\052F]' THEN
      folded := translate(folded,
        'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄІЂЃЅЈЉЊЋЏҐӘӨҮҰҢҒҚҺ',
        'αβγδεζηθικλμνξοπρστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюяєіђѓѕјљњћџґәөүұңғқһ');
    END IF;
  END IF;
  RETURN regexp_replace(lower(folded COLLATE "C"), 'aa+', 'a', 'g');
END $$;
COMMENT ON FUNCTION search_fold IS 'A text as searches compare it.';

-- What a search looks through; short enough for an index whatever it holds. Of a number only the digits, as dialled from
-- anywhere. This rewrites the table, which nobody reads or writes meanwhile: not a thing to repeat once there are millions
-- of leads, but there are none before the first release.
ALTER TABLE leads DROP COLUMN search, ADD COLUMN search text GENERATED ALWAYS AS (
  left(search_fold(
    coalesce(translate(customer_phone_e164, '+', ' '), '') || ' ' || coalesce(customer_name, '') || ' '
      || coalesce(customer_email, '') || ' ' || coalesce(vehicle_interest, '')), 600)
) STORED;
COMMENT ON COLUMN leads.search IS 'Number, name, e-mail address and vehicle as searches compare them, in this order.';

-- The inbox, with all that a search or a filter asks of a lead: what passes is found here, newest first, and only then
-- looked at in the table.
CREATE INDEX leads_inbox ON leads (dealership_id, created_at DESC, id DESC) INCLUDE (status, source, assigned_to, search);
-- The inbox by what is rare among many: a status, a source, a person or nobody.
CREATE INDEX leads_by_status ON leads (dealership_id, status, created_at DESC, id DESC) INCLUDE (source, assigned_to);
CREATE INDEX leads_by_source ON leads (dealership_id, source, created_at DESC, id DESC) INCLUDE (status, assigned_to);
CREATE INDEX leads_by_assignee ON leads (dealership_id, assigned_to, created_at DESC, id DESC) INCLUDE (status, source);
-- The foreign key finds the leads of somebody who leaves in the index above.
DROP INDEX leads_assigned_to;
