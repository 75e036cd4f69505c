ALTER TABLE deliveries VALIDATE CONSTRAINT deliveries_source_check;
ALTER TABLE leads VALIDATE CONSTRAINT leads_source_check;
