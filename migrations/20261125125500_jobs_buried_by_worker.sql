-- Some jobs leave something behind when they die, in the transaction that buries them: only a worker can do that.
ALTER TABLE jobs ADD COLUMN buried_by_worker boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN jobs.buried_by_worker IS 'When its last attempt has lost its worker, another one buries it.';
