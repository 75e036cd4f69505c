-- The Norwegian letters as what follows z in every encoding, in their order: æ, ø, å (the places that they had in ISO 646-NO).
-- As in Norwegian catalogues, aa is å, ä is æ, ö is ø and ü is y.
CREATE FUNCTION norwegian_letters_last(raw text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog
RETURN translate(regexp_replace(normalize(translate(raw, '{|}', ''), NFC), '[aA]{2}', 'å', 'g'),
  'æÆäÄøØöÖåÅüÜ', '{{{{||||}}yy');
COMMENT ON FUNCTION norwegian_letters_last IS 'A text with its Norwegian letters where byte order puts them after z.';
