ALTER TABLE deliveries VALIDATE CONSTRAINT deliveries_source_check;
