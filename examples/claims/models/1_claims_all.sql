-- Claims of both sources.
CREATE OR REPLACE VIEW claims_all AS
SELECT claim_id, company_ein, service_date, amount, notes, file, line FROM claims
UNION ALL
SELECT claim_id, company_ein, service_date, amount, notes, file, line FROM claims_feed;
