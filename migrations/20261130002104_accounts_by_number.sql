-- no-transaction
CREATE INDEX CONCURRENTLY sending_accounts_number ON sending_accounts ((settings ->> 'account_sid'), (settings ->> 'from')) WHERE channel = 'sms';
